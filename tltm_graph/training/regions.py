"""Samplers of the regions from which mask head and GNN learn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torchvision.ops import box_iou

from tltm_graph.detectors.centermask import Decoder
from tltm_graph.structures import Detections

Propose = Callable[[Decoder], list[Detections]]
"""Function that decodes the detector's proposals in each image. It takes time: call it at most once."""


@dataclass(frozen=True, eq=False)
class Regions:
    """Boxes of one image, each with the object that it shows.

    Args:
        boxes: Boxes xyxy in pixels (N, 4).
        rows: Row of the object in the ground truth (N,), or -1 for a negative, which shows no object. The GNN learns
            that no transition leads to a negative; the mask head skips it.
    """

    boxes: Tensor
    rows: Tensor


class RegionSampler(Protocol):
    """Samples the regions of each image."""

    def __call__(self, propose: Propose, truth: Sequence[Detections]) -> list[Regions]:
        """Sample regions.

        Args:
            propose: Function that gives the detector's proposals.
            truth: True objects of each image.
        """
        ...


class GroundTruthRegions:
    """Sampler of true boxes only, as in the released code. Boxes without area are left out.

    Args:
        max_regions: Maximum number of regions of an image; more are sampled at random.
    """

    def __init__(self, max_regions: int = 128) -> None:
        self.max_regions = max_regions

    def __call__(self, propose: Propose, truth: Sequence[Detections]) -> list[Regions]:
        """Sample regions, see :class:`RegionSampler`."""
        return [self._sample(objects) for objects in truth]

    def _sample(self, objects: Detections) -> Regions:
        rows = _sample(_has_area(objects).nonzero().flatten(), self.max_regions)
        return Regions(objects.boxes[rows], rows)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(max_regions={self.max_regions})"


class ProposalRegions:
    """Sampler of true boxes and of proposals that overlap an object, as in the paper and in CenterMask.

    All proposals of an object are kept, so that the GNN learns from duplicates. With ``negative_share`` it learns from
    false positives too: the most confident proposals that overlap no object are added as negatives.

    Args:
        decoder: Decoder of the proposals.
        max_regions: Maximum number of regions of an image that show an object; more are sampled at random.
        negative_share: Maximum share of negatives in an image's regions, in [0, 1); at least one is allowed. 0, as in
            the paper, adds none.

    Raises:
        ValueError: If the share is out of range.
    """

    def __init__(self, decoder: Decoder | None = None, max_regions: int = 128, negative_share: float = 0.25) -> None:
        if not 0 <= negative_share < 1:
            raise ValueError(f"Expected negative_share from 0 to below 1, got {negative_share}")
        self.decoder = decoder or Decoder(max_objects=100)
        self.max_regions = max_regions
        self.negative_share = negative_share

    def __call__(self, propose: Propose, truth: Sequence[Detections]) -> list[Regions]:
        """Sample regions, see :class:`RegionSampler`."""
        proposals = propose(self.decoder)
        return [self._sample(proposed, objects) for proposed, objects in zip(proposals, truth, strict=True)]

    def _sample(self, proposed: Detections, objects: Detections) -> Regions:
        positive = match_regions(torch.cat([proposed.boxes, objects.boxes]), objects, max_regions=self.max_regions)
        if self.negative_share == 0:
            return positive
        ratio = self.negative_share / (1 - self.negative_share)
        boxes = negative_boxes(proposed, objects, max_boxes=max(1, int(ratio * len(positive.rows))))
        rows = positive.rows.new_full((len(boxes),), -1)
        return Regions(torch.cat([positive.boxes, boxes]), torch.cat([positive.rows, rows]))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.decoder!r}, max_regions={self.max_regions}, "
            f"negative_share={self.negative_share})"
        )


class JitteredBoxes:
    """Noise that makes true boxes as inexact as detected ones.

    Args:
        std: Standard deviation of the shift of the centre, in box widths and heights, and of the logarithm of width
            and height.

    Raises:
        ValueError: If it is negative.
    """

    def __init__(self, std: float = 0.05) -> None:
        if std < 0:
            raise ValueError(f"Expected a standard deviation of at least 0, got {std}")
        self.std = std

    def __call__(self, objects: Detections) -> Tensor:
        """Draw boxes xyxy in pixels (N, 4), which may reach beyond the image."""
        low, high = objects.boxes.split(2, dim=1)  # (N, 2)
        sides = high - low
        centre = (low + high) / 2 + self.std * torch.randn_like(sides) * sides
        half = sides / 2 * (self.std * torch.randn_like(sides)).exp()
        return torch.cat([centre - half, centre + half], dim=1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(std={self.std})"


def previous_regions(objects: Detections, jitter: Callable[[Detections], Tensor] | None) -> Regions:
    """Make the regions of the previous frame: its true boxes, with jitter or without. Empty boxes are negatives."""
    has_area = _has_area(objects)
    rows = torch.where(has_area, torch.arange(len(objects), device=has_area.device), -1)
    return Regions(objects.boxes if jitter is None else jitter(objects), rows)


def match_regions(boxes: Tensor, truth: Detections, min_iou: float = 0.5, max_regions: int = 128) -> Regions:
    """Match boxes to the true object that they overlap most, the first of equals.

    Args:
        boxes: Candidates xyxy (N, 4).
        truth: True objects.
        min_iou: Smallest IoU; boxes below it are left out.
        max_regions: Maximum number of regions; more are sampled at random.
    """
    if len(truth) == 0:
        return Regions(boxes[:0], truth.labels[:0])
    overlap, rows = box_iou(boxes, truth.boxes).nan_to_num(0.0).max(dim=1)
    matched = _sample((overlap >= min_iou).nonzero().flatten(), max_regions)
    return Regions(boxes[matched], rows[matched])


def negative_boxes(proposed: Detections, truth: Detections, max_iou: float = 0.3, max_boxes: int = 32) -> Tensor:
    """Select the most confident proposals that overlap no true object, in order of their scores.

    Args:
        proposed: Proposals of the detector.
        truth: True objects.
        max_iou: IoU with every object must be below this.
        max_boxes: Maximum number of boxes.

    Returns:
        Boxes xyxy (K, 4).
    """
    overlap = box_iou(proposed.boxes, truth.boxes).nan_to_num(0.0)  # (N, G)
    apart = proposed[(overlap < max_iou).all(dim=1)]
    return apart.boxes[apart.scores.argsort(descending=True, stable=True)[:max_boxes]]


def _has_area(objects: Detections) -> Tensor:
    return (objects.boxes[:, 2:] > objects.boxes[:, :2]).all(dim=1)


def _sample(rows: Tensor, max_rows: int) -> Tensor:
    return rows if len(rows) <= max_rows else rows[torch.randperm(len(rows), device=rows.device)[:max_rows]]
