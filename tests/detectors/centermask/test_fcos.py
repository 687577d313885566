import math

import pytest
import torch
from torchvision.ops import box_iou

from tltm_graph.detectors.centermask import Decoder
from tltm_graph.detectors.centermask.fcos import SIZE_RANGES, DenseOutput, FCOSHead, assign_targets, cell_centres
from tltm_graph.structures import Detections

STRIDES = (8, 16)
ALL_STRIDES = (8, 16, 32, 64, 128)


def outputs(batch=1, num_classes=3, scale=2.0, seed=0):
    torch.manual_seed(seed)
    shapes = [(4, 6), (2, 3)]
    return [
        DenseOutput(
            torch.randn(batch, num_classes, *shape) * scale,
            torch.rand(batch, 4, *shape) * 2,
            torch.randn(batch, 1, *shape),
        )
        for shape in shapes
    ]


def decoded_one_by_one(levels, image, decoder):
    """Decode cell by cell and class by class, then suppress duplicates one by one."""
    found = []
    for level, stride in zip(levels, STRIDES, strict=True):
        candidates = []
        _, num_classes, height, width = level.logits.shape
        for i in range(height):
            for j in range(width):
                for c in range(num_classes):
                    p = float(level.logits[image, c, i, j].sigmoid())
                    if p > decoder.score_threshold:
                        rank = p * float(level.centerness[image, 0, i, j].sigmoid())
                        x, y = j * stride + stride // 2, i * stride + stride // 2
                        left, top, right, bottom = (level.distances[image, :, i, j] * stride).tolist()
                        candidates.append((math.sqrt(rank), c, (x - left, y - top, x + right, y + bottom)))
        found += sorted(candidates, reverse=True)[: decoder.candidates]
    kept = []
    for score, c, box in sorted(found, reverse=True):
        rivals = [other for _, label, other in kept if label == c]
        if all(float(box_iou(torch.tensor([box]), torch.tensor([other]))) <= decoder.nms_iou for other in rivals):
            kept.append((score, c, box))
    within, kept = kept, []
    for score, c, box in within:
        overlaps = [float(box_iou(torch.tensor([box]), torch.tensor([other]))) for _, _, other in kept]
        if all(overlap <= decoder.nms_iou_across for overlap in overlaps):
            kept.append((score, c, box))
    return kept[: decoder.max_objects]


@pytest.mark.slow
@pytest.mark.parametrize(
    "decoder",
    [
        Decoder(),
        Decoder(0.3, candidates=5),
        Decoder(0.0, nms_iou=0.3),
        Decoder(0.0, nms_iou_across=0.4),
        Decoder(max_objects=4),
        Decoder(1.0),
    ],
    ids=str,
)
def test_decoding(decoder):
    levels = outputs(batch=2)
    for image, objects in enumerate(decoder(levels, STRIDES)):
        expected = decoded_one_by_one(levels, image, decoder)
        assert objects.labels.tolist() == [label for _, label, _ in expected]
        torch.testing.assert_close(objects.scores, torch.tensor([score for score, _, _ in expected]))
        boxes = torch.tensor([box for _, _, box in expected]).reshape(-1, 4)
        torch.testing.assert_close(objects.boxes, boxes, rtol=1e-5, atol=1e-4)


def test_objects_that_share_the_lowest_score_are_all_kept():
    level = DenseOutput(torch.zeros(1, 1, 1, 4), torch.full((1, 4, 1, 4), 0.4), torch.zeros(1, 1, 1, 4))
    (objects,) = Decoder(max_objects=2)([level], (8,))
    assert objects.scores.tolist() == [0.5] * 4


def test_no_candidates():
    (objects,) = Decoder(score_threshold=1.0)(outputs(), STRIDES)
    assert len(objects) == 0


def test_cell_centres():
    assert cell_centres((2, 3), 8).tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]


def test_head():
    head = FCOSHead(5, channels=16, num_convs=2, num_levels=2)
    pyramid = [torch.randn(2, 16, 4, 6), torch.randn(2, 16, 1, 1)]
    for level, features in zip(head(pyramid), pyramid, strict=True):
        size = features.shape[2:]
        assert level.logits.shape == (2, 5, *size)
        assert level.distances.shape == (2, 4, *size)
        assert level.centerness.shape == (2, 1, *size)
        assert (level.distances >= 0).all()
        assert level.logits.detach().sigmoid().mean().item() == pytest.approx(0.01, rel=0.1)


def test_scales_act_on_their_own_level():
    head = FCOSHead(1, channels=16, num_levels=2)
    torch.nn.init.constant_(head.bbox_pred.bias, 1.0)
    pyramid = [torch.randn(1, 16, 3, 3)] * 2
    before = head(pyramid)
    with torch.no_grad():
        head.scales[1].fill_(2.0)
    after = head(pyramid)
    torch.testing.assert_close(after[0].distances, before[0].distances)
    torch.testing.assert_close(after[1].distances, 2 * before[1].distances)


@pytest.mark.parametrize(
    "values", [{"max_objects": 0}, {"candidates": -1}, {"score_threshold": 7}, {"nms_iou": -0.1}], ids=str
)
def test_values_out_of_range(values):
    with pytest.raises(ValueError, match=f"Expected {next(iter(values))} "):
        Decoder(**values)


def objects(*boxes):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Detections(boxes, torch.ones(len(boxes)), torch.arange(len(boxes)))


def assigned_one_by_one(sizes, truth, radius=1.5):
    """Assign cell by cell and object by object."""
    labels, distances = [], []
    for (height, width), stride, (lowest, highest) in zip(sizes, ALL_STRIDES, SIZE_RANGES, strict=True):
        for i in range(height):
            for j in range(width):
                x, y = j * stride + stride // 2, i * stride + stride // 2
                best = None
                for label, (x0, y0, x1, y1) in enumerate(truth.boxes.tolist()):
                    sides = x - x0, y - y0, x1 - x, y1 - y
                    cx, cy, reach = (x0 + x1) / 2, (y0 + y1) / 2, radius * stride
                    central = abs(x - cx) < reach and abs(y - cy) < reach and min(sides) > 0
                    area = (x1 - x0) * (y1 - y0)
                    if central and lowest <= max(sides) <= highest and (best is None or area < best[0]):
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
    sizes = [(-(-192 // stride), -(-256 // stride)) for stride in ALL_STRIDES]
    targets = assign_targets(sizes, ALL_STRIDES, [truth])
    labels, distances = assigned_one_by_one(sizes, truth)
    assert torch.equal(targets.labels[0], labels)
    torch.testing.assert_close(targets.distances[0][labels >= 0], distances[labels >= 0])


def test_a_batch_is_its_images():
    sizes = [(24, 32), (12, 16), (6, 8), (3, 4), (2, 2)]
    truths = [objects([10, 20, 60, 70]), objects(), objects([0, 0, 255, 180], [5, 5, 30, 30])]
    together = assign_targets(sizes, ALL_STRIDES, truths)
    for i, truth in enumerate(truths):
        alone = assign_targets(sizes, ALL_STRIDES, [truth])
        assert torch.equal(together.labels[i], alone.labels[0])


def test_centerness():
    targets = assign_targets([(1, 1)], (8,), [objects([2, 3, 8, 9])])
    assert targets.distances[0].tolist() == [[2 / 8, 1 / 8, 4 / 8, 5 / 8]]
    assert float(targets.centerness) == pytest.approx((2 / 4 * 1 / 5) ** 0.5)
