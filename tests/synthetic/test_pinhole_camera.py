import math

import numpy as np
import pytest

from tltm_graph.synthetic.pinhole_camera import (
    RIDES,
    Movement,
    PinholeCamera,
    draw_camera,
    drive,
    pan,
    shake,
    stand,
    walk,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def project_by_hand(camera: PinholeCamera, t: int, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Project a point y metres above the ground to column, row and distance by dot products with the camera axes."""
    yaw, pitch, forward = (float(angle[t]) for angle in camera.movement)
    ahead = (math.sin(yaw), 0.0, math.cos(yaw))
    right = (math.cos(yaw), 0.0, -math.sin(yaw))
    axis = tuple(math.cos(pitch) * a + math.sin(pitch) * d for a, d in zip(ahead, (0, -1, 0), strict=True))
    down = tuple(math.cos(pitch) * d - math.sin(pitch) * a for a, d in zip(ahead, (0, -1, 0), strict=True))
    ray = (x, y - camera.height, z - forward)
    depth, across, below = (sum(r * d for r, d in zip(ray, axis_, strict=True)) for axis_ in (axis, right, down))
    height, width = camera.size
    return width / 2 + camera.focal * across / depth, height / 2 + camera.focal * below / depth, depth


@pytest.mark.parametrize("ride", RIDES, ids=lambda ride: ride.__name__)
def test_projection_is_that_of_a_pinhole(ride):
    camera = draw_camera(rng(3), ride, num_frames=20, fps=10)
    x, z, tall = np.array([-2.0, 0.5, 3.0]), np.array([200.0, 250.0, 230.0]), np.array([1.6, 1.8, 3.0])
    seen = camera.project(x, z, tall)
    assert seen.middle.shape == (20, 3)
    for t in range(20):
        for n in range(3):
            column, bottom, depth = project_by_hand(camera, t, x[n], 0.0, z[n])
            _, top, _ = project_by_hand(camera, t, x[n], tall[n], z[n])
            assert depth > 100
            assert seen.middle[t, n] == pytest.approx(column)
            assert seen.bottom[t, n] == pytest.approx(bottom)
            assert seen.top[t, n] == pytest.approx(top)
            assert seen.depth[t, n] == pytest.approx(depth)


def test_projection_of_a_walker_by_hand():
    """1 m/s to the right, 10 m ahead of a level camera of 500 pixels focal length: 50 pixels per second."""
    camera = PinholeCamera((480, 640), focal=500.0, height=1.5, movement=Movement(*np.zeros((3, 4))))
    seen = camera.project(np.arange(4)[:, None] / 10, np.full((4, 1), 10.0), np.array([1.7]))
    assert seen.middle[:, 0].tolist() == pytest.approx([320, 325, 330, 335])
    assert seen.bottom[0, 0] == pytest.approx(240 + 75)
    assert seen.top[0, 0] == pytest.approx(240 - 10)


def test_turning_right_shifts_left_and_moving_ahead_enlarges():
    movement = Movement(np.array([0, 0.1]), np.zeros(2), np.array([0.0, 5.0]))
    seen = PinholeCamera((480, 640), 500.0, 1.5, movement).project(np.zeros(1), np.full(1, 10.0), np.array([1.7]))
    assert seen.middle[1, 0] < seen.middle[0, 0] == 320
    assert seen.bottom[1, 0] - seen.top[1, 0] > 1.9 * (seen.bottom[0, 0] - seen.top[0, 0])


def test_points_behind_the_camera_have_negative_depth():
    camera = PinholeCamera((480, 640), 500.0, 1.5, Movement(*np.zeros((3, 1))))
    seen = camera.project(np.zeros(1), np.full(1, -4.0), np.array([1.7]))
    assert seen.depth[0, 0] == -4
    assert np.isfinite(seen.middle).all()
    assert np.isfinite(seen.bottom).all()


@pytest.mark.parametrize("num_frames", [0, 1, 40])
@pytest.mark.parametrize("ride", RIDES, ids=lambda ride: ride.__name__)
def test_rides_have_the_requested_length(ride, num_frames):
    movement = ride(rng(), num_frames, 10.0)
    assert [len(part) for part in movement] == [num_frames] * 3
    assert draw_camera(rng(), ride, num_frames, 10.0).travelled >= 0


def test_rides_move_as_described():
    movements = {ride: [ride(rng(seed), 200, 20.0) for seed in range(20)] for ride in RIDES}
    for movement in movements[stand]:
        assert not any(part.any() for part in movement)
    for movement in movements[pan]:
        assert 0.02 < np.abs(movement.yaw).max() <= 0.5
        assert not movement.pitch.any()
        assert not movement.forward.any()
    for movement in movements[shake]:
        assert 0 < movement.yaw.std() < 0.03
        assert 0 < movement.pitch.std() < 0.03
        assert not movement.forward.any()
    for movement in movements[walk]:
        speed = np.diff(movement.forward) * 20
        assert np.allclose(speed, speed[0])
        assert 0.3 <= speed[0] <= 1.6
    speeds = [np.diff(movement.forward) * 20 for movement in movements[drive]]
    assert all((speed >= 0).all() for speed in speeds), "never backwards"
    assert max(speed.max() for speed in speeds) > 5


def test_scattered_points_are_in_front_of_the_way():
    movement = Movement(np.zeros(3), np.zeros(3), np.array([0.0, 30.0, 60.0]))
    camera = PinholeCamera((480, 640), 640.0, 1.5, movement)
    x, z = camera.scatter(rng(), 5000, (2.0, 20.0), reach=1.0, nearest=4.0)
    assert 2 <= z.min() < 3
    assert 70 < z.max() <= 80
    assert 30 < np.abs(x).max() <= 40  # half as far to the sides as ahead, with this focal length
