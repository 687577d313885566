import torch

from benchmarks.real_tracking import ids_of, table
from tests.benchmarks.test_fusion import objects
from tltm_graph import Tracks

SIZE = (40, 60)


def tracks(ids):
    """Two objects with these ids in each frame; -1 for a missing one."""
    stream = []
    for frame, pair in enumerate(ids):
        both = objects((2, 2, 20, 20), (30, 5, 50, 35)).replace(ids=torch.tensor(pair))
        stream.append((frame, both[both.ids >= 0]))
    return Tracks.from_stream(stream, SIZE, len(ids))


def test_ids_that_last_three_frames_count():
    truth = tracks([(0, 1)] * 8)
    assert ids_of(truth, tracks([(5, 6)] * 8)) == [1, 1]
    assert ids_of(truth, tracks([(5, 6)] * 4 + [(7, 6)] * 4)) == [2, 1]
    assert ids_of(truth, tracks([(5, -1)] * 6 + [(7, -1)] * 2)) == [1, 0]


def test_an_empty_table():
    assert table("none", {}).splitlines()[0] == "| none | HOTA | AssA | DetA | IDF1 | ID switches |"
