"""The graph of a training pair, and what a relation model learns from it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch, HeteroData
from torch_geometric.utils import scatter

from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.graph import TRANSITION, AddLabels, frame_pair_graph
from tltm_graph.models import TLTM, RelationModel
from tltm_graph.nn import TransitionGNN
from tltm_graph.structures import Detections, FramePair
from tltm_graph.training.losses import edge_loss, transition_loss
from tltm_graph.training.memory_graphs import SAME
from tltm_graph.training.regions import JitteredBoxes, ProposalRegions, Regions, RegionSampler


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


@torch.no_grad()
def pooled_graph(
    detector: CenterMask,
    pair: FramePair,
    sampler: RegionSampler | None = None,
    previous_boxes: JitteredBoxes | None = None,
) -> HeteroData:
    """What :class:`tltm_graph.training.PairObjective` would show the relation model of a pair of frames.

    Args:
        detector: Makes the features. It is not trained.
        pair: The pair.
        sampler: Chooses the regions of the later frame; by default :class:`ProposalRegions` with negatives.
        previous_boxes: Where the objects of the earlier frame are pooled; by default in their true boxes.

    Returns:
        The complete graph with pooled features ``x (N, C, 14, 14)`` of both sides and ``y (E,)``: 1 where both ends
        show one object.
    """
    before, now = pair.previous, pair.current
    size = (pair.current_image.shape[1], pair.current_image.shape[2])
    images = detector.prepare([pair.previous_image, pair.current_image])
    both = detector.backbone(images)
    previous, current = [level[:1] for level in both], [level[1:] for level in both]
    outputs = detector.head(detector.fuse(previous, current))
    strides = detector.backbone.strides
    (regions,) = (sampler or ProposalRegions())(lambda decoder: decoder(outputs, strides), [now])
    old = remembered(before, previous_boxes)
    x = detector.pool(previous, [old.boxes], [size], images[:1])
    z = detector.pool(current, [regions.boxes], [size], images[1:])
    return relation_graph(before, old, x, now, regions, z)


class RelationObjective:
    """The losses of a relation model on pooled graphs: those of :class:`tltm_graph.training.PairObjective`.

    Args:
        transition_weight: Weight of :func:`tltm_graph.training.transition_loss`; at 0 it is left out.
    """

    def __init__(self, transition_weight: float = 0.0) -> None:
        self.transition_weight = transition_weight

    def __call__(self, model: RelationModel | TLTM, graphs: Sequence[HeteroData]) -> dict[str, Tensor]:
        """The losses of ``graphs``, to be added up.

        Args:
            model: The model, or a TLTM, of which the relation alone learns; it needs a
                :class:`tltm_graph.nn.TransitionGNN` if transitions have a weight.
            graphs: At least one, from :func:`pooled_graph` or :func:`tltm_graph.training.memory_graph`; their features
                may be in half precision.

        Returns:
            ``"gnn_edge"`` and, if it has a weight, ``"transition"``.

        Raises:
            ValueError: If there is no graph, or the model cannot learn transitions.
        """
        if not graphs:
            raise ValueError("Expected at least one graph to learn from, got none")
        relation = model if isinstance(model, RelationModel) else model.relation
        batch = Batch.from_data_list(list(graphs))
        for side in ("previous", "current"):
            batch[side].x = relation.encoder(batch[side].x.float())
        if "earlier" in batch.node_types:
            batch["previous"].mean_x = _mean_embeddings(relation, batch)
        return relation_losses(relation, batch, self.transition_weight)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(transition_weight={self.transition_weight})"


def _mean_embeddings(relation: RelationModel, graph: HeteroData) -> Tensor:
    """The mean node of each previous object over all its observations (M, F); the earlier ones, many, give no gradient."""
    x = graph["previous"].x
    with torch.no_grad():
        earlier = relation.encoder(graph["earlier"].x.float())
    row, column = graph[SAME].edge_index
    every = torch.cat([x, earlier[row]])
    return scatter(every, torch.cat([torch.arange(len(x), device=x.device), column]), dim_size=len(x), reduce="mean")
