"""One-stage detection from the cells of a feature pyramid (FCOS, arXiv 1904.01355): head, decoder and targets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms, nms

from tltm_graph.structures import Detections

SIZE_RANGES = ((-1.0, 64.0), (64.0, 128.0), (128.0, 256.0), (256.0, 512.0), (512.0, 1e8))
"""Largest distance in pixels from a cell to a side of its box, (minimum, maximum) of each level, both included."""


@dataclass(frozen=True, eq=False)
class DenseOutput:
    """Output of the head for the cells of one level.

    Args:
        logits: Class logits (B, C, H, W).
        distances: Distances from the centre of the cell to the left, top, right and bottom side of its box, in strides,
            ≥ 0 (B, 4, H, W).
        centerness: Centerness logits (B, 1, H, W): high for a cell in the centre of its box. None if the head
            has none; the class probability is the score then.
    """

    logits: Tensor
    distances: Tensor
    centerness: Tensor | None = None

    def __getitem__(self, images: slice) -> "DenseOutput":
        """Select images of the batch."""
        centerness = None if self.centerness is None else self.centerness[images]
        return DenseOutput(self.logits[images], self.distances[images], centerness)


class FCOSHead(nn.Module):
    r"""Head with two towers of 3×3 convolutions, group norm and ReLU, shared by all levels: for the class and the box.

    .. math:: d_l = \mathrm{ReLU}(s_l \cdot \mathrm{conv}(tower(p_l)))

    with a learned scale :math:`s_l` for each level. Centerness is computed from the tower of the box.

    Args:
        num_classes (int): Number of classes, without background.
        channels (int): Number of channels of the pyramid.
        num_convs (int): Number of convolutions in each tower.
        num_levels (int): Number of levels of the pyramid.

    Shapes:
        - **input:** levels (B, channels, H, W), finest first
        - **output:** a :class:`DenseOutput` for each level
    """

    def __init__(self, num_classes: int, channels: int = 256, num_convs: int = 4, num_levels: int = 5) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.cls_tower = _tower(channels, num_convs)
        self.bbox_tower = _tower(channels, num_convs)
        self.cls_logits = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.bbox_pred = nn.Conv2d(channels, 4, 3, padding=1)
        self.ctrness = nn.Conv2d(channels, 1, 3, padding=1)
        self.scales = nn.ParameterList([nn.Parameter(torch.ones(1)) for _ in range(num_levels)])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise all weights: normal with standard deviation 0.01; every class starts with probability 0.01."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.GroupNorm):
                module.reset_parameters()
        assert self.cls_logits.bias is not None
        nn.init.constant_(self.cls_logits.bias, -math.log((1 - 0.01) / 0.01))
        for scale in self.scales:
            nn.init.ones_(scale)

    def forward(self, pyramid: Sequence[Tensor]) -> list[DenseOutput]:
        """Compute the output of each level."""
        return [self._level(features, scale) for features, scale in zip(pyramid, self.scales, strict=True)]

    def _level(self, features: Tensor, scale: Tensor) -> DenseOutput:
        box = self.bbox_tower(features)
        return DenseOutput(
            logits=self.cls_logits(self.cls_tower(features)),
            distances=F.relu(self.bbox_pred(box) * scale),
            centerness=self.ctrness(box),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_classes})"


@dataclass(frozen=True)
class Decoder:
    """Decoder of the head's output to detections.

    A cell is a candidate for each class with a probability p above ``score_threshold``. Candidates are ranked by p·c
    with the centerness c; their score is √(p·c). Without centerness, rank and score are p. Boxes are not clipped to the
    image.

    Args:
        score_threshold: Probability that a candidate must exceed, in [0, 1], before centerness.
        candidates: Maximum number of candidates per level.
        nms_iou: IoU in [0, 1] above which two boxes of the same class are duplicates; the lower score is removed.
        max_objects: Maximum number of detections per image, more if several share the lowest score.
        nms_iou_across: IoU in [0, 1] above which two boxes of any classes are duplicates; 1 for no such test. An object
            detected as two classes becomes two tracks otherwise.

    Raises:
        ValueError: If a value is out of range.
    """

    score_threshold: float = 0.05
    candidates: int = 1000
    nms_iou: float = 0.6
    max_objects: int = 50
    nms_iou_across: float = 1.0

    def __post_init__(self) -> None:
        for name in ("score_threshold", "nms_iou", "nms_iou_across"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"Expected {name} in [0, 1], got {getattr(self, name)}")
        for name in ("candidates", "max_objects"):
            if getattr(self, name) < 1:
                raise ValueError(f"Expected {name} of at least 1, got {getattr(self, name)}")

    def __call__(self, outputs: Sequence[DenseOutput], strides: Sequence[int]) -> list[Detections]:
        """Decode the detections of each image, highest score first. Boxes are in pixels of the padded image."""
        sizes = [output.logits.shape[2:] for output in outputs]
        device = outputs[0].logits.device
        points = torch.cat([cell_centres(size, stride, device) for size, stride in zip(sizes, strides, strict=True)])
        counts = torch.tensor([size.numel() for size in sizes], device=device)
        stride = torch.tensor(strides, device=device, dtype=torch.float32).repeat_interleave(counts)  # (L,)
        return [
            self._decode([output[image : image + 1] for output in outputs], points, stride)
            for image in range(len(outputs[0].logits))
        ]

    def _decode(self, outputs: Sequence[DenseOutput], points: Tensor, stride: Tensor) -> Detections:
        """Decode one image, given the centres (L, 2) and the strides (L,) of the cells of all levels."""
        logits = torch.cat([_by_cell(output.logits) for output in outputs])  # (L, C)
        # Few logits are above the threshold: only these become probabilities. The margin is for rounding.
        bound = torch.tensor(self.score_threshold).logit() - 1e-3
        cell, label = (logits > bound).nonzero(as_tuple=True)
        probability = logits[cell, label].sigmoid()
        if outputs[0].centerness is None:
            rank = score = probability
        else:
            centerness = torch.cat([_by_cell(output.centerness) for output in outputs if output.centerness is not None])
            rank = probability * centerness[cell, 0].sigmoid()
            score = rank.sqrt()
        chosen = self._candidates((probability > self.score_threshold).nonzero().flatten(), rank, stride[cell])
        cell, label, score = cell[chosen], label[chosen], score[chosen]
        sides = torch.cat([_by_cell(output.distances) for output in outputs])[cell] * stride[cell, None]
        boxes = torch.cat([points[cell] - sides[:, :2], points[cell] + sides[:, 2:]], dim=1)
        return self._select(score, boxes, label)

    def _candidates(self, rows: Tensor, rank: Tensor, stride: Tensor) -> Tensor:
        """Keep the best rows of each level, which its stride identifies."""
        if len(rows) <= self.candidates:
            return rows
        levels = [rows[stride[rows] == value] for value in stride.unique()]
        return torch.cat([level[rank[level].topk(min(self.candidates, len(level))).indices] for level in levels])

    def _select(self, scores: Tensor, boxes: Tensor, labels: Tensor) -> Detections:
        kept = batched_nms(boxes, scores, labels, self.nms_iou)  # sorted by score
        if self.nms_iou_across < 1:
            kept = kept[nms(boxes[kept], scores[kept], self.nms_iou_across)]
        if len(kept) > self.max_objects:
            kept = kept[scores[kept] >= scores[kept[self.max_objects - 1]]]
        return Detections(boxes=boxes[kept], scores=scores[kept], labels=labels[kept])


def _by_cell(x: Tensor) -> Tensor:
    return x[0].float().permute(1, 2, 0).flatten(0, 1)  # (H·W, …)


def cell_centres(size: Sequence[int], stride: int, device: torch.device | str = "cpu") -> Tensor:
    """Compute the centres (x, y) = (j·s + ⌊s/2⌋, i·s + ⌊s/2⌋) of a level's cells in pixels, row by row (H·W, 2)."""
    y, x = (torch.arange(n, device=device, dtype=torch.float32) * stride + stride // 2 for n in size)
    return torch.stack([x.repeat(len(y)), y.repeat_interleave(len(x))], dim=1)


@dataclass(frozen=True, eq=False)
class DenseTargets:
    """Training targets of the cells of all levels, level after level.

    Args:
        labels: Class of each cell (B, L), -1 for background.
        distances: Distances to the left, top, right and bottom side of the cell's object, in strides (B, L, 4);
            undefined for background.
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
    """Assign an object or the background to each cell (FCOS, arXiv 1904.01355, with centre sampling).

    A cell is assigned an object if it lies inside the box, at most ``radius`` strides from its centre in x and y, and
    if the largest distance to a side is in the range of the level. If there are several, the smallest box is assigned,
    the first of equal ones.

    Args:
        sizes: Height and width of each level in cells.
        strides: Stride of each level in pixels.
        truth: Ground truth of each image; boxes xyxy in pixels.
        radius: Radius of the centre region in strides.
        size_ranges: Range of the largest distance to a side for each level, in pixels.
    """
    device = truth[0].boxes.device
    points = [cell_centres(size, stride, device) for size, stride in zip(sizes, strides, strict=True)]
    counts = torch.tensor([len(level) for level in points], device=device)
    stride = torch.tensor(strides, device=device, dtype=torch.float32).repeat_interleave(counts)  # (L,)
    size_range = torch.tensor(size_ranges[: len(strides)], device=device).repeat_interleave(counts, dim=0)  # (L, 2)
    assigned = [_assign(torch.cat(points), stride, size_range, radius, objects) for objects in truth]
    labels, distances = (torch.stack(parts) for parts in zip(*assigned, strict=True))
    return DenseTargets(labels, distances)


def _assign(
    points: Tensor, stride: Tensor, size_range: Tensor, radius: float, truth: Detections
) -> tuple[Tensor, Tensor]:
    if len(truth) == 0:
        return truth.labels.new_full((len(points),), -1), points.new_zeros((len(points), 4))
    boxes = truth.boxes.float()
    distances = _distances(points, boxes)  # (L, G, 4)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    low, high = centre - radius * stride[:, None, None], centre + radius * stride[:, None, None]  # (L, G, 2)
    inner = torch.cat([torch.maximum(low, boxes[:, :2]), torch.minimum(high, boxes[:, 2:])], dim=2)  # (L, G, 4)
    central = _distances(points, inner).amin(dim=2) > 0
    largest = distances.amax(dim=2)
    in_range = (largest >= size_range[:, :1]) & (largest <= size_range[:, 1:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).expand_as(largest)
    area, index = torch.where(central & in_range, area, torch.inf).min(dim=1)  # (L,)
    labels = torch.where(area.isinf(), -1, truth.labels[index])
    return labels, distances[torch.arange(len(points), device=points.device), index] / stride[:, None]


def _distances(points: Tensor, boxes: Tensor) -> Tensor:
    """Distances (L, G, 4) from points (L, 2) to the left, top, right and bottom side of boxes (G, 4) or (L, G, 4)."""
    return torch.cat([points[:, None] - boxes[..., :2], boxes[..., 2:] - points[:, None]], dim=2)


def _tower(channels: int, num_convs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(num_convs):
        layers += [
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(math.gcd(32, channels), channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
