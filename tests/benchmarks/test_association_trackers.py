import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from benchmarks.association_trackers import PACKAGE, PEERS, IouHungarian, associate, follow
from tests.benchmarks.cases import box, sequence
from tltm_graph import Tracker
from tltm_graph.ops.boxes import pairwise_box_iou
from tltm_graph.structures import Observation


def ids_of(tracker: IouHungarian, places: list[list[float]]) -> list[list[int]]:
    return [
        tracker.update(np.array([box(x) for x in row]).reshape(-1, 4), np.ones(len(row))).tolist() for row in places
    ]


def test_without_memory_a_missed_frame_ends_a_track():
    places = [[0, 100], [100], [0, 100]]
    assert ids_of(IouHungarian(), places) == [[1, 2], [2], [3, 2]]
    assert ids_of(IouHungarian(max_time_since_update=1), places) == [[1, 2], [2], [1, 2]]


def test_an_unconfirmed_track_is_removed_at_once():
    places = [[0], [], [0], [0], [], [0]]
    assert ids_of(IouHungarian(max_time_since_update=5, min_hits=2), places) == [[-1], [], [-1], [2], [], [2]]


def test_detections_of_low_score_are_dropped():
    tracker = IouHungarian(det_min=0.5)
    boxes = np.array([box(0), box(100)])
    assert tracker.update(boxes, np.array([0.4, 0.5])).tolist() == [-1, 1]


def test_against_a_list_of_tracks():
    random = np.random.default_rng(0)
    tracker = IouHungarian(thr=0.3, max_time_since_update=2)
    tracks: list[dict] = []
    next_id = 1
    for _ in range(60):
        places = np.sort(random.uniform(0, 200, random.integers(0, 7)))
        boxes = np.array([box(x) for x in places]).reshape(-1, 4)
        expected = [-1] * len(boxes)
        gain = np.array(
            [[iou if iou >= 0.3 else 0 for iou in pairwise_box_iou(t["box"][None], boxes)[0]] for t in tracks]
        )
        pairs = zip(*linear_sum_assignment(gain.reshape(len(tracks), len(boxes)), maximize=True), strict=True)
        taken = [(i, j) for i, j in pairs if gain[i, j] > 0]
        for track in tracks:
            track["misses"] += 1
        for i, j in taken:
            tracks[i] |= {"box": boxes[j], "misses": 0}
            expected[j] = tracks[i]["id"]
        tracks = [track for track in tracks if track["misses"] <= 2]
        for j in range(len(boxes)):
            if expected[j] < 0:
                tracks.append({"id": next_id, "box": boxes[j], "misses": 0})
                expected[j] = next_id
                next_id += 1
        assert tracker.update(boxes, np.ones(len(boxes))).tolist() == expected


def test_each_class_is_tracked_separately():
    detected = tuple((Observation(0, box(0), label=2), Observation(1, box(4), label=label)) for label in (0, 0, 2, 0))
    mixed = sequence([[]] * 4, [[]] * 4, detected=detected)
    first, *_, last = associate(mixed, IouHungarian).ids
    assert last == first
    apart = associate(sequence([[]] * 4, [[]] * 4, detected=detected, by_class=True), IouHungarian).ids
    assert apart[0] == apart[1]
    assert apart[3][0] == apart[0][0]
    assert apart[3][1] != apart[0][1], "the other class had no detection in the frame between"
    assert len({number for ids in apart for number in ids}) == 4


def test_our_tracker_gets_the_same_detections():
    one = sequence([[]] * 4, [[0, 100], [2, 102], [], [6, 106]])
    ids = follow(one, Tracker).ids
    assert ids[0] == ids[1] == ids[3]
    assert ids[2] == []
    assert len(set(ids[0])) == 2


def test_no_frames():
    assert associate(sequence([], []), IouHungarian).ids == []
    assert follow(sequence([], []), Tracker).ids == []


@pytest.mark.parametrize("name", PACKAGE)
def test_other_trackers_follow_two_boxes(name):
    pytest.importorskip(PACKAGE[name])
    places = [[x, 120 + x] if x % 2 else [120 + x, x] for x in range(20)]
    places[5] = []
    one = sequence([[]] * 20, places)
    make, settings = PEERS[name]
    for values in settings.values():
        ids = associate(one, lambda make=make, values=values: make(**values)).ids
        assert [len(row) for row in ids] == [len(row) for row in places]
        left, right = ({row[i if x % 2 else 1 - i] for x, row in enumerate(ids) if x > 12} for i in (0, 1))
        assert len(left) == len(right) == 1
        assert left != right
        assert min(left | right) >= 0
