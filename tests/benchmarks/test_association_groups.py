import numpy as np
import pytest
import torch

from benchmarks.association_groups import load_group
from tests.benchmarks.cases import SIZE, box, sequence
from tltm_graph.ops import encode_rle
from tltm_graph.structures import Observation


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
    one = sequence([[]], [[]], detected=((row,),), on="masks")
    assert torch.equal(one.detections(0).masks, masks)


def test_ids_make_tracks_of_the_detections():
    one = sequence([[(4, 0)], [(4, 2)]], [[0, 50], [2]])
    tracks = one.tracks([[7, -1], np.array([7])])
    assert list(tracks) == [7]
    assert tracks[7].boxes == (box(0), box(2))
    assert (tracks.num_frames, tracks.size) == (2, SIZE)
    with pytest.raises(ValueError, match="zip"):
        one.tracks([[7], [7]])


def test_an_unknown_group():
    with pytest.raises(ValueError, match=r"Expected one of the groups \['MOT15', .*\], got 'MOT16'"):
        load_group("MOT16")


def test_no_cells(tmp_path):
    with pytest.raises(FileNotFoundError, match="Expected sequences of cells"):
        load_group("CTCc", tmp_path)
