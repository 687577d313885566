from dataclasses import replace

import numpy as np
import pytest

from tltm_graph.synthetic import HARD, STANDARD, MovingShapes
from tltm_graph.synthetic.camera import Knot, Spline


def spline_through(knots: list[Knot]) -> Spline:
    remaining = iter(knots)
    return Spline(lambda previous: next(remaining))


def test_spline_is_catmull_rom():
    times, values = [-4.0, 3.0, 5.0, 12.0, 20.0, 30.0], np.random.default_rng(0).normal(size=(6, 2))
    smooth = spline_through([Knot(t, v) for t, v in zip(times, values, strict=True)])
    for t, value in zip(times[1:4], values[1:4], strict=True):
        assert np.allclose(smooth.at(t)[0], value)
    for t in (3.5, 5.0, 7.7, 13.0):
        k = max(i for i in range(6) if times[i] <= t)
        before, here, there, beyond = values[k - 1 : k + 3]
        span, s = times[k + 1] - times[k], (t - times[k]) / (times[k + 1] - times[k])
        leaving = span * (there - before) / (times[k + 1] - times[k - 1])
        arriving = span * (beyond - here) / (times[k + 2] - times[k])
        hermite = (2 * s**3 - 3 * s**2 + 1) * here + (s**3 - 2 * s**2 + s) * leaving
        hermite += (3 * s**2 - 2 * s**3) * there + (s**3 - s**2) * arriving
        value, rate = smooth.at(t)
        assert np.allclose(value, hermite)
        assert np.allclose(rate, (smooth.at(t + 1e-6)[0] - smooth.at(t - 1e-6)[0]) / 2e-6, atol=1e-4)


def test_spline_has_gaps_and_ignores_knots_beyond_them():
    far = np.array([100.0])
    here = [Knot(-2, np.zeros(1)), Knot(4, np.ones(1)), Knot(9, far, begins=True), Knot(12, far + 3), Knot(99, far)]
    broken = spline_through(here)
    assert broken.at(4) is None
    assert broken.at(8.9) is None
    assert broken.at(1)[0] == pytest.approx(0.5), "straight: its ends have no other neighbours"
    assert broken.at(9)[0] == far


@pytest.mark.parametrize("difficulty", [STANDARD, HARD], ids=("standard", "hard"))
def test_camera_never_leaves_the_background(difficulty):
    """PIL raises for a box outside the image. Whips after slow moves overshoot most."""
    wild = replace(difficulty, whips=0.5, bursts=0.5, clutter=0)
    for seed in range(4):
        scene = MovingShapes(150, (16, 40), num_objects=0, seed=seed, difficulty=wild)
        for t in range(0, 150, 2):
            scene.frame(t)
