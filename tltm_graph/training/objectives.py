"""Losses of a batch of frame pairs, for a whole TLTM, for a detector and for its mask head alone."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch

from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.detectors.centermask.fcos import assign_targets
from tltm_graph.detectors.centermask.mask_head import mask_targets
from tltm_graph.detectors.centermask.model import Pyramid
from tltm_graph.models import TLTM
from tltm_graph.models.tltm import detector_of, expect_tltm
from tltm_graph.structures import Detections, FramePair
from tltm_graph.training.losses import fcos_losses, mask_loss
from tltm_graph.training.regions import (
    GroundTruthRegions,
    JitteredBoxes,
    ProposalRegions,
    Regions,
    RegionSampler,
    previous_regions,
)
from tltm_graph.training.relation_objective import pair_graph, relation_losses


def true_previous(previous: Pyramid, current: Pyramid) -> Pyramid:
    """Fuse the current frame with the previous one, as at test time."""
    return previous


def current_twice(previous: Pyramid, current: Pyramid) -> Pyramid:
    """Fuse the current frame with itself, as the released code trains."""
    return current


class DetectorObjective:
    """Losses of CenterMask (arXiv 1911.06667) on single images, to train a detector before it sees videos.

    Both frames of a pair are used as images. ResFuser, encoder and GNN of a TLTM are not used and get no gradient.

    Args:
        sampler: Sampler of the regions for the mask head; by default proposals and true boxes.
    """

    def __init__(self, sampler: RegionSampler | None = None) -> None:
        self.sampler = sampler or ProposalRegions(negative_share=0)

    def __call__(self, model: TLTM | CenterMask, pairs: Sequence[FramePair]) -> dict[str, Tensor]:
        """Compute the losses of all frames of the pairs, to be added.

        Args:
            model: The model.
            pairs: At least one pair. Pairs may differ in image size and have no objects.

        Returns:
            ``"fcos_cls"``, ``"fcos_loc"``, ``"fcos_ctr"`` and ``"mask"``. Without anything to learn, a loss and its
            gradient are 0.

        Raises:
            ValueError: If there is no pair, or a label is not one of the model's classes.
        """
        detector = detector_of(model)
        images, truth = _frames_of(pairs, detector)

        batch = detector.prepare(images)
        pyramid = detector.backbone(batch)
        outputs, strides = detector.head(detector.head_levels(pyramid)), detector.backbone.strides
        losses = fcos_losses(outputs, assign_targets([level.logits.shape[2:] for level in outputs], strides, truth))
        with torch.no_grad():
            regions = self.sampler(lambda decoder: decoder(outputs, strides), truth)
        regions = [Regions(r.boxes[r.rows >= 0], r.rows[r.rows >= 0]) for r in regions]
        sizes = [(image.shape[1], image.shape[2]) for image in images]
        features = detector.pool(pyramid, [r.boxes for r in regions], sizes, batch)  # (N, C, 14, 14)
        losses["mask"] = region_mask_loss(detector, features, regions, truth)
        return losses

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.sampler!r})"


class MaskObjective:
    """Loss of the mask head alone, on single images. Backbone and head get no gradient.

    Both frames of a pair are used as images.

    Args:
        jitter: Noise of the true boxes that features are pooled from; by default :class:`JitteredBoxes`.
        max_regions: Maximum number of objects of an image; more are sampled at random.
    """

    def __init__(self, jitter: JitteredBoxes | None = None, max_regions: int = 16) -> None:
        self.jitter = jitter or JitteredBoxes()
        self.max_regions = max_regions

    def __call__(self, model: TLTM | CenterMask, pairs: Sequence[FramePair]) -> dict[str, Tensor]:
        """Compute the loss of all frames of the pairs.

        Args:
            model: The model.
            pairs: At least one pair. Pairs may differ in image size and have no objects.

        Returns:
            ``"mask"``. Without objects, the loss and its gradient are 0.

        Raises:
            ValueError: If there is no pair, or a label is not one of the model's classes.
        """
        detector = detector_of(model)
        images, truth = _frames_of(pairs, detector)
        true = GroundTruthRegions(self.max_regions)(lambda _: [], truth)
        regions = [Regions(self.jitter(o[r.rows]), r.rows) for o, r in zip(truth, true, strict=True)]
        sizes = [(image.shape[1], image.shape[2]) for image in images]
        with torch.no_grad():
            batch = detector.prepare(images)
            features = detector.pool(detector.backbone(batch), [r.boxes for r in regions], sizes, batch)
        return {"mask": region_mask_loss(detector, features, regions, truth)}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.jitter!r}, max_regions={self.max_regions})"


class PairObjective:
    """Losses of a TLTM on frame pairs.

    The detector learns the current frame, fused with ``reference``. Mask head and GNN learn from regions of the current
    frame; the GNN's previous nodes are the true objects of the previous frame. Mask head and encoder share the pooled
    features. Negative regions show no object: the GNN learns that no transition leads to them.

    Args:
        reference: Function that selects the pyramid to fuse the current one with, from (previous, current).
        sampler: Sampler of the regions of the current frame; by default :class:`ProposalRegions` with negatives.
        transition_weight: Weight of :func:`tltm_graph.training.losses.transition_loss`; 0 omits it.
        previous_boxes: Noise of the boxes of the previous frame, which are otherwise the true ones. With
            :class:`JitteredBoxes` they are as inexact as the boxes of a tracker's memory.
        both_frames: Train detector and mask head on the previous frame too, as the first frame of a video, which is
            fused with itself. Its features are computed anyway, so this takes only a third more time.
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
        """Compute the losses of the pairs, to be added.

        Args:
            model: The model; training mode makes no difference.
            pairs: At least one pair. Pairs may differ in image size and have no objects.

        Returns:
            ``"fcos_cls"``, ``"fcos_loc"``, ``"fcos_ctr"``, ``"mask"``, ``"gnn_edge"`` and, if it has a weight,
            ``"transition"``. Without anything to learn, a loss and its gradient are 0.

        Raises:
            ValueError: If there is no pair, the model is no TLTM, or a label is not one of the model's classes.
        """
        model = expect_tltm(model)
        detector = model.detector
        _check_pairs(pairs, detector.head.num_classes)
        device = detector.pixel_mean.device
        before, now = [p.previous.to(device) for p in pairs], [p.current.to(device) for p in pairs]
        sizes = [(p.current_image.shape[1], p.current_image.shape[2]) for p in pairs]

        images = detector.prepare([p.previous_image for p in pairs] + [p.current_image for p in pairs])
        both = detector.backbone(images)
        previous, current = [level[: len(pairs)] for level in both], [level[len(pairs) :] for level in both]
        fused, truth = detector.fuse(self.reference(previous, current), current), now
        if self.both_frames:
            first = detector.fuse(previous, previous)
            fused, truth = [torch.cat(levels) for levels in zip(fused, first, strict=True)], now + before
        outputs = detector.head(fused)
        strides = detector.backbone.strides
        targets = assign_targets([level.logits.shape[2:] for level in outputs], strides, truth)
        losses = fcos_losses(outputs, targets)

        current_outputs = [level[: len(pairs)] for level in outputs]
        with torch.no_grad():
            new = self.sampler(lambda decoder: decoder(current_outputs, strides), now)
        features = detector.pool(current, [r.boxes for r in new], sizes, images[len(pairs) :])  # (N, C, 14, 14)
        old = [previous_regions(objects, self.previous_boxes) for objects in before]
        previous_features = detector.pool(previous, [r.boxes for r in old], sizes, images[: len(pairs)])
        if self.both_frames:
            losses["mask"] = region_mask_loss(detector, torch.cat([features, previous_features]), new + old, truth)
        else:
            losses["mask"] = region_mask_loss(detector, features, new, now)

        x = model.relation.encoder(previous_features).split([len(r.boxes) for r in old])
        z = model.relation.encoder(features).split([len(r.boxes) for r in new])
        graph = Batch.from_data_list(list(map(pair_graph, before, old, x, now, new, z)))
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
    """Build the objective of the paper: true previous frame, proposals and true boxes as regions."""
    return PairObjective(true_previous, ProposalRegions(negative_share=0), transition_weight)


def released_objective() -> PairObjective:
    """Build the objective of the released code: current frame fused with itself, true boxes as regions."""
    return PairObjective(current_twice, GroundTruthRegions())


def region_mask_loss(detector: CenterMask, features: Tensor, regions: list[Regions], truth: list[Detections]) -> Tensor:
    """Compute the mask loss of the regions that show an object, from their pooled features (N, C, 14, 14)."""
    positive = [r.rows >= 0 for r in regions]
    rows = [r.rows[chosen] for r, chosen in zip(regions, positive, strict=True)]
    labels = torch.cat([objects.labels[chosen] for objects, chosen in zip(truth, rows, strict=True)])
    logits = detector.mask_logits(features[torch.cat(positive)], labels)  # (P, 28, 28)
    targets = [
        mask_targets(objects.masks, r.boxes[chosen], shown, logits.shape[-1])
        if objects.masks is not None
        else logits.new_zeros((0, *logits.shape[1:]))
        for objects, r, chosen, shown in zip(truth, regions, positive, rows, strict=True)
    ]
    return mask_loss(logits, torch.cat(targets))


def _frames_of(pairs: Sequence[FramePair], detector: CenterMask) -> tuple[list[Tensor], list[Detections]]:
    """Return the images of all frames of the pairs, and their objects on the detector's device, after a check."""
    _check_pairs(pairs, detector.head.num_classes)
    truth = [objects.to(detector.pixel_mean.device) for objects in _truth_of(pairs)]
    return [p.previous_image for p in pairs] + [p.current_image for p in pairs], truth


def _truth_of(pairs: Sequence[FramePair]) -> list[Detections]:
    return [p.previous for p in pairs] + [p.current for p in pairs]


def _check_pairs(pairs: Sequence[FramePair], num_classes: int) -> None:
    if not pairs:
        raise ValueError("Expected at least one pair of frames, got none")
    highest = max((int(objects.labels.max()) for objects in _truth_of(pairs) if len(objects)), default=0)
    if highest >= num_classes:
        raise ValueError(f"Expected labels below {num_classes}, the number of classes, got {highest}")
