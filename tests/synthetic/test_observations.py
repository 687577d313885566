"""Overlaps of boxes, visible fractions and ids of detections, each beside a slow, obvious version."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms

from tests.synthetic.cases import SIZE, crowd, world
from tltm_graph.synthetic.observations import (
    NO_OBJECT,
    DetectionRows,
    Observations,
    areas,
    assign_ids,
    intersections,
    non_maximum_suppression,
    overlapping_iou,
    overlapping_pairs,
)
from tltm_graph.synthetic.simulated_motion import SimulatedDetector
from tltm_graph.synthetic.streets import draw_street
from tltm_graph.synthetic.worlds import World


def shared_area(box, other) -> float:
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


@pytest.mark.parametrize("count", [0, 1, 2, 60])
def test_overlapping_pairs_match_brute_force(count):
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
    """Suppress one box after the other."""
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


def test_suppression_matches_torchvision():
    rng = np.random.default_rng(0)
    frames, boxes = crowd(rng, 300, 7)
    scores = rng.random(300)
    kept = batched_nms(*(torch.from_numpy(values) for values in (boxes, scores, frames)), 0.4)
    assert sorted(kept.tolist()) == np.flatnonzero(non_maximum_suppression(frames, boxes, scores, 0.4)).tolist()


def test_a_suppressed_box_suppresses_nothing():
    boxes = np.array([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])
    kept = non_maximum_suppression(np.zeros(3, dtype=int), boxes, np.array([0.9, 0.8, 0.7]), 0.4)
    assert kept.tolist() == [True, False, True]


def visible_by_hand(world: World) -> list[float]:
    """Compute visible fractions frame by frame, object by object, occluder by occluder."""
    height, width = world.size

    def clip(box):
        return np.clip(box, 0, [width, height, width, height])

    def area(box):
        return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)

    def shared(box, other):
        return area((*np.maximum(box[:2], other[:2]), *np.minimum(box[2:], other[2:])))

    visible = []
    for t in range(world.num_frames):
        for n in np.flatnonzero(world.present[t]):
            box, share = clip(world.boxes[t, n]), 1.0
            before = [
                clip(world.boxes[t, m])
                for m in np.flatnonzero(world.present[t])
                if world.depths[t, m] < world.depths[t, n]
            ]
            before += [
                o for o, d in zip(world.occluders[t], world.occluder_depths[t], strict=True) if d < world.depths[t, n]
            ]
            for other in before:
                share *= 1 - shared(box, other) / area(box)
            visible.append(share * min(1.3 * area(box) / area(world.boxes[t, n]), 1))
    return visible


@pytest.mark.parametrize("seed", range(6))
def test_visibility_matches_brute_force(seed):
    drawn = draw_street(np.random.default_rng(seed), 15, 5.0)
    assert Observations.of(drawn).visible.tolist() == pytest.approx(visible_by_hand(drawn))


PERSON = (100, 50, 120, 110)


POLE = (100, 0, 110, 200)  # in front of its left half


def test_occluder_hides_objects_behind_it():
    assert Observations.of(world([PERSON], [10.0])).visible.tolist() == [1]
    assert Observations.of(world([PERSON], [10.0], [POLE], [5.0])).visible.tolist() == [0.5]
    assert Observations.of(world([PERSON], [10.0], [POLE], [15.0])).visible.tolist() == [1], "it is behind the person"
    assert Observations.of(world([PERSON], [10.0], [POLE], [np.inf])).visible.tolist() == [1], (
        "it is out of the picture"
    )
    assert Observations.of(world([PERSON], [10.0], [POLE, POLE], [5.0, 6.0])).visible.tolist() == [0.25]


def test_nearer_object_hides_the_farther():
    boxes = [PERSON, (110, 50, 130, 110)]
    assert Observations.of(world(boxes, [10.0, 9.0])).visible.tolist() == [0.5, 1]
    assert Observations.of(world(boxes, [9.0, 10.0])).visible.tolist() == [1, 0.5]
    assert Observations.of(world(boxes, [9.0, 9.0])).visible.tolist() == [1, 1]


def test_objects_are_clipped_to_the_picture():
    height, width = SIZE
    seen = Observations.of(world([(width - 10, 0, width + 10, 50), (-90, 0, 10, height)]))
    assert seen.clipped.tolist() == [[width - 10, 0, width, 50], [0, 0, 10, height]]
    assert seen.inside.tolist() == [0.5, 0.1]
    assert seen.visible.tolist() == pytest.approx([0.65, 0.13])


def test_observations_of_an_empty_world():
    empty = Observations.of(world([], num_frames=3))
    assert empty.boxes.shape == (0, 4)
    assert empty.visible.shape == (0,)


OBJECTS = [(0.0, 0, 20, 40), (10.0, 0, 30, 40), (100.0, 0, 140, 80)]


FALSE_POSITIVE = len(OBJECTS)  # the first id of a repeated one


def ids_of(*rows: tuple[tuple[float, ...], int], whole: bool = True) -> list[int]:
    """Assign ids to detections, each a box and an id, in one frame of the three objects."""
    boxes = np.array([box for box, _ in rows], dtype=float).reshape(-1, 4)
    zeros = np.zeros(len(rows), dtype=int)
    found = DetectionRows(zeros, boxes, np.ones(len(rows)), zeros, np.array([i for _, i in rows], dtype=int))
    return assign_ids(found, Observations.of(world(OBJECTS)), whole, len(OBJECTS)).ids.tolist()


def test_detections_get_the_id_of_greatest_overlap():
    assert ids_of((OBJECTS[0], 0), (OBJECTS[1], 1), (OBJECTS[2], 2)) == [0, 1, 2]
    assert ids_of((OBJECTS[1], 0)) == [1], "whatever its id was"
    assert ids_of(((2.0, 0, 30, 40), NO_OBJECT)) == [1], "a box around two is a detection of one of them"
    assert ids_of((OBJECTS[0], NO_OBJECT), ((2.0, 0, 22, 40), 0)) == [0, NO_OBJECT], "one box for each object"
    assert ids_of(((2.0, 0, 22, 40), 0), ((9.0, 0, 29, 40), 0)) == [0, 1], "and one object for each box"


def test_poor_box_keeps_its_id_if_it_is_free():
    bad = (100.0, 40, 140, 120)  # IoU 1/3
    assert ids_of((bad, 2)) == [2]
    assert ids_of((bad, 2), (OBJECTS[2], 2)) == [NO_OBJECT, 2]
    assert ids_of(((100.0, 60, 140, 140), 2)) == [NO_OBJECT], "an IoU of 1/7 is too little"
    assert ids_of((bad, 1)) == [NO_OBJECT], "it is a poor box of another object"


def test_false_positives_keep_their_ids_away_from_objects():
    assert ids_of(((200.0, 0, 220, 40), FALSE_POSITIVE), ((200.0, 50, 220, 90), NO_OBJECT)) == [
        FALSE_POSITIVE,
        NO_OBJECT,
    ]
    assert ids_of((OBJECTS[2], FALSE_POSITIVE)) == [2]


def test_false_positives_are_linked_between_frames():
    boxes = np.array([(200, 0, 220, 40), (202, 0, 222, 40), (240, 0, 260, 40), (206, 0, 226, 40), (206, 0, 226, 40)])
    frames, ones = np.array([0, 1, 1, 2, 4]), np.ones(5)
    found = DetectionRows(frames, boxes.astype(float), ones, ones.astype(int), np.full(5, NO_OBJECT))
    ids = assign_ids(found, Observations.of(world(OBJECTS, num_frames=5)), True, 3).ids
    assert ids.tolist() == [3, 3, NO_OBJECT, 3, NO_OBJECT], "from frame to frame, not over a gap"
    two = DetectionRows(
        np.array([0, 1, 1]), boxes[[0, 0, 1]].astype(float), ones[:3], ones[:3].astype(int), np.full(3, NO_OBJECT)
    )
    assert assign_ids(two, Observations.of(world(OBJECTS, num_frames=2)), True, 3).ids.tolist() == [3, 3, NO_OBJECT]


def test_ids_of_no_detections():
    assert ids_of() == []


@pytest.mark.parametrize("whole", [True, False])
def test_ids_match_brute_force(whole):
    """Assign ids frame by frame in a crowd."""
    random = np.random.default_rng(0)
    truth = draw_street(random, 30, 10.0)
    observations = Observations.of(truth)
    found = SimulatedDetector(merging=0.5, duplicates=0.3, parts=0.1, false_positives=0.1).detect(random, truth)
    ids = np.where(found.ids < truth.num_objects, found.ids, NO_OBJECT)
    ids = np.where(random.random(len(ids)) < 0.2, random.choice(np.unique(observations.objects), len(ids)), ids)
    found = replace(found, ids=ids)
    ids = assign_ids(found, observations, whole, truth.num_objects).ids
    ids = np.where(ids < truth.num_objects, ids, NO_OBJECT)
    changed = 0
    for frame in range(truth.num_frames):
        rows, there = np.flatnonzero(found.frames == frame), np.flatnonzero(observations.frames == frame)
        true = (observations.boxes if whole else observations.clipped)[there]
        iou = np.array([[iou_of(found.boxes[row], box) for box in true] for row in rows]).reshape(len(rows), len(true))
        expected, taken = {}, set()
        for row, column in sorted(np.ndindex(iou.shape), key=lambda at: -iou[at]):
            if iou[row, column] >= 0.5 and row not in expected and column not in taken:
                expected[row] = int(observations.objects[there[column]])
                taken.add(column)
        for row in range(len(rows)):
            own = int(found.ids[rows[row]])
            at = np.flatnonzero(observations.objects[there] == own)
            if row not in expected:
                free = own not in expected.values() and at.size and iou[row, at[0]] >= 0.3
                expected[row] = own if free else NO_OBJECT
        got = ids[rows].tolist()
        assert sorted(i for i in got if i != NO_OBJECT) == sorted({i for i in expected.values() if i != NO_OBJECT})
        pairs = [(i, e) for i, e in zip(got, (expected[row] for row in range(len(rows))), strict=True)]
        assert all(i in (e, NO_OBJECT) for i, e in pairs), "of poor boxes with one id only one keeps it"
        changed += sum(i != own for i, own in zip(got, found.ids[rows].tolist(), strict=True))
    assert changed > 20


def iou_of(box, other):
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    shared = np.prod(np.maximum(high - low, 0))
    return shared / (np.prod(box[2:] - box[:2]) + np.prod(other[2:] - other[:2]) - shared)
