"""The graph of a training pair, and what a relation model learns from it."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.graph import TRANSITION, AddLabels, frame_pair_graph
from tltm_graph.models import RelationModel
from tltm_graph.nn import TransitionGNN
from tltm_graph.structures import Detections
from tltm_graph.training.losses import edge_loss, transition_loss
from tltm_graph.training.regions import Regions


def remembered(objects: Detections, jitter: Callable[[Detections], Tensor] | None) -> Regions:
    """The regions of the earlier frame: true boxes, or what ``jitter`` makes of them; those without area show none."""
    has_area = (objects.boxes[:, 2:] > objects.boxes[:, :2]).all(dim=1)
    rows = torch.where(has_area, torch.arange(len(objects), device=has_area.device), -1)
    return Regions(objects.boxes if jitter is None else jitter(objects), rows)


def relation_graph(before: Detections, old: Regions, x: Tensor, now: Detections, new: Regions, z: Tensor) -> HeteroData:
    """The complete graph between the objects of the earlier frame and the regions of the later one.

    Args:
        before: True objects of the earlier frame.
        old: Where they are pooled.
        x: Features of these (M, …).
        now: True objects of the later frame.
        new: Regions there; several may show one object, negatives none.
        z: Features of these (N, …).

    Returns:
        A graph with ``y (E,)``: 1 where both ends show one object.
    """
    labels = torch.cat([now.labels, now.labels.new_zeros(1)])[new.rows]  # row -1, the last: a negative's
    seen = Detections(new.boxes, torch.ones_like(new.boxes[:, 0]), labels)
    graph = frame_pair_graph(before.replace(boxes=old.boxes, ids=None, masks=None), seen)
    graph["previous"].x, graph["current"].x = x, z
    ids = _ids(now)
    graph["previous"].ids, graph["current"].ids = _ids(before), torch.cat([ids, ids.new_full((1,), -1)])[new.rows]
    labelled: HeteroData = AddLabels()(graph)
    return labelled


def relation_losses(relation: RelationModel, graph: HeteroData, transition_weight: float) -> dict[str, Tensor]:
    """``"gnn_edge"`` and, if it has a weight, ``"transition"`` of a graph, or of a batch of them, with nodes ``x``.

    Raises:
        ValueError: If transitions have a weight and the GNN cannot learn them.
    """
    store = graph[TRANSITION]
    losses = {"gnn_edge": edge_loss(relation.score(graph), store.y, store.known if "known" in store else None)}
    if transition_weight:
        gnn = relation.gnn
        if not isinstance(gnn, TransitionGNN):
            raise ValueError(f"Expected a TransitionGNN to learn transitions, got {gnn!r}")
        x = graph["previous"].x, graph["current"].x
        predicted = x[0] + gnn.transition(x, store.edge_index, relation.edge_features(graph))
        row, column = store.edge_index[:, store.y > 0]
        losses["transition"] = transition_weight * transition_loss(predicted[row], x[1][column])
    return losses


def _ids(objects: Detections) -> Tensor:
    return objects.ids if objects.ids is not None else objects.labels.new_full((len(objects),), -1)
