import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.structures import Detections

TRANSITION = ("previous", "transition", "current")
"""Edge type of the graph: from an object of the previous frame, or a track, to an object of the current frame."""


def frame_pair_graph(previous: Detections, current: Detections) -> HeteroData:
    """Build the complete bipartite graph between the objects of two frames.

    Args:
        previous: Objects of the earlier frame, or all tracks of a memory.
        current: Objects of the later frame.

    Returns:
        Node types ``"previous"`` and ``"current"`` with ``boxes (N, 4)``, ``scores (N,)``, ``labels (N,)`` and, where
        given, ``ids (N,)`` and node features ``x (N, F)``, the embeddings; edge type :data:`TRANSITION` with
        ``edge_index (2, E)``, row 0 previous and row 1 current, ordered by previous, then current. E is 0 if a side is
        empty. A side without objects takes its fields from the other side. So
        :class:`torch_geometric.loader.DataLoader`, which batches graphs with equal fields, accepts all graphs unless
        both sides are empty and lack a field.

    Raises:
        ValueError: If one side has objects with embeddings or ids and the other has objects without.
    """
    graph = HeteroData()
    nodes_x = _matching_embeddings(previous, current)
    for name, detections, x in zip(("previous", "current"), (previous, current), nodes_x, strict=True):
        nodes = graph[name]
        nodes.num_nodes = len(detections)
        nodes.boxes, nodes.scores, nodes.labels = detections.boxes, detections.scores, detections.labels
        if previous.ids is not None or current.ids is not None:
            nodes.ids = detections.ids if detections.ids is not None else _empty_ids(detections)
        if x is not None:
            nodes.x = x
    rows = torch.arange(len(previous), device=current.boxes.device)
    columns = torch.arange(len(current), device=current.boxes.device)
    graph[TRANSITION].edge_index = torch.stack(
        [rows.repeat_interleave(len(current)), columns.repeat(len(previous))]
    )  # (2, E)
    return graph


def _empty_ids(detections: Detections) -> Tensor:
    if len(detections):
        raise ValueError(
            "Expected ids on both sides of the pair or on neither, got them on one side: set ids, or drop them with "
            "replace(ids=None)"
        )
    return detections.labels  # empty, int64


def _matching_embeddings(previous: Detections, current: Detections) -> tuple[Tensor | None, Tensor | None]:
    x_previous, x_current = previous.embeddings, current.embeddings
    # A side without objects takes the width of the other side's embeddings.
    if x_previous is None and x_current is not None and len(previous) == 0:
        x_previous = x_current[:0]
    if x_current is None and x_previous is not None and len(current) == 0:
        x_current = x_previous[:0]
    if (x_previous is None) != (x_current is None):
        raise ValueError(
            "Expected embeddings on both sides of the pair or on neither, got them on one side: encode both sides, or "
            "drop them with replace(embeddings=None)"
        )
    return x_previous, x_current
