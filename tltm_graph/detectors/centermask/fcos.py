"""One-stage detection, box by box of the pyramid's cells (FCOS, arXiv 1904.01355)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms, nms

from tltm_graph.structures import Detections


@dataclass(frozen=True, eq=False)
class DenseOutput:
    """What the head says of every cell of one level.

    Args:
        logits: Of each class (B, C, H, W).
        distances: From the cell's centre to the left, top, right and bottom side of its box, in strides, ≥ 0
            (B, 4, H, W).
        centerness: Logit of how central the cell is in its box (B, 1, H, W).
    """

    logits: Tensor
    distances: Tensor
    centerness: Tensor

    def __getitem__(self, images: slice) -> "DenseOutput":
        """That of some images of the batch."""
        return DenseOutput(self.logits[images], self.distances[images], self.centerness[images])


class FCOSHead(nn.Module):
    r"""Two towers of 3×3 convolutions, group norm and ReLU, shared by all levels: one for the class, one for the box.

    .. math:: d_l = \mathrm{ReLU}(s_l \cdot \mathrm{conv}(tower(p_l)))

    with a learned scale :math:`s_l` for each level. Centerness comes from the tower of the box.

    Args:
        num_classes (int): Classes, without background.
        channels (int): Channels of the pyramid.
        num_convs (int): Convolutions in each tower.
        num_levels (int): Levels of the pyramid.

    Shapes:
        - **input:** levels (B, channels, H, W), finest first
        - **output:** :class:`DenseOutput` for each
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
        """Draws all weights anew: normal with deviation 0.01, every class with probability 0.01 at first."""
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
        """What the head says of each level; see the class."""
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
    """Turns the output of the head into objects.

    A cell counts for a class if its probability p is above ``score_threshold``. Candidates are ranked by p·c, with the
    centerness c; their score is √(p·c). Boxes are not cut at the border of the image.

    Args:
        score_threshold: Least probability of a candidate, before centerness.
        candidates: At most so many from each level.
        nms_iou: Of two boxes of one class that overlap by more, the weaker goes.
        nms_iou_across: The same whatever their classes; 1 leaves them all. A tracker takes one object that is found as
            two classes for two.
        max_objects: At most so many objects an image (more if several share the last score).

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
        """The objects of each image of the batch, most confident first, boxes in pixels of the padded image."""
        levels = [self._candidates(output, stride) for output, stride in zip(outputs, strides, strict=True)]
        rank, boxes, labels = (torch.cat(parts, dim=1) for parts in zip(*levels, strict=True))  # (B, K, …)
        return [self._select(*image) for image in zip(rank, boxes, labels, strict=True)]

    def _candidates(self, output: DenseOutput, stride: int) -> tuple[Tensor, Tensor, Tensor]:
        """Rank (B, K), boxes (B, K, 4) and labels (B, K) of the best of one level; rank -1 where there are fewer."""
        logits, distances, centerness = (
            x.float().permute(0, 2, 3, 1).flatten(1, 2)  # (B, H·W, …)
            for x in (output.logits, output.distances, output.centerness)
        )
        probability = logits.sigmoid()
        rank = torch.where(probability > self.score_threshold, probability * centerness.sigmoid(), -1.0).flatten(1)
        rank, index = rank.topk(min(self.candidates, rank.shape[1]))  # (B, K)
        cell, labels = index // logits.shape[2], index % logits.shape[2]
        points = cell_centres(output.logits.shape[2:], stride, rank.device)[cell]  # (B, K, 2)
        sides = distances.gather(1, cell[:, :, None].expand(-1, -1, 4)) * stride
        return rank, torch.cat([points - sides[..., :2], points + sides[..., 2:]], dim=2), labels

    def _select(self, rank: Tensor, boxes: Tensor, labels: Tensor) -> Detections:
        found = (rank >= 0).nonzero().flatten()
        scores, boxes, labels = rank[found].sqrt(), boxes[found], labels[found]
        kept = batched_nms(boxes, scores, labels, self.nms_iou)  # by falling score
        if self.nms_iou_across < 1:
            kept = kept[nms(boxes[kept], scores[kept], self.nms_iou_across)]
        if len(kept) > self.max_objects:
            kept = kept[scores[kept] >= scores[kept[self.max_objects - 1]]]
        return Detections(boxes=boxes[kept], scores=scores[kept], labels=labels[kept])


def cell_centres(size: Sequence[int], stride: int, device: torch.device | str = "cpu") -> Tensor:
    """Where the cells of a level are in the image: (x, y) = (j·s + ⌊s/2⌋, i·s + ⌊s/2⌋), row by row (H·W, 2)."""
    y, x = (torch.arange(n, device=device, dtype=torch.float32) * stride + stride // 2 for n in size)
    return torch.stack([x.repeat(len(y)), y.repeat_interleave(len(x))], dim=1)


def _tower(channels: int, num_convs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(num_convs):
        layers += [
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(math.gcd(32, channels), channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
