"""What TLTM learns from pairs of frames, as the paper has it and as the released code does."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch

from tltm_graph.detectors.centermask.fcos import assign_targets
from tltm_graph.detectors.centermask.mask_head import mask_targets
from tltm_graph.detectors.centermask.model import CenterMask, Pyramid
from tltm_graph.models.tltm import TLTM, expect_tltm
from tltm_graph.structures import Detections, FramePair
from tltm_graph.training.losses import fcos_losses, mask_loss
from tltm_graph.training.regions import (
    GroundTruthRegions,
    JitteredBoxes,
    ProposalRegions,
    Regions,
    RegionSampler,
)
from tltm_graph.training.relation import relation_graph, relation_losses, remembered


def true_previous(previous: Pyramid, current: Pyramid) -> Pyramid:
    """The current frame is fused with the previous one."""
    return previous


def current_twice(previous: Pyramid, current: Pyramid) -> Pyramid:
    """The current frame is fused with itself: in training, the released code never shows the previous one."""
    return current


class PairObjective:
    """The losses of a batch of frame pairs.

    The detector learns the later frame of each pair, fused with ``reference``. Mask head and GNN learn from the regions
    that ``sampler`` chooses there; the nodes of the earlier frame are its true objects. Features are pooled once and
    shared by mask head and encoder. Negatives show no object: the GNN learns that no transition leads to them.

    Args:
        reference: Which pyramid the current one is fused with, from (previous, current).
        sampler: Chooses the regions of the later frame; by default :class:`ProposalRegions` with negatives.
        transition_weight: Weight of :func:`transition_loss`; at 0 it is left out.
        previous_boxes: Where the objects of the earlier frame are pooled: by default in their true boxes, with
            :class:`JitteredBoxes` in ones as inexact as those that a tracker remembers.
        both_frames: The detector and the mask head learn the earlier frame too, as the first one of a video, which is
            fused with itself. Its pyramid and its pooled objects are there anyway: twice the frames to learn from cost
            a third more time.
    """

    def __init__(
        self,
        reference: Callable[[Pyramid, Pyramid], Pyramid] = true_previous,
        sampler: RegionSampler | None = None,
        transition_weight: float = 0.0,
        previous_boxes: JitteredBoxes | None = None,
        both_frames: bool = False,
    ) -> None:
        self.reference = reference
        self.sampler = sampler or ProposalRegions()
        self.transition_weight = transition_weight
        self.previous_boxes = previous_boxes
        self.both_frames = both_frames

    def __call__(self, model: TLTM, pairs: Sequence[FramePair]) -> dict[str, Tensor]:
        """The losses of ``pairs``, to be added up.

        Args:
            model: The model, in training mode or not: nothing in it depends on that.
            pairs: At least one pair; images may differ in size between pairs, and have no objects.

        Returns:
            ``"fcos_cls"``, ``"fcos_loc"``, ``"fcos_ctr"``, ``"mask"``, ``"gnn_edge"`` and, if it has a weight,
            ``"transition"``. Where there is nothing to learn from, a loss is 0 and so is its gradient.

        Raises:
            ValueError: If there is no pair, the model is no TLTM, or a label is not one of the model's classes.
        """
        if not pairs:
            raise ValueError("Expected at least one pair of frames, got none")
        model = expect_tltm(model)
        num_classes = model.detector.head.num_classes
        highest = max(
            (int(truth.labels.max()) for p in pairs for truth in (p.previous, p.current) if len(truth)), default=0
        )
        if highest >= num_classes:
            raise ValueError(f"Expected labels below {num_classes}, the number of classes, got {highest}")
        detector = model.detector
        device = detector.pixel_mean.device
        before, now = [p.previous.to(device) for p in pairs], [p.current.to(device) for p in pairs]
        sizes = [(p.current_image.shape[1], p.current_image.shape[2]) for p in pairs]

        images = detector.prepare([p.previous_image for p in pairs] + [p.current_image for p in pairs])
        both = detector.backbone(images)
        previous, current = [level[: len(pairs)] for level in both], [level[len(pairs) :] for level in both]
        fused, seen = detector.fuse(self.reference(previous, current), current), now
        if self.both_frames:
            first = detector.fuse(previous, previous)
            fused, seen = [torch.cat(levels) for levels in zip(fused, first, strict=True)], now + before
        outputs = detector.head(fused)
        strides = detector.backbone.strides
        targets = assign_targets([level.logits.shape[2:] for level in outputs], strides, seen)
        losses = fcos_losses(outputs, targets)

        later = [level[: len(pairs)] for level in outputs]
        with torch.no_grad():
            regions = self.sampler(lambda decoder: decoder(later, strides), now)
        features = detector.pool(current, [r.boxes for r in regions], sizes, images[len(pairs) :])  # (N, C, 14, 14)
        old = [remembered(objects, self.previous_boxes) for objects in before]
        features_before = detector.pool(previous, [r.boxes for r in old], sizes, images[: len(pairs)])
        if self.both_frames:
            losses["mask"] = region_mask_loss(detector, torch.cat([features, features_before]), regions + old, seen)
        else:
            losses["mask"] = region_mask_loss(detector, features, regions, now)

        x = model.relation.encoder(features_before).split([len(r.boxes) for r in old])
        z = model.relation.encoder(features).split([len(r.boxes) for r in regions])
        graph = Batch.from_data_list(list(map(relation_graph, before, old, x, now, regions, z)))
        losses |= relation_losses(model.relation, graph, self.transition_weight)
        return losses

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(reference={self.reference.__name__}, sampler={self.sampler!r}, "
            f"transition_weight={self.transition_weight}, "
            f"previous_boxes={self.previous_boxes}, "
            f"both_frames={self.both_frames})"
        )


def paper_objective(transition_weight: float = 0.0) -> PairObjective:
    """As the paper describes it: the true previous frame is fused, proposals and true boxes feed mask head and GNN."""
    return PairObjective(true_previous, ProposalRegions(negative_share=0), transition_weight)


def released_objective() -> PairObjective:
    """As the released code does it: the current frame is fused with itself, true boxes alone feed mask head and GNN."""
    return PairObjective(current_twice, GroundTruthRegions())


def region_mask_loss(detector: CenterMask, features: Tensor, regions: list[Regions], truth: list[Detections]) -> Tensor:
    """:func:`mask_loss` of the regions that show an object, with their pooled features (N, C, 14, 14)."""
    shown = [r.rows >= 0 for r in regions]
    rows = [r.rows[kept] for r, kept in zip(regions, shown, strict=True)]
    labels = torch.cat([objects.labels[kept] for objects, kept in zip(truth, rows, strict=True)])
    logits = detector.mask_logits(features[torch.cat(shown)], labels)  # (P, 28, 28)
    targets = [
        mask_targets(objects.masks, r.boxes[kept], chosen, logits.shape[-1])
        if objects.masks is not None
        else logits.new_zeros((0, *logits.shape[1:]))
        for objects, r, kept, chosen in zip(truth, regions, shown, rows, strict=True)
    ]
    return mask_loss(logits, torch.cat(targets))
