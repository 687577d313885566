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
        rows: The true object of each (N,), a row of the truth.
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

    Args:
        decoder: Picks proposals from the output of the detector.
        max_regions: At most so many an image, drawn at random.
    """

    def __init__(self, decoder: Decoder | None = None, max_regions: int = 128) -> None:
        self.decoder = decoder or Decoder(max_objects=100)
        self.max_regions = max_regions

    def __call__(self, propose: Callable[[Decoder], list[Detections]], truth: Sequence[Detections]) -> list[Regions]:
        """See :class:`RegionSampler`."""
        return [
            match_regions(torch.cat([proposed.boxes, objects.boxes]), objects, max_regions=self.max_regions)
            for proposed, objects in zip(propose(self.decoder), truth, strict=True)
        ]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.decoder!r}, max_regions={self.max_regions})"


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


def _some(rows: Tensor, most: int) -> Tensor:
    return rows if len(rows) <= most else rows[torch.randperm(len(rows), device=rows.device)[:most]]
