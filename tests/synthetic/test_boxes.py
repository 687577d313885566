import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms

from tests.synthetic.cases import crowd
from tltm_graph.synthetic.boxes import (
    areas,
    displace,
    intersections,
    non_maximum_suppression,
    overlapping_iou,
    overlapping_pairs,
)


def shared_area(box, other) -> float:
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


@pytest.mark.parametrize("count", [0, 1, 2, 60])
def test_overlapping_pairs_are_those_of_all_pairs(count):
    frames, boxes = crowd(np.random.default_rng(count), count, 5)
    shuffled = np.random.default_rng(1).permutation(count)  # rows need no order
    frames, boxes = frames[shuffled], boxes[shuffled]
    expected = {
        frozenset((i, j)): shared_area(boxes[i], boxes[j])
        for i in range(count)
        for j in range(i)
        if frames[i] == frames[j] and shared_area(boxes[i], boxes[j]) > 0
    }
    one, other, shared = overlapping_pairs(frames, boxes)
    assert len(one) == len(expected)
    assert len(expected) >= (20 if count == 60 else 0)
    for i, j, area in zip(one.tolist(), other.tolist(), shared.tolist(), strict=True):
        assert expected[frozenset((i, j))] == pytest.approx(area)


def test_boxes_that_only_touch_do_not_overlap():
    boxes = np.array([[0.0, 0, 10, 10], [10, 0, 20, 10], [0, 10, 10, 20]])
    assert len(overlapping_pairs(np.zeros(3, dtype=int), boxes)[0]) == 0


def test_iou_of_equal_boxes_is_one():
    boxes = np.array([[0.3, 0.1, 7.7, 10.9], [0.3, 0.1, 7.7, 10.9]])
    assert overlapping_iou(np.zeros(2, dtype=int), boxes)[2].tolist() == [1.0]


def test_areas_and_intersections():
    assert areas(np.array([[0.0, 0, 2, 3], [5, 5, 4, 9]])).tolist() == [6, 0]
    assert intersections(np.array([[0.0, 0, 4, 4]]), np.array([[2.0, 1, 9, 9]])).tolist() == [6]


def greedy(frames, boxes, scores, threshold) -> list[bool]:
    """One box after the other."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda row: (-scores[row], row)):
        rivals = [j for j in kept if frames[i] == frames[j]]
        overlaps = [(shared_area(boxes[i], boxes[j]), j) for j in rivals]
        if all(s / (areas(boxes[i]) + areas(boxes[j]) - s) <= threshold for s, j in overlaps):
            kept.append(i)
    return [i in kept for i in range(len(boxes))]


@pytest.mark.parametrize("scores", ["all different", "a few values", "constant"])
@pytest.mark.parametrize("count", [0, 1, 80])
def test_suppression_is_greedy(count, scores):
    rng = np.random.default_rng(count)
    frames, boxes = crowd(rng, count, 3)
    values = {"all different": rng.random(count), "a few values": rng.integers(0, 3, count) / 2}
    values = values.get(scores, np.ones(count))
    kept = non_maximum_suppression(frames, boxes, values, 0.3)
    assert kept.tolist() == greedy(frames, boxes, values, 0.3)
    assert count < 80 or 0 < kept.sum() < count
    iou = overlapping_iou(frames[kept], boxes[kept])[2]
    assert (iou <= 0.3).all()


def test_suppression_is_that_of_torchvision():
    rng = np.random.default_rng(0)
    frames, boxes = crowd(rng, 300, 7)
    scores = rng.random(300)
    kept = batched_nms(*(torch.from_numpy(values) for values in (boxes, scores, frames)), 0.4)
    assert sorted(kept.tolist()) == np.flatnonzero(non_maximum_suppression(frames, boxes, scores, 0.4)).tolist()


def test_a_suppressed_box_suppresses_nothing():
    boxes = np.array([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])
    kept = non_maximum_suppression(np.zeros(3, dtype=int), boxes, np.array([0.9, 0.8, 0.7]), 0.4)
    assert kept.tolist() == [True, False, True]


def test_displacing_is_in_units_of_the_box():
    moved = displace(np.array([[10.0, 20, 30, 60]]), np.array([[0.5, -0.25, np.log(2), 0]]))
    assert np.allclose(moved, [[10, 10, 50, 50]])
