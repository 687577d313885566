from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tltm_graph.detectors.centermask.esnet import conv_unit
from tltm_graph.detectors.centermask.fcos import DenseOutput


class PicoHead(nn.Module):
    r"""Anchor-free head of PicoDet (arXiv 2111.00902), with its own weights for each level and no centerness.

    The distance to a side is the mean of a distribution over :math:`0, …, 7` strides (arXiv 2006.04388):

    .. math:: d = \sum_{k=0}^{7} k \cdot \mathrm{softmax}(r)_k

    The class probability is trained to be the IoU of the box, so it is the score.

    Args:
        num_classes (int): Number of classes, without background.
        channels (int): Number of channels of the pyramid.
        num_levels (int): Number of levels of the pyramid.

    Shapes:
        - **input:** levels (B, channels, H, W), finest first
        - **output:** a :class:`DenseOutput` for each level
    """

    num_bins = 8

    def __init__(self, num_classes: int, channels: int = 96, num_levels: int = 4) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.levels = nn.ModuleList([self._tower(channels) for _ in range(num_levels)])

    def _tower(self, channels: int) -> nn.Sequential:
        depthwise = [conv_unit(channels, channels, 5, groups=channels) for _ in range(2)]
        return nn.Sequential(
            depthwise[0],
            conv_unit(channels, channels),
            depthwise[1],
            conv_unit(channels, channels),
            nn.Conv2d(channels, self.num_classes + 4 * self.num_bins, 1),
        )

    def forward(self, pyramid: Sequence[Tensor]) -> list[DenseOutput]:
        """Compute the output of each level."""
        return [self._output(tower(level)) for tower, level in zip(self.levels, pyramid, strict=True)]

    def _output(self, x: Tensor) -> DenseOutput:
        logits, sides = x.split([self.num_classes, 4 * self.num_bins], dim=1)
        probability = sides.unflatten(1, (4, self.num_bins)).float().softmax(dim=2)  # (B, 4, 8, H, W)
        bins = torch.arange(self.num_bins, dtype=torch.float32, device=x.device)[:, None, None]
        # No matrix product: autocast would round the distances to half precision.
        return DenseOutput(logits, distances=(probability * bins).sum(dim=2))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_classes})"
