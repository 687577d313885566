from dataclasses import replace

import numpy as np
import pytest

from tests.synthetic.cases import world
from tltm_graph.synthetic.observations import FALSE, Found, Observations
from tltm_graph.synthetic.simulated_detector import SimulatedDetector, reidentified
from tltm_graph.synthetic.worlds import draw_people

OBJECTS = [(0.0, 0, 20, 40), (10.0, 0, 30, 40), (100.0, 0, 140, 80)]
FALSE_POSITIVE = len(OBJECTS)  # the first id of one that comes again


def told(*rows: tuple[tuple[float, ...], int], whole: bool = True) -> list[int]:
    """What detections, each a box and the id that it has, show in one frame of the three objects."""
    boxes = np.array([box for box, _ in rows], dtype=float).reshape(-1, 4)
    zeros = np.zeros(len(rows), dtype=int)
    found = Found(zeros, boxes, np.ones(len(rows)), zeros, np.array([i for _, i in rows], dtype=int))
    return reidentified(found, Observations.of(world(OBJECTS)), whole, len(OBJECTS)).ids.tolist()


def test_a_box_shows_the_object_that_it_overlaps_most():
    assert told((OBJECTS[0], 0), (OBJECTS[1], 1), (OBJECTS[2], 2)) == [0, 1, 2]
    assert told((OBJECTS[1], 0)) == [1], "whatever it was meant to show"
    assert told(((2.0, 0, 30, 40), FALSE)) == [1], "a box around two is a detection of one of them"
    assert told((OBJECTS[0], FALSE), ((2.0, 0, 22, 40), 0)) == [0, FALSE], "one box for each object"
    assert told(((2.0, 0, 22, 40), 0), ((9.0, 0, 29, 40), 0)) == [0, 1], "and one object for each box"


def test_a_bad_box_keeps_its_id_if_nobody_else_has_it():
    bad = (100.0, 40, 140, 120)  # IoU 1/3
    assert told((bad, 2)) == [2]
    assert told((bad, 2), (OBJECTS[2], 2)) == [FALSE, 2]
    assert told(((100.0, 60, 140, 140), 2)) == [FALSE], "an IoU of 1/7 is too little"
    assert told((bad, 1)) == [FALSE], "it overlaps another object, badly"


def test_false_positives_keep_theirs_away_from_objects():
    assert told(((200.0, 0, 220, 40), FALSE_POSITIVE), ((200.0, 50, 220, 90), FALSE)) == [FALSE_POSITIVE, FALSE]
    assert told((OBJECTS[2], FALSE_POSITIVE)) == [2]


def test_what_shows_nothing_again_is_the_same():
    boxes = np.array([(200, 0, 220, 40), (202, 0, 222, 40), (240, 0, 260, 40), (206, 0, 226, 40), (206, 0, 226, 40)])
    frames, ones = np.array([0, 1, 1, 2, 4]), np.ones(5)
    found = Found(frames, boxes.astype(float), ones, ones.astype(int), np.full(5, FALSE))
    ids = reidentified(found, Observations.of(world(OBJECTS, num_frames=5)), True, 3).ids
    assert ids.tolist() == [3, 3, FALSE, 3, FALSE], "from frame to frame, not over a gap"
    two = Found(np.array([0, 1, 1]), boxes[[0, 0, 1]].astype(float), ones[:3], ones[:3].astype(int), np.full(3, FALSE))
    assert reidentified(two, Observations.of(world(OBJECTS, num_frames=2)), True, 3).ids.tolist() == [3, 3, FALSE]


def test_nothing_is_told_of_nothing():
    assert told() == []


@pytest.mark.parametrize("whole", [True, False])
def test_frame_by_frame(whole):
    """The slow way, on a crowd."""
    random = np.random.default_rng(0)
    truth = draw_people(random, 30, 10.0)
    observations = Observations.of(truth)
    found = SimulatedDetector(merging=0.5, duplicates=0.3, parts=0.1, false_positives=0.1).detect(random, truth)
    ids = np.where(found.ids < truth.num_objects, found.ids, FALSE)
    ids = np.where(random.random(len(ids)) < 0.2, random.choice(np.unique(observations.objects), len(ids)), ids)
    found = replace(found, ids=ids)
    ids = reidentified(found, observations, whole, truth.num_objects).ids
    ids = np.where(ids < truth.num_objects, ids, FALSE)
    changed = 0
    for frame in range(truth.num_frames):
        rows, there = np.flatnonzero(found.frames == frame), np.flatnonzero(observations.frames == frame)
        true = (observations.boxes if whole else observations.clipped)[there]
        iou = np.array([[overlap(found.boxes[row], box) for box in true] for row in rows]).reshape(len(rows), len(true))
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
                expected[row] = own if free else FALSE
        got = ids[rows].tolist()
        assert sorted(i for i in got if i != FALSE) == sorted({i for i in expected.values() if i != FALSE})
        pairs = [(i, e) for i, e in zip(got, (expected[row] for row in range(len(rows))), strict=True)]
        assert all(i in (e, FALSE) for i, e in pairs), "of bad boxes with one id one is left"
        changed += sum(i != own for i, own in zip(got, found.ids[rows].tolist(), strict=True))
    assert changed > 20


def overlap(box, other):
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    shared = np.prod(np.maximum(high - low, 0))
    return shared / (np.prod(box[2:] - box[:2]) + np.prod(other[2:] - other[:2]) - shared)
