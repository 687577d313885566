import numpy as np
import pytest

from tests.synthetic.cases import SIZE, apart, world
from tltm_graph.synthetic.detector_noise import ConstantScores, false_positives
from tltm_graph.synthetic.observations import FALSE, Found, Observations


def of(world, rate: float, noise: float = 0.02) -> Found:
    rng = np.random.default_rng(0)
    return false_positives(rng, Observations.of(world), world, rate, noise, ConstantScores())


def test_there_are_none_where_nothing_is_or_none_are_asked_for():
    assert len(of(world([], num_frames=5), 0.5)) == 0
    assert len(of(apart(10, 5), 0.0)) == 0


def test_their_number_size_and_place():
    detections = of(apart(20, 1000), 0.1)
    once = detections.take(detections.ids == FALSE)
    assert len(once) == pytest.approx(0.7 * 2000, rel=0.1)
    sizes = once.boxes[:, 2:] - once.boxes[:, :2]
    assert np.allclose(np.exp(np.log(sizes).mean(axis=0)), [8, 16], rtol=0.03)
    centres = (once.boxes[:, :2] + once.boxes[:, 2:]) / 2 / [SIZE[1], SIZE[0]]
    assert np.allclose(np.quantile(centres, [0.01, 0.5, 0.99], axis=0), [[0.01] * 2, [0.5] * 2, [0.99] * 2], atol=0.05)


def test_those_that_come_again_are_at_one_place_for_a_while():
    detections = of(apart(20, 1000), 0.1)
    again = detections.take(detections.ids != FALSE)
    assert again.frames.max() < 1000
    ids, counts = np.unique(again.ids, return_counts=True)
    assert ids.tolist() == list(range(20, 20 + len(ids))), "numbered after the objects"
    assert len(ids) == pytest.approx(0.3 * 2000, rel=0.15)
    assert counts.mean() == pytest.approx(1 + 14 * 0.625, rel=0.12)
    for ident in ids.tolist():
        frames, boxes = again.frames[again.ids == ident], again.boxes[again.ids == ident]
        labels = again.labels[again.ids == ident]
        assert len(set(frames.tolist())) == len(frames), "once in a frame"
        assert len(set(labels.tolist())) == 1
        size = boxes[0, 2:] - boxes[0, :2]
        assert (abs(boxes[:, :2] - boxes[0, :2]) < 0.25 * size).all()


def test_they_never_stand_entirely_still():
    detections = of(apart(20, 300), 0.1, noise=0.0)
    again = detections.take(detections.ids == 20)
    assert len(again) > 1
    assert len(np.unique(again.boxes[:, 0])) == len(again)
