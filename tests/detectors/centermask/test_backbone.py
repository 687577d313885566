import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from tltm_graph.detectors.centermask import mobile_backbone, resnet_backbone


@pytest.mark.parametrize("build", [lambda: resnet_backbone(50, channels=32), lambda: mobile_backbone(0.5, 32)])
@pytest.mark.parametrize("size", [(32, 32), (96, 160)])
def test_five_levels(build, size):
    pyramid = build()(torch.zeros(2, 3, *size))
    assert [tuple(level.shape) for level in pyramid] == [
        (2, 32, -(-size[0] // stride), -(-size[1] // stride)) for stride in (8, 16, 32, 64, 128)
    ]


@pytest.mark.parametrize(("in_1x1", "strides"), [(True, ((2, 2), (1, 1))), (False, ((1, 1), (2, 2)))])
def test_where_the_stride_is(in_1x1, strides):
    body = resnet_backbone(50, stride_in_1x1=in_1x1).body
    for stage in ("layer2", "layer3", "layer4"):
        assert (body[stage][0].conv1.stride, body[stage][0].conv2.stride) == strides


def test_norms_are_frozen_and_so_is_the_beginning():
    body = resnet_backbone(101).body
    assert len(body["layer3"]) == 23
    assert not any(isinstance(module, nn.BatchNorm2d) for module in body.modules())
    assert sum(isinstance(module, FrozenBatchNorm2d) for module in body.modules()) == 104
    frozen = {name.split(".")[0] for name, p in body.named_parameters() if not p.requires_grad}
    assert frozen == {"conv1", "layer1"}


def test_levels_on_top_come_from_p5():
    backbone = mobile_backbone(0.5, 32)
    pyramid = backbone(torch.randn(1, 3, 64, 64))
    extra = backbone.fpn.extra_blocks
    torch.testing.assert_close(pyramid[3], extra.p6(pyramid[2]))
    torch.testing.assert_close(pyramid[4], extra.p7(extra.p6(pyramid[2]).relu()))


def test_unknown_depth():
    with pytest.raises(ValueError, match=r"Expected a ResNet of depth \[50, 101\], got 18"):
        resnet_backbone(18)
