import math

import pytest
import torch
from torchvision.ops import roi_align

from tltm_graph.ops import ratio_roi_align
from tltm_graph.ops.ratio_roi_align import ratio_levels

STRIDES = (8, 16, 32)


def level_of(box, image_area):
    x0, y0, x1, y1 = box
    area = (x1 - x0) * (y1 - y0)
    if area == 0:
        return 0
    return min(2, max(0, math.ceil(2 - math.log2(image_area / area))))


@pytest.mark.parametrize(
    ("share", "level"), [(0.0, 0), (1e-6, 0), (0.25, 0), (0.26, 1), (0.5, 1), (0.51, 2), (1.0, 2), (40.0, 2)]
)
def test_level_by_share_of_the_image(share, level):
    boxes = torch.tensor([[0.0, 0.0, 100 * share, 100.0]])
    assert ratio_levels(boxes, 100 * 100).tolist() == [level]
    assert level_of(boxes[0].tolist(), 100 * 100) == level


def features(batch, channels=3):
    torch.manual_seed(0)
    return [torch.randn(batch, channels, 64 // s * 2, 64 // s * 3, requires_grad=True) for s in STRIDES]


def test_each_box_is_pooled_from_its_level():
    pyramid = features(2)
    boxes = [
        torch.tensor([[0.0, 0.0, 20.0, 30.0], [-9.0, -5.0, 190.0, 120.0]]),
        torch.tensor([[30.0, 9.0, 130.0, 99.0]]),
    ]
    sizes = [(128, 192), (100, 180)]
    expected = []
    for image, (some, (height, width)) in enumerate(zip(boxes, sizes, strict=True)):
        for box in some:
            level = level_of(box.tolist(), height * width)
            roi = torch.cat([torch.tensor([float(image)]), box])[None]
            expected.append(roi_align(pyramid[level], roi, 14, 1 / STRIDES[level], aligned=True))
    pooled = ratio_roi_align(pyramid, STRIDES, boxes, sizes)
    torch.testing.assert_close(pooled, torch.cat(expected))
    pooled.sum().backward()
    assert all(torch.isfinite(level.grad).all() for level in pyramid)


def test_no_boxes_and_boxes_without_area():
    pyramid = features(1)
    assert ratio_roi_align(pyramid, STRIDES, [torch.zeros(0, 4)], [(128, 192)]).shape == (0, 3, 14, 14)
    point = ratio_roi_align(pyramid, STRIDES, [torch.tensor([[5.0, 5.0, 5.0, 5.0]])], [(128, 192)])
    assert torch.equal(point, torch.zeros(1, 3, 14, 14))


def test_half_precision_maps_keep_exact_places():
    """bfloat16 counts in steps of 8 above 1024: boxes must stay as they are."""
    ramp = torch.arange(256.0).expand(1, 1, 128, 256)
    pyramid = [ramp, ramp[..., ::2, ::2], ramp[..., ::4, ::4]]
    boxes, sizes = [torch.tensor([[1101.0, 301.0, 1135.0, 345.0]])], [(1024, 2048)]
    exact = ratio_roi_align(pyramid, STRIDES, boxes, sizes)
    half = ratio_roi_align([level.bfloat16() for level in pyramid], STRIDES, boxes, sizes)
    torch.testing.assert_close(half, exact)
