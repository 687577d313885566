import math

import pytest
import torch
from torchvision.ops import box_iou

from tltm_graph.detectors.centermask import Decoder, DenseOutput, FCOSHead, cell_centres

STRIDES = (8, 16)


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
    """Cell by cell, class by class; then the plainest suppression."""
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


def test_objects_that_share_the_last_score_all_stay():
    level = DenseOutput(torch.zeros(1, 1, 1, 4), torch.full((1, 4, 1, 4), 0.4), torch.zeros(1, 1, 1, 4))
    (objects,) = Decoder(max_objects=2)([level], (8,))
    assert objects.scores.tolist() == [0.5] * 4


def test_no_candidate_is_no_object():
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
