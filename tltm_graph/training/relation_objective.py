"""Graphs of training pairs, and the losses of a relation model on graphs."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch, HeteroData
from torch_geometric.utils import scatter

from tltm_graph.graph import TRANSITION, AddLabels, frame_pair_graph
from tltm_graph.models import TLTM, RelationModel
from tltm_graph.nn import TransitionGNN
from tltm_graph.structures import Detections
from tltm_graph.training.losses import edge_loss, transition_loss
from tltm_graph.training.memory_data import SAME
from tltm_graph.training.regions import Regions


def pair_graph(before: Detections, old: Regions, x: Tensor, now: Detections, new: Regions, z: Tensor) -> HeteroData:
    """Build the complete graph between the true objects of the previous frame and the regions of the current one.

    Args:
        before: True objects of the previous frame (M).
        old: Regions of these objects.
        x: Node features of these objects (M, …).
        now: True objects of the current frame.
        new: Regions of the current frame (N). Several may show one object; negatives show none.
        z: Node features of these regions (N, …).

    Returns:
        A graph with edge labels ``y (E,)``: 1 where both ends show the same object.
    """
    labels = torch.cat([now.labels, now.labels.new_zeros(1)])[new.rows]  # negatives have row -1, the appended one
    regions = Detections(new.boxes, torch.ones_like(new.boxes[:, 0]), labels)
    graph = frame_pair_graph(before.replace(boxes=old.boxes, ids=None, masks=None), regions)
    graph["previous"].x, graph["current"].x = x, z
    ids = _ids(now)
    graph["previous"].ids, graph["current"].ids = _ids(before), torch.cat([ids, ids.new_full((1,), -1)])[new.rows]
    labelled: HeteroData = AddLabels()(graph)
    return labelled


def relation_losses(relation: RelationModel, graph: HeteroData, transition_weight: float) -> dict[str, Tensor]:
    """Compute ``"gnn_edge"`` and, if it has a weight, ``"transition"`` of one or more graphs with nodes ``x``.

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


def encoded_batch(relation: RelationModel, graphs: Sequence[HeteroData]) -> HeteroData:
    """Join graphs with pooled features to one graph with embeddings ``x`` and, if they have some, ``mean_x``.

    Raises:
        ValueError: If there is no graph.
    """
    if not graphs:
        raise ValueError("Expected at least one graph to learn from, got none")
    batch = Batch.from_data_list(list(graphs))
    for side in ("previous", "current"):
        batch[side].x = relation.encoder(batch[side].x.float())
    if "earlier" in batch.node_types:
        batch["previous"].mean_x = _mean_embeddings(relation, batch)
    return batch


class RelationObjective:
    """Losses of a relation model on graphs with pooled features: the same as in :class:`PairObjective`.

    Args:
        transition_weight: Weight of :func:`tltm_graph.training.losses.transition_loss`; 0 omits it.
    """

    def __init__(self, transition_weight: float = 0.0) -> None:
        self.transition_weight = transition_weight

    def __call__(self, model: RelationModel | TLTM, graphs: Sequence[HeteroData]) -> dict[str, Tensor]:
        """Compute the losses of the graphs, to be added.

        Args:
            model: A relation model, or a TLTM, of which only the relation model learns. It needs a
                :class:`tltm_graph.nn.TransitionGNN` if transitions have a weight.
            graphs: At least one graph, as of :func:`tltm_graph.training.memory_data.memory_graph`; features may be in
                half precision.

        Returns:
            ``"gnn_edge"`` and, if it has a weight, ``"transition"``.

        Raises:
            ValueError: If there is no graph, or the model cannot learn transitions.
        """
        relation = model if isinstance(model, RelationModel) else model.relation
        return relation_losses(relation, encoded_batch(relation, graphs), self.transition_weight)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(transition_weight={self.transition_weight})"


def _mean_embeddings(relation: RelationModel, graph: HeteroData) -> Tensor:
    """Average the embeddings of each previous object over all its observations (M, F).

    Only the last observation gets a gradient, because the earlier ones are many.
    """
    x = graph["previous"].x
    with torch.no_grad():
        earlier = relation.encoder(graph["earlier"].x.float())
    row, column = graph[SAME].edge_index
    observations = torch.cat([x, earlier[row]])
    index = torch.cat([torch.arange(len(x), device=x.device), column])
    return scatter(observations, index, dim_size=len(x), reduce="mean")


def _ids(objects: Detections) -> Tensor:
    return objects.ids if objects.ids is not None else objects.labels.new_full((len(objects),), -1)
