import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.structures import Detections

TRANSITION = ("previous", "transition", "current")
"""The edge type of the graph: from an object of the previous frame (or of memory) to one of the current frame."""


def frame_pair_graph(previous: Detections, current: Detections) -> HeteroData:
    """The complete bipartite graph between the objects of two frames.

    Args:
        previous: Objects of the earlier frame, or everything a memory holds.
        current: Objects of the later frame.

    Returns:
        Node types ``"previous"`` and ``"current"`` with ``boxes (N, 4)``, ``scores (N,)``, ``labels (N,)`` and, where
        known, ``ids (N,)`` and node features ``x (N, F)``; edge type :data:`TRANSITION` with ``edge_index (2, E)``,
        row 0 previous and row 1 current, ordered by previous, then current. E = 0 if a side is empty. Ready for
        :class:`torch_geometric.loader.DataLoader`, empty sides included: a side without objects takes its fields from
        the other one. (PyG batches graphs of the same fields: where both sides may be empty, give both the fields.)

    Raises:
        ValueError: If one side has objects with features or ids and the other has objects without.
    """
    graph = HeteroData()
    features = _matching_features(previous, current)
    for name, detections, x in zip(("previous", "current"), (previous, current), features, strict=True):
        nodes = graph[name]
        nodes.num_nodes = len(detections)
        nodes.boxes, nodes.scores, nodes.labels = detections.boxes, detections.scores, detections.labels
        if previous.ids is not None or current.ids is not None:
            nodes.ids = detections.ids if detections.ids is not None else _unknown(detections)
        if x is not None:
            nodes.x = x
    rows = torch.arange(len(previous), device=current.boxes.device)
    columns = torch.arange(len(current), device=current.boxes.device)
    graph[TRANSITION].edge_index = torch.stack(
        [rows.repeat_interleave(len(current)), columns.repeat(len(previous))]
    )  # (2, E)
    return graph


def _unknown(detections: Detections) -> Tensor:
    if len(detections):
        raise ValueError("Expected ids on both sides of the pair or on neither, got them on one side")
    return detections.labels


def _matching_features(previous: Detections, current: Detections) -> tuple[Tensor | None, Tensor | None]:
    before, now = previous.features, current.features
    # A side without objects cannot know what features the other side's detector makes.
    if before is None and now is not None and len(previous) == 0:
        before = now[:0]
    if now is None and before is not None and len(current) == 0:
        now = before[:0]
    if (before is None) != (now is None):
        raise ValueError("Expected features on both sides of the pair or on neither, got them on one side")
    if before is None or now is None:
        return None, None
    return before.flatten(1), now.flatten(1)
