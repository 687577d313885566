from dataclasses import replace

import pytest

from benchmarks.association_mistakes import MENDED, TrackCounts, count_tracks, judged
from tests.benchmarks.cases import box, drawn, sequence
from tltm_graph.structures import Observation, Tracks


def test_detections_on_ignore_regions_are_neither_true_nor_false():
    one = sequence([[(4, 0.0)], []], [[0, 100, 60], [100]])
    rows = [(0, Observation(4, box(0))), (0, Observation(9, (95.0, 0.0, 130.0, 60.0), crowd=True))]
    one = replace(one, truth=Tracks.from_observations(rows, one.size, 2))
    assert judged(one) == [[4, -2, -1], [-1]]


def test_tracks_are_counted():
    objects = [[4, -2, -1], [4, -2, -1], [-1, -1]]
    ids = [[1, 2, 3], [1, 2, -1], [1, 4]]
    assert count_tracks(objects, ids) == TrackCounts(tracks=4, false=2, one_frame=2)
    assert count_tracks([], []) == TrackCounts()
    assert sum([TrackCounts(1, 2, 3), TrackCounts(4, 5, 6)], TrackCounts()) == TrackCounts(5, 7, 9)


CASES = {
    "false tracks": (["aaa", "bbb"], ["aaa", "---"], ["aaa", "---"]),
    "false boxes of true tracks": (["aaa", "bbb"], ["a-a", "b-b"], ["a-a", "b-b"]),
    "takeovers after a gap": (["aa.aa", "bb.bb"], ["aa.bb", "bb.bb"], ["aa.cc", "bb.bb"]),
    "takeovers without a gap": (["aaaa", "b..b"], ["aacc", "b..b"], ["aacc", "b..b"]),
    "one-frame tracks": (["aaa", ".b."], ["aaa", ".a."], ["aaa", ".-."]),
}


@pytest.mark.parametrize("name", MENDED)
def test_each_kind_of_mistake_is_put_right_alone(name):
    for kind, (ids, objects, expected) in CASES.items():
        ids, objects, expected = drawn(*ids), drawn(*objects), drawn(*expected)
        before = [list(row) for row in ids]
        mended = MENDED[name](objects, ids)
        assert ids == before, "the ids given are left alone"
        assert mended == (expected if kind == name else ids)


def test_a_false_detection_between_is_no_gap():
    objects, ids = drawn("a-b"), drawn("aaa")
    assert MENDED["takeovers without a gap"](objects, ids) == drawn("aab")
    assert MENDED["takeovers after a gap"](objects, ids) == ids
