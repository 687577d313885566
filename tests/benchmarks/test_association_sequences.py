import numpy as np
import pytest
import torch

from benchmarks.association_sequences import Group, score_group, true_objects
from tests.benchmarks.cases import SIZE, box, sequence
from tltm_graph.ops import encode_rle
from tltm_graph.structures import Observation, Tracks


def test_detections_and_frames():
    one = sequence([[(4, 0)], []], [[0, 50], []])
    assert one.num_frames == 2
    assert one.detections(0).boxes.tolist() == [list(box(0)), list(box(50))]
    assert one.detections(0).ids is None
    assert len(one.detections(1)) == 0
    frame = one.frame(1)
    assert (frame.size, frame.index, frame.time) == (SIZE, 1, 0.1)


def test_masks_are_decoded_when_asked_for():
    masks = torch.zeros(1, *SIZE, dtype=torch.bool)
    masks[0, 10:50, :20] = True
    row = Observation(0, box(0), mask=encode_rle(masks)[0])
    one = sequence([[]], [[]], found=((row,),), on="masks")
    assert torch.equal(one.detections(0).masks, masks)


def test_ids_make_tracks_of_the_detections():
    one = sequence([[(4, 0)], [(4, 2)]], [[0, 50], [2]])
    tracks = one.tracks([[7, -1], np.array([7])])
    assert list(tracks) == [7]
    assert tracks[7].boxes == (box(0), box(2))
    assert (tracks.num_frames, tracks.size) == (2, SIZE)
    with pytest.raises(ValueError, match="zip"):
        one.tracks([[7], [7]])


def test_true_objects():
    one = sequence([[(4, 0), (5, 100)], [(4, 2)]], [[103, 50, 1], []])
    assert true_objects(one) == [[5, -1, 4], []]


def test_true_objects_of_another_class_are_others():
    rows = [(0, Observation(4, box(0), label=1)), (0, Observation(9, box(60), label=1, crowd=True))]
    truth = Tracks.from_observations(rows, SIZE, 1)
    one = sequence([[]], [[0, 60]], truth=truth)
    assert true_objects(one) == [[4, -1]]
    assert true_objects(sequence([[]], [[0, 60]], truth=truth, by_class=True)) == [[-1, -1]]


def test_a_perfect_tracker_and_one_that_swaps():
    there = [[(1, 0), (2, 100)]] * 4
    group = Group("toy", (sequence(there, [[0, 100]] * 4), sequence(there, [[0, 100]] * 4, name="two")))
    perfect = {s.name: s.tracks([[1, 2]] * 4) for s in group.sequences}
    assert score_group(group, perfect) == {
        "HOTA": 100.0,
        "AssA": 100.0,
        "DetA": 100.0,
        "IDF1": 100.0,
        "MOTA": 100.0,
        "IDSW": 0,
    }
    swapped = perfect | {"two": group.sequences[1].tracks([[1, 2]] * 2 + [[2, 1]] * 2)}
    scores = score_group(group, swapped)
    assert scores["IDSW"] == 2
    assert scores["IDF1"] == 75.0
    assert scores["MOTA"] == 100 * (16 - 2) / 16
    assert scores["AssA"] == pytest.approx(100 * (1 + 1 / 3) / 2)  # a track on two objects shares 2 of 6 observations


def test_classes_are_scored_each_on_its_own():
    truth = Tracks.from_observations([(0, Observation(4, box(0), label=1))], SIZE, 1)
    one = sequence([[]], [[0]], truth=truth)
    tracks = one.tracks([[1]])
    assert score_group(Group("toy", (one,)), {"one": tracks})["DetA"] == 100.0
    by_class = Group("toy", (sequence([[]], [[0]], truth=truth, by_class=True),))
    assert score_group(by_class, {"one": tracks})["DetA"] == 0.0


def test_tracks_of_other_sequences():
    group = Group("toy", (sequence([[]], [[]]),))
    with pytest.raises(ValueError, match=r"Expected tracks of the sequences \['one'\], got those of \['two'\]"):
        score_group(group, {"two": Tracks({}, SIZE, 1)})
