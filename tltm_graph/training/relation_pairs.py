"""The relation model alone: it learns from what a finished detector has pooled once and for all."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch, HeteroData

from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.graph import TRANSITION, AddLabels, frame_pair_graph
from tltm_graph.models import RelationModel
from tltm_graph.nn import TransitionGNN
from tltm_graph.structures import Detections, FramePair
from tltm_graph.training.losses import edge_loss, transition_loss
from tltm_graph.training.regions import ProposalRegions, RegionSampler, true_boxes


@torch.no_grad()
def pooled_graph(
    detector: CenterMask,
    pair: FramePair,
    sampler: RegionSampler | None = None,
    previous_boxes: Callable[[Detections], Tensor] = true_boxes,
) -> HeteroData:
    """What :class:`tltm_graph.training.PairObjective` would show the relation model of a pair of frames.

    Args:
        detector: Makes the features. It is not trained.
        pair: The pair.
        sampler: Chooses the regions of the later frame; by default :class:`ProposalRegions` with negatives.
        previous_boxes: Where the objects of the earlier frame are pooled, boxes (N, 4) from the true objects.

    Returns:
        The complete graph with pooled features ``x (N, C, 14, 14)`` of both sides and ``y (E,)``: 1 where both ends
        show one object.
    """
    before, now = pair.previous, pair.current
    size = (pair.current_image.shape[1], pair.current_image.shape[2])
    both = detector.backbone(detector.prepare([pair.previous_image, pair.current_image]))
    previous, current = [level[:1] for level in both], [level[1:] for level in both]
    outputs = detector.head(detector.fuse(previous, current))
    strides = detector.backbone.strides
    (regions,) = (sampler or ProposalRegions())(lambda decoder: decoder(outputs, strides), [now])
    before = before.replace(boxes=previous_boxes(before), ids=_ids(before), masks=None)
    shown = Detections(
        boxes=regions.boxes,
        scores=torch.ones_like(regions.boxes[:, 0]),
        labels=_rows(now.labels, regions.rows, 0),
    )
    graph = frame_pair_graph(before.replace(ids=None), shown)
    graph["previous"].ids, graph["current"].ids = _ids(before), _rows(_ids(now), regions.rows, -1)
    graph["previous"].x = detector.pool(previous, [before.boxes], [size])
    graph["current"].x = detector.pool(current, [regions.boxes], [size])
    labelled: HeteroData = AddLabels()(graph)
    return labelled


class RelationObjective:
    """The losses of a relation model on pooled graphs: those of :class:`tltm_graph.training.PairObjective`.

    Args:
        transition_weight: Weight of :func:`tltm_graph.training.transition_loss`; at 0 it is left out.
    """

    def __init__(self, transition_weight: float = 0.0) -> None:
        self.transition_weight = transition_weight

    def __call__(self, model: RelationModel, graphs: Sequence[HeteroData]) -> dict[str, Tensor]:
        """The losses of ``graphs``, to be added up.

        Args:
            model: The model; it needs a :class:`tltm_graph.nn.TransitionGNN` if transitions have a weight.
            graphs: At least one, from :func:`pooled_graph`; their features may be in half precision.

        Returns:
            ``"gnn_edge"`` and, if it has a weight, ``"transition"``.

        Raises:
            ValueError: If there is no graph, or the model cannot learn transitions.
        """
        if not graphs:
            raise ValueError("Expected at least one graph to learn from, got none")
        batch = Batch.from_data_list(list(graphs))
        for side in ("previous", "current"):
            batch[side].x = model.encoder(batch[side].x.float())
        store = batch[TRANSITION]
        losses = {"gnn_edge": edge_loss(model.score(batch), store.y)}
        if self.transition_weight:
            if not isinstance(model.gnn, TransitionGNN):
                raise ValueError(f"Expected a TransitionGNN to learn transitions, got {model.gnn!r}")
            x = (batch["previous"].x, batch["current"].x)
            predicted = x[0] + model.gnn.transition(x, store.edge_index)
            row, column = store.edge_index[:, store.y > 0]
            losses["transition"] = self.transition_weight * transition_loss(predicted[row], x[1][column])
        return losses

    def __repr__(self) -> str:
        return f"{type(self).__name__}(transition_weight={self.transition_weight})"


def _ids(objects: Detections) -> Tensor:
    return objects.ids if objects.ids is not None else objects.labels.new_full((len(objects),), -1)


def _rows(values: Tensor, rows: Tensor, otherwise: int) -> Tensor:
    """``values[rows]``, and ``otherwise`` where the row is -1."""
    return torch.cat([values, values.new_full((1,), otherwise)])[rows]
