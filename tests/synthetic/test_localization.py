import numpy as np
import pytest

from tests.synthetic.cases import SIZE, apart, world
from tltm_graph.synthetic.detector_noise import Localization
from tltm_graph.synthetic.observations import Observations


def locate(localization: Localization, world, found=None) -> np.ndarray:
    observations = Observations.of(world)
    found = np.ones(len(observations.boxes), dtype=bool) if found is None else found
    return localization.locate(np.random.default_rng(0), observations, found, world)


def displacements(boxes: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Of centres and log sizes, in boxes (R, 4)."""
    sizes, true_sizes = boxes[:, 2:] - boxes[:, :2], exact[:, 2:] - exact[:, :2]
    centres = (boxes[:, 2:] + boxes[:, :2] - exact[:, 2:] - exact[:, :2]) / 2
    return np.concatenate([centres / true_sizes, np.log(sizes / true_sizes)], axis=1)


def test_boxes_are_exact_unless_told_otherwise():
    assert np.array_equal(locate(Localization(), apart(30, 2)), Observations.of(apart(30, 2)).boxes)


def test_only_what_is_found_has_a_box():
    assert np.array_equal(
        locate(Localization(), apart(3, 1), np.array([True, False, True])), apart(3, 1).boxes[0, [0, 2]]
    )
    assert locate(Localization(noise=0.1, drift=0.1), world([], num_frames=2)).shape == (0, 4)


def test_boxes_end_at_the_picture():
    edge = world([(-10, 20, 30, 60)])
    assert locate(Localization(whole=True), edge).tolist() == [[-10, 20, 30, 60]]
    assert locate(Localization(whole=False), edge).tolist() == [[0, 20, 30, 60]]
    assert edge.boxes[0, 0, 0] == -10, "the world is as it was"


def test_noise_is_new_in_each_frame_and_drift_stays_for_a_while():
    exact = Observations.of(apart(100, 100)).boxes
    for localization, kept in (
        (Localization(noise=0.05), 0.0),
        (Localization(drift=0.05, drift_memory=10.0), np.exp(-0.1)),
    ):
        moved = displacements(locate(localization, apart(100, 100)), exact).reshape(100, 100, 4)
        assert np.allclose(moved.std(axis=(0, 1)), 0.05, rtol=0.1)
        assert (moved[1:] * moved[:-1]).mean() / 0.05**2 == pytest.approx(kept, abs=0.07)


def test_what_is_hidden_is_located_less_well_and_less_wide():
    person, pole = (100, 50, 120, 110), (100, 0, 110, 200)
    half_hidden = world([person], [10.0], [pole], [5.0], num_frames=3000)
    assert displacements(locate(Localization(noise=0.02), half_hidden), half_hidden.boxes[:, 0]).std() == pytest.approx(
        0.03, rel=0.05
    )
    boxes = locate(Localization(shrinking=0.4), half_hidden)
    assert np.allclose(boxes[:, 2] - boxes[:, 0], 20 * (1 - 0.4 * 0.5))
    assert (boxes == boxes[0]).all(), "it is always the same side"
    assert 100 in boxes[0] or 120 in boxes[0]
    assert np.array_equal(locate(Localization(shrinking=0.4), apart(30, 2)), Observations.of(apart(30, 2)).boxes)


def test_boxes_stay_boxes():
    height, width = SIZE
    edges = world([(-30, -30, 10, 10), (width - 5, 0, width + 9, 40), (0, 0, width, height)], num_frames=200)
    boxes = locate(Localization(noise=0.08, drift=0.05, whole=False, shrinking=0.4), edges)
    assert (boxes[:, :2] < boxes[:, 2:]).all()
    assert np.isfinite(boxes).all()
