import pytest
import torch

from tltm_graph.detectors.centermask.esnet import CrossStagePyramid, ShuffleBackbone, ShuffleBlock


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (96, 160)])
def test_maps_of_all_strides(size):
    backbone = ShuffleBackbone()
    fine, stage, *levels = backbone(torch.zeros(2, 3, *size))
    assert repr(backbone) == "ShuffleBackbone(channels=96)"
    assert fine.shape == (2, 24, size[0] // 2, size[1] // 2)
    assert stage.shape == (2, 96, size[0] // 8, size[1] // 8)
    assert [tuple(level.shape) for level in levels] == [
        (2, 96, -(-size[0] // stride), -(-size[1] // stride)) for stride in backbone.strides
    ]


@pytest.mark.parametrize("n", [0, 3])
def test_a_batch_equals_its_images(n):
    torch.manual_seed(0)
    backbone, images = ShuffleBackbone(), torch.randn(n, 3, 64, 96)
    with torch.no_grad():
        together = backbone(images)
        alone = [backbone(image[None]) for image in images]
    for level, parts in zip(together, zip(*alone, strict=True), strict=False):
        torch.testing.assert_close(level, torch.cat(parts))


def test_half_of_the_channels_pass_a_block_unchanged():
    x = torch.randn(1, 8, 4, 4)
    y = ShuffleBlock(8, 4)(x)
    assert torch.equal(y[:, ::2], x[:, :4]), "channels of both halves alternate"
    assert not torch.equal(y[:, 1::2], x[:, 4:])


def test_every_level_sees_every_map():
    torch.manual_seed(0)
    pyramid = CrossStagePyramid((4, 6, 8), 16)
    maps = [torch.randn(1, c, s, s, requires_grad=True) for c, s in zip((4, 6, 8), (16, 8, 4), strict=True)]
    for level in pyramid(maps)[:3]:
        gradients = torch.autograd.grad(level.sum(), maps, retain_graph=True)
        assert all(gradient.abs().sum() > 0 for gradient in gradients)
