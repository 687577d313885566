import pytest
import torch
from torchvision.ops import roi_align

from tltm_graph import Detections
from tltm_graph.detectors.centermask import assign_targets, mask_targets
from tltm_graph.detectors.centermask.targets import SIZE_RANGES

STRIDES = (8, 16, 32, 64, 128)


def objects(*boxes):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Detections(boxes, torch.ones(len(boxes)), torch.arange(len(boxes)))


def assigned_one_by_one(sizes, truth, radius=1.5):
    """Cell by cell, object by object."""
    labels, distances = [], []
    for (height, width), stride, (least, most) in zip(sizes, STRIDES, SIZE_RANGES, strict=True):
        for i in range(height):
            for j in range(width):
                x, y = j * stride + stride // 2, i * stride + stride // 2
                best = None
                for label, (x0, y0, x1, y1) in enumerate(truth.boxes.tolist()):
                    sides = x - x0, y - y0, x1 - x, y1 - y
                    cx, cy, reach = (x0 + x1) / 2, (y0 + y1) / 2, radius * stride
                    central = abs(x - cx) < reach and abs(y - cy) < reach and min(sides) > 0
                    area = (x1 - x0) * (y1 - y0)
                    if central and least <= max(sides) <= most and (best is None or area < best[0]):
                        best = area, label, [side / stride for side in sides]
                labels.append(-1 if best is None else best[1])
                distances.append([0.0] * 4 if best is None else best[2])
    return torch.tensor(labels), torch.tensor(distances)


@pytest.mark.parametrize(
    "truth",
    [
        objects([10, 20, 60, 70], [12, 18, 50, 90], [0, 0, 255, 180]),
        objects([0, 0, 256, 192]),
        objects([-900, -900, 900, 900]),
        objects([40, 40, 40, 40], [40, 20, 90, 20]),
        objects([64, 64, 192, 192], [64, 64, 192, 192]),
        objects(),
    ],
    ids=["overlapping", "whole image", "huge", "no area", "twice", "none"],
)
def test_assignment(truth):
    sizes = [(-(-192 // stride), -(-256 // stride)) for stride in STRIDES]
    targets = assign_targets(sizes, STRIDES, [truth])
    labels, distances = assigned_one_by_one(sizes, truth)
    assert torch.equal(targets.labels[0], labels)
    torch.testing.assert_close(targets.distances[0][labels >= 0], distances[labels >= 0])


def test_a_batch_is_its_images():
    sizes = [(24, 32), (12, 16), (6, 8), (3, 4), (2, 2)]
    truths = [objects([10, 20, 60, 70]), objects(), objects([0, 0, 255, 180], [5, 5, 30, 30])]
    together = assign_targets(sizes, STRIDES, truths)
    for i, truth in enumerate(truths):
        alone = assign_targets(sizes, STRIDES, [truth])
        assert torch.equal(together.labels[i], alone.labels[0])


def test_centerness():
    targets = assign_targets([(1, 1)], (8,), [objects([2, 3, 8, 9])])
    assert targets.distances[0].tolist() == [[2 / 8, 1 / 8, 4 / 8, 5 / 8]]
    assert float(targets.centerness) == pytest.approx((2 / 4 * 1 / 5) ** 0.5)


def test_mask_targets():
    torch.manual_seed(0)
    masks = torch.rand(2, 30, 40) > 0.4
    boxes = torch.tensor([[0.0, 0.0, 40.0, 30.0], [5.0, 5.0, 20.0, 25.0], [-5.0, 5.0, 20.0, 45.0]])
    rows = torch.tensor([1, 0, 1])
    expected = [
        roi_align(masks[row][None, None].float(), [box[None]], 28, aligned=True)[0, 0] >= 0.5
        for row, box in zip(rows, boxes, strict=True)
    ]
    targets = mask_targets(masks, boxes, rows)
    assert torch.equal(targets.bool(), torch.stack(expected))
    assert mask_targets(masks, boxes[:0], rows[:0]).shape == (0, 28, 28)
