"""Backbone and feature pyramid of PicoDet (arXiv 2111.00902), with batch norm folded into the convolutions."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation, SqueezeExcitation


def conv_unit(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, active: bool = True
) -> Conv2dNormActivation:
    """Build a convolution with "same" padding and a hard-swish.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels.
        kernel: Height and width of the kernel, odd.
        stride: Stride.
        groups: Number of groups of channels.
        active: False to leave out the hard-swish.
    """
    activation = nn.Hardswish if active else None
    return Conv2dNormActivation(
        inputs, outputs, kernel, stride, groups=groups, norm_layer=None, activation_layer=activation
    )


class ShuffleBlock(nn.Module):
    """Block that keeps the size: half of the channels pass unchanged, and both halves are shuffled at the end.

    Args:
        channels: Number of input and output channels.
        hidden: Number of channels between the convolutions.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        half = channels // 2
        self.expand = conv_unit(half, hidden // 2)
        self.depthwise = conv_unit(hidden // 2, hidden // 2, 3, groups=hidden // 2, active=False)
        self.attention = _attention(hidden)
        self.project = conv_unit(hidden, half)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output of the block."""
        unchanged, x = x.chunk(2, dim=1)
        x = self.expand(x)
        x = self.project(self.attention(torch.cat([x, self.depthwise(x)], dim=1)))
        return F.channel_shuffle(torch.cat([unchanged, x], dim=1), 2)


class DownsamplingBlock(nn.Module):
    """Block that halves the size in two branches, which a depthwise and a 1×1 convolution mix.

    Args:
        inputs: Number of input channels.
        channels: Number of output channels.
        hidden: Number of channels between the convolutions of the second branch.
    """

    def __init__(self, inputs: int, channels: int, hidden: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            conv_unit(inputs, inputs, 3, 2, groups=inputs, active=False),
            conv_unit(inputs, half),
        )
        self.main = nn.Sequential(
            conv_unit(inputs, hidden),
            conv_unit(hidden, hidden, 3, 2, groups=hidden, active=False),
            _attention(hidden),
            conv_unit(hidden, half),
        )
        self.mix = nn.Sequential(conv_unit(channels, channels, 3, groups=channels), conv_unit(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output of the block, of half the size."""
        return self.mix(torch.cat([self.branch(x), self.main(x)], dim=1))


class CrossStageBlock(nn.Module):
    """Cross-stage partial block (arXiv 1911.11929): one half of the channels passes a bottleneck, the other does not.

    Args:
        inputs: Number of input channels.
        channels: Number of output channels.
    """

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.short = conv_unit(inputs, half)
        self.main = nn.Sequential(
            conv_unit(inputs, half), conv_unit(half, half), conv_unit(half, half, 5, groups=half), conv_unit(half, half)
        )
        self.join = conv_unit(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output of the block."""
        short = self.short(x)
        return self.join(torch.cat([self.main(x), short], dim=1))


class CrossStagePyramid(nn.Module):
    """Feature pyramid with a top-down and a bottom-up path of cross-stage blocks, and one level on top (CSP-PAN).

    Args:
        inputs: Number of channels of the three maps of the backbone.
        channels: Number of channels of every level.

    Shapes:
        - **input:** maps of strides 8, 16 and 32
        - **output:** levels (B, channels, H, W) of strides 8, 16, 32 and 64
    """

    def __init__(self, inputs: Sequence[int], channels: int) -> None:
        super().__init__()
        self.reduce = nn.ModuleList([conv_unit(number, channels) for number in inputs])
        self.top_down = nn.ModuleList([CrossStageBlock(2 * channels, channels) for _ in inputs[1:]])
        self.down = nn.ModuleList([_separable(channels, stride=2) for _ in inputs[1:]])
        self.bottom_up = nn.ModuleList([CrossStageBlock(2 * channels, channels) for _ in inputs[1:]])
        self.top_of_input = _separable(channels, stride=2)
        self.top_of_output = _separable(channels, stride=2)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Compute the levels, finest first."""
        fine, middle, coarse = (reduce(x) for reduce, x in zip(self.reduce, maps, strict=True))
        middle = self.top_down[0](torch.cat([_doubled(coarse), middle], dim=1))
        levels = [self.top_down[1](torch.cat([_doubled(middle), fine], dim=1))]
        for down, block, above in zip(self.down, self.bottom_up, (middle, coarse), strict=True):
            levels.append(block(torch.cat([down(levels[-1]), above], dim=1)))
        return [*levels, self.top_of_input(coarse) + self.top_of_output(levels[-1])]


class ShuffleBackbone(nn.Module):
    """Enhanced ShuffleNet of PicoDet-S with its feature pyramid.

    Two maps come before the levels: that of stride 2, before the first pooling, with ``fine_channels`` channels, for
    masks; and that of the first stage, of stride 8, whose colours and textures tell objects of one class apart.

    Args:
        channels: Number of channels of the levels from stride 8 on.

    Shapes:
        - **input:** images (B, 3, H, W), BGR, H and W divisible by 32
        - **output:** maps (B, 24, H/2, W/2) and (B, 96, H/8, W/8), and levels (B, channels, ⌈H/s⌉, ⌈W/s⌉) for the
          strides s = 8, 16, 32, 64
    """

    strides = (8, 16, 32, 64)
    fine_stride: int | None = 2
    fine_channels = 24

    def __init__(self, channels: int = 96) -> None:
        super().__init__()
        self.channels = channels
        self.stem = conv_unit(3, self.fine_channels, 3, 2)
        widths, inputs = (96, 192, 384), self.fine_channels
        stages = []
        for width, hidden in zip(widths, ((44, 48, 48), (48, 120, 96, 120, 96, 96, 96), (96, 192, 192)), strict=True):
            blocks = [ShuffleBlock(width, number) for number in hidden[1:]]
            stages.append(nn.Sequential(DownsamplingBlock(inputs, width, hidden[0]), *blocks))
            inputs = width
        self.stages = nn.ModuleList(stages)
        self.pyramid = CrossStagePyramid(widths, channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the maps, finest first."""
        fine = self.stem(images)
        x = F.max_pool2d(fine, 3, 2, 1)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return [fine, maps[0], *self.pyramid(maps)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(channels={self.channels})"


def _separable(channels: int, stride: int = 1) -> nn.Sequential:
    """Depthwise 5×5 and 1×1 convolution."""
    return nn.Sequential(conv_unit(channels, channels, 5, stride, groups=channels), conv_unit(channels, channels))


def _attention(channels: int) -> SqueezeExcitation:
    """Attention to channels (arXiv 1709.01507) with a quarter of the channels in between."""
    return SqueezeExcitation(channels, channels // 4, scale_activation=nn.Hardsigmoid)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
