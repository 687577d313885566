"""Backbones with a feature pyramid, built from torchvision's networks with the settings of CenterMask2."""

from collections import OrderedDict
from functools import partial

from torch import Tensor, nn
from torchvision.models import mobilenetv2, resnet
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelP6P7


class PyramidBackbone(nn.Module):
    """Network with a feature pyramid over its last three stages (arXiv 1612.03144) and two more levels on top.

    3×3 convolutions of stride 2 compute P6 from P5 and P7 from P6, with a ReLU between them (arXiv 1904.01355). P6 is
    returned before the ReLU.

    Args:
        body: Network that returns the maps of strides 8, 16 and 32, in this order.
        body_channels: Number of channels of these maps.
        channels: Number of channels of every level of the pyramid.

    Shapes:
        - **input:** images (B, 3, H, W), H and W divisible by 32
        - **output:** five levels (B, channels, ⌈H / s⌉, ⌈W / s⌉) for the strides s = 8, 16, 32, 64, 128
    """

    strides = (8, 16, 32, 64, 128)
    fine_stride: int | None = None  # no finer map

    def __init__(self, body: nn.Module, body_channels: tuple[int, int, int], channels: int = 256) -> None:
        super().__init__()
        self.body = body
        self.fpn = FeaturePyramidNetwork(list(body_channels), channels)
        # As a constructor argument, extra_blocks would compute P6 from C5 if it has other channels than P5.
        self.fpn.extra_blocks = LastLevelP6P7(channels, channels)
        self.channels = channels

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the pyramid, finest level first."""
        return list(self.fpn(OrderedDict(self.body(images))).values())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.body).__name__}, channels={self.channels})"


def resnet_backbone(depth: int = 50, stride_in_1x1: bool = True, channels: int = 256) -> PyramidBackbone:
    """Build a ResNet with frozen batch norm, whose stem and first stage are frozen entirely.

    Args:
        depth: Number of layers, 50 or 101.
        stride_in_1x1: True if a stage halves the size in its first 1×1 convolution, as the original ResNet does (its
            Caffe weights are the start of CenterMask2); False for the 3×3 convolution, as torchvision's weights need.
        channels: Number of channels of the pyramid.

    Raises:
        ValueError: If the depth is another one.
    """
    networks = {50: resnet.resnet50, 101: resnet.resnet101}
    if depth not in networks:
        raise ValueError(f"Expected a ResNet of depth {sorted(networks)}, got {depth}")
    network = networks[depth](weights=None, norm_layer=FrozenBatchNorm2d)
    if stride_in_1x1:
        for stage in (network.layer2, network.layer3, network.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    for part in (network.conv1, network.layer1):
        part.requires_grad_(False)
    body = IntermediateLayerGetter(network, {"layer2": "3", "layer3": "4", "layer4": "5"})
    return PyramidBackbone(body, (512, 1024, 2048), channels)


def mobile_backbone(width: float = 1.0, channels: int = 64) -> PyramidBackbone:
    """Build a MobileNetV2 (arXiv 1801.04381) with group norm, which trains from scratch and in batches of any size.

    Args:
        width: Factor of the network's numbers of channels.
        channels: Number of channels of the pyramid.
    """
    norm = partial(_group_norm, size=8)
    network = mobilenetv2.MobileNetV2(width_mult=width, norm_layer=norm).features
    ends = {"6": "3", "13": "4", "17": "5"}  # the last blocks of strides 8, 16 and 32
    body_channels = tuple(network[int(index)].out_channels for index in ends)
    return PyramidBackbone(IntermediateLayerGetter(network, ends), body_channels, channels)


def _group_norm(channels: int, size: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // size), channels)
