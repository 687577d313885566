from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import roi_align

from tltm_graph.detectors.centermask.fcos import cell_centres
from tltm_graph.structures import Detections

SIZE_RANGES = ((-1.0, 64.0), (64.0, 128.0), (128.0, 256.0), (256.0, 512.0), (512.0, 1e8))
"""Reach of the boxes that each level learns: the largest distance from the cell to a side, both ends included."""


@dataclass(frozen=True, eq=False)
class DenseTargets:
    """What the cells of all levels shall say, level after level.

    Args:
        labels: Class of each cell (B, L), -1 for background.
        distances: To the left, top, right and bottom side of its object, in strides (B, L, 4); no meaning where there
            is none.
    """

    labels: Tensor
    distances: Tensor

    @property
    def centerness(self) -> Tensor:
        r""":math:`\sqrt{\frac{\min(l, r)}{\max(l, r)} \cdot \frac{\min(t, b)}{\max(t, b)}}` (B, L), in [0, 1]."""
        sides = torch.stack([self.distances[..., 0::2], self.distances[..., 1::2]], dim=-2)  # (B, L, 2, 2)
        return (sides.amin(dim=-1) / sides.amax(dim=-1)).prod(dim=-1).sqrt()


def assign_targets(
    sizes: Sequence[Sequence[int]],
    strides: Sequence[int],
    truth: Sequence[Detections],
    radius: float = 1.5,
    size_ranges: Sequence[tuple[float, float]] = SIZE_RANGES,
) -> DenseTargets:
    """Which cell learns which object (FCOS, arXiv 1904.01355, with centre sampling).

    A cell may learn an object if it lies within ``radius`` strides of the centre of its box, both ways, and inside the
    box, and if the reach of the box suits the level. Of several the smallest box is taken, the first of equals.

    Args:
        sizes: Height and width of each level.
        strides: Pixels per cell of each level.
        truth: The objects of each image; boxes xyxy in pixels.
        radius: In strides.
        size_ranges: Reach of the boxes of each level, in pixels.
    """
    device = truth[0].boxes.device
    points = [cell_centres(size, stride, device) for size, stride in zip(sizes, strides, strict=True)]
    counts = torch.tensor([len(level) for level in points], device=device)
    stride = torch.tensor(strides, device=device, dtype=torch.float32).repeat_interleave(counts)  # (L,)
    reach = torch.tensor(size_ranges[: len(strides)], device=device).repeat_interleave(counts, dim=0)  # (L, 2)
    assigned = [_assign(torch.cat(points), stride, reach, radius, objects) for objects in truth]
    labels, distances = (torch.stack(parts) for parts in zip(*assigned, strict=True))
    return DenseTargets(labels, distances)


def mask_targets(masks: Tensor, boxes: Tensor, rows: Tensor, resolution: int = 28) -> Tensor:
    """What the mask head shall draw: the true mask of each object as seen through a box.

    Args:
        masks: Bool masks of the true objects (G, H, W).
        boxes: Boxes xyxy in pixels (N, 4).
        rows: Which of the true objects each box shall show (N,).
        resolution: Height and width of the targets.

    Returns:
        Targets in {0, 1}, float32 (N, resolution, resolution).
    """
    rois = torch.cat([rows[:, None].to(boxes), boxes], dim=1)
    return (roi_align(masks[:, None].float(), rois, resolution, aligned=True)[:, 0] >= 0.5).float()


def _assign(points: Tensor, stride: Tensor, reach: Tensor, radius: float, truth: Detections) -> tuple[Tensor, Tensor]:
    if len(truth) == 0:
        return truth.labels.new_full((len(points),), -1), points.new_zeros((len(points), 4))
    boxes = truth.boxes.float()
    distances = _distances(points, boxes)  # (L, G, 4)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    low, high = centre - radius * stride[:, None, None], centre + radius * stride[:, None, None]  # (L, G, 2)
    inner = torch.cat([torch.maximum(low, boxes[:, :2]), torch.minimum(high, boxes[:, 2:])], dim=2)  # (L, G, 4)
    central = _distances(points, inner).amin(dim=2) > 0
    longest = distances.amax(dim=2)
    suits = (longest >= reach[:, :1]) & (longest <= reach[:, 1:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).expand_as(longest)
    area, chosen = torch.where(central & suits, area, torch.inf).min(dim=1)  # (L,)
    labels = torch.where(area.isinf(), -1, truth.labels[chosen])
    return labels, distances[torch.arange(len(points), device=points.device), chosen] / stride[:, None]


def _distances(points: Tensor, boxes: Tensor) -> Tensor:
    """From points (L, 2) to the left, top, right and bottom side of boxes (G, 4) or (L, G, 4): (L, G, 4)."""
    return torch.cat([points[:, None] - boxes[..., :2], boxes[..., 2:] - points[:, None]], dim=2)
