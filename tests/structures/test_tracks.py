import random

import pytest
import torch

from tests.cases import CROSSING, SIZE, drawn
from tltm_graph import MovingShapes, Tracks
from tltm_graph.structures import Track


def test_frames_may_come_in_any_order():
    stream = list(enumerate(drawn(CROSSING)))
    shuffled = random.Random(0).sample(stream, len(stream))
    tracks = Tracks.from_stream(stream, SIZE)
    assert tracks == Tracks.from_stream(shuffled, SIZE)
    assert list(tracks) == [0, 1]
    assert tracks[0].frames == (0, 1, 2, 3, 5, 6, 7)
    assert tracks[1].frames == tuple(range(8))
    assert tracks.num_frames == 8


def test_round_trip_of_detections():
    scene = MovingShapes(12, (48, 64), num_objects=3, seed=1)
    tracks = Tracks.from_stream(((t, scene.truth(t)) for t in range(12)), scene.size)
    for t in range(12):
        before, after = scene.truth(t), tracks.at(t)
        assert torch.equal(after.ids, before.ids)
        assert torch.equal(after.labels, before.labels)
        torch.testing.assert_close(after.boxes, before.boxes)
        assert torch.equal(after.masks, before.masks) if len(before) else after.masks is None
    assert len(tracks.at(99)) == 0


def test_negative_ids_are_skipped_and_ids_are_required():
    (frame,) = drawn("ab")
    tracks = Tracks.from_stream([(3, frame.replace(ids=torch.tensor([-1, 5])))], SIZE)
    assert list(tracks) == [5]
    assert tracks.num_frames == 4
    with pytest.raises(ValueError, match="Expected detections with ids, got none in frame 3"):
        Tracks.from_stream([(3, frame.replace(ids=None))], SIZE)


def test_score_is_the_mean_and_label_the_majority():
    track = Track((0, 1, 2, 5), ((0.0, 0.0, 1.0, 1.0),) * 4, (0.5, 0.5, 0.8, 0.6), (2, 1, 1, 2))
    assert track.score == pytest.approx(0.6)
    assert track.label == 1, "the smallest of equally frequent labels"


def test_whole_numbers_become_floats():
    """Annotations may have whole numbers, which JSON reads as int."""
    objects = Tracks({1: Track((0,), ((1, 2, 30, 40),), (1,), (0,))}, SIZE, 1).at(0)
    assert objects.boxes.dtype == objects.scores.dtype == torch.float32


def test_bad_tracks():
    box = (0.0, 0.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="equal lengths in a track"):
        Track((0, 1), (box,), (0.5,), (0,))
    with pytest.raises(ValueError, match="strictly increasing"):
        Track((1, 1), (box, box), (0.5, 0.5), (0, 0))
