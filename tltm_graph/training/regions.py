"""Which boxes mask head and GNN learn from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torchvision.ops import box_iou

from tltm_graph.detectors.centermask import Decoder
from tltm_graph.structures import Detections


@dataclass(frozen=True, eq=False)
class Regions:
    """Boxes of one image, each with the object it is to show.

    Args:
        boxes: Boxes xyxy in pixels (N, 4).
        rows: The true object of each (N,), a row of the truth; -1 for a negative, which shows none: the GNN learns that
            it goes with nothing, the mask head skips it.
    """

    boxes: Tensor
    rows: Tensor


class RegionSampler(Protocol):
    """Chooses the regions of each image."""

    def __call__(self, propose: Callable[[Decoder], list[Detections]], truth: Sequence[Detections]) -> list[Regions]:
        """Chooses regions.

        Args:
            propose: What the detector finds in the images, with a decoder of one's choice. Costs time; call it at most
                once.
            truth: The true objects of each image.
        """
        ...


class GroundTruthRegions:
    """The true boxes alone, as the released code trains; those without area are left out.

    Args:
        max_regions: At most so many an image, drawn at random.
    """

    def __init__(self, max_regions: int = 128) -> None:
        self.max_regions = max_regions

    def __call__(self, propose: Callable[[Decoder], list[Detections]], truth: Sequence[Detections]) -> list[Regions]:
        """See :class:`RegionSampler`."""
        return [self._of(objects) for objects in truth]

    def _of(self, objects: Detections) -> Regions:
        rows = (objects.boxes[:, 2:] > objects.boxes[:, :2]).all(dim=1).nonzero().flatten()
        rows = _some(rows, self.max_regions)
        return Regions(objects.boxes[rows], rows)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(max_regions={self.max_regions})"


class ProposalRegions:
    """What the detector finds and the true boxes, as the paper (and CenterMask) train: those that overlap an object.

    Several proposals of one object are all kept, so that the GNN meets duplicates. With ``negative_share``, it meets
    false positives too: the most confident proposals that overlap no object are added as negatives.

    Args:
        decoder: Picks proposals from the output of the detector.
        max_regions: At most so many an image that show an object, drawn at random.
        negative_share: Negatives are at most this share of an image's regions, but at least one is allowed; the paper
            has none, as here at 0.

    Raises:
        ValueError: If the share is not from 0 to below 1.
    """

    def __init__(self, decoder: Decoder | None = None, max_regions: int = 128, negative_share: float = 0.25) -> None:
        if not 0 <= negative_share < 1:
            raise ValueError(f"Expected negative_share from 0 to below 1, got {negative_share}")
        self.decoder = decoder or Decoder(max_objects=100)
        self.max_regions = max_regions
        self.negative_share = negative_share

    def __call__(self, propose: Callable[[Decoder], list[Detections]], truth: Sequence[Detections]) -> list[Regions]:
        """See :class:`RegionSampler`."""
        return [self._of(proposed, objects) for proposed, objects in zip(propose(self.decoder), truth, strict=True)]

    def _of(self, proposed: Detections, objects: Detections) -> Regions:
        shown = match_regions(torch.cat([proposed.boxes, objects.boxes]), objects, max_regions=self.max_regions)
        if self.negative_share == 0:
            return shown
        per_shown = self.negative_share / (1 - self.negative_share)
        boxes = negative_boxes(proposed, objects, max_boxes=max(1, int(per_shown * len(shown.rows))))
        negative = shown.rows.new_full((len(boxes),), -1)
        return Regions(torch.cat([shown.boxes, boxes]), torch.cat([shown.rows, negative]))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.decoder!r}, max_regions={self.max_regions}, "
            f"negative_share={self.negative_share})"
        )


class JitteredBoxes:
    """True boxes as inexact as detected ones: centres and sides are drawn from around the true ones.

    Args:
        std: Standard deviation of the centre's shift, in units of the box's width and height, and of the logarithm of
            its width and height.

    Raises:
        ValueError: If it is negative.
    """

    def __init__(self, std: float = 0.05) -> None:
        if std < 0:
            raise ValueError(f"Expected a standard deviation of at least 0, got {std}")
        self.std = std

    def __call__(self, objects: Detections) -> Tensor:
        """Boxes xyxy in pixels (N, 4), which may stick out of the image."""
        low, high = objects.boxes.split(2, dim=1)  # (N, 2)
        sides = high - low
        centre = (low + high) / 2 + self.std * torch.randn_like(sides) * sides
        reach = sides / 2 * (self.std * torch.randn_like(sides)).exp()
        return torch.cat([centre - reach, centre + reach], dim=1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(std={self.std})"


def match_regions(boxes: Tensor, truth: Detections, min_iou: float = 0.5, max_regions: int = 128) -> Regions:
    """The boxes that overlap a true object, each with the one it overlaps most (the first of equals).

    Args:
        boxes: Candidates xyxy (N, 4).
        truth: The true objects.
        min_iou: Least overlap.
        max_regions: If more do, so many are drawn at random.
    """
    if len(truth) == 0:
        return Regions(boxes[:0], truth.labels[:0])
    overlap, rows = box_iou(boxes, truth.boxes).nan_to_num(0.0).max(dim=1)
    kept = (overlap >= min_iou).nonzero().flatten()
    kept = _some(kept, max_regions)
    return Regions(boxes[kept], rows[kept])


def negative_boxes(proposed: Detections, truth: Detections, max_iou: float = 0.3, max_boxes: int = 32) -> Tensor:
    """Proposals that overlap no true object, the most confident first.

    Args:
        proposed: What the detector finds.
        truth: The true objects.
        max_iou: Their overlap with any object is below.
        max_boxes: At most so many.

    Returns:
        Boxes xyxy (K, 4).
    """
    overlap = box_iou(proposed.boxes, truth.boxes).nan_to_num(0.0)  # (N, G)
    apart = proposed[(overlap < max_iou).all(dim=1)]
    return apart.boxes[apart.scores.argsort(descending=True, stable=True)[:max_boxes]]


def _some(rows: Tensor, most: int) -> Tensor:
    return rows if len(rows) <= most else rows[torch.randperm(len(rows), device=rows.device)[:most]]
