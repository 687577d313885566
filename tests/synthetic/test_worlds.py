from dataclasses import replace

import numpy as np
import pytest

from tests.synthetic.test_camera import project_by_hand
from tltm_graph.synthetic.camera_motion import draw_camera, stand
from tltm_graph.synthetic.observations import Observations
from tltm_graph.synthetic.worlds import (
    Walkers,
    draw_blobs,
    draw_boxes,
    draw_drift,
    draw_occluders,
    draw_people,
    draw_walkers,
    draw_ways,
    draw_zoom,
)

DRAWN = pytest.mark.parametrize("draw", [draw_people, draw_blobs])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@DRAWN
def test_worlds_are_well_formed(draw):
    for seed in range(30):
        world = draw(rng(seed), 50, 10.0)
        t, n, k = 50, world.num_objects, world.occluders.shape[1]
        assert 2 <= n <= 210, "100 at first, of whom half may divide"
        assert k <= 5
        assert world.boxes.shape == (t, n, 4)
        assert world.depths.shape == world.present.shape == (t, n)
        assert world.occluders.shape == (t, k, 4)
        assert world.occluder_depths.shape == (t, k)
        assert world.labels.shape == (n,)
        assert world.labels.min() >= 0
        assert world.num_labels <= 4
        boxes = world.boxes[world.present]
        assert np.isfinite(boxes).all()
        assert (boxes[:, :2] < boxes[:, 2:]).all()
        height, width = world.size
        assert ((boxes[:, :2] < [width, height]) & (boxes[:, 2:] > 0)).all(), "they touch the picture"


@DRAWN
@pytest.mark.parametrize("num_frames", [0, 1])
def test_worlds_may_be_short(draw, num_frames):
    for seed in range(10):
        assert draw(rng(seed), num_frames, 10.0).num_frames == num_frames


def test_some_frames_of_a_world():
    world = draw_people(rng(), 30, 10.0)
    some = world.take(np.array([3, 20]))
    assert some.num_frames == 2
    assert np.array_equal(some.boxes, world.boxes[[3, 20]])
    assert np.array_equal(some.occluder_depths, world.occluder_depths[[3, 20]])
    assert np.array_equal(some.labels, world.labels)


def test_boxes_of_walkers_are_projections():
    """One walker under a camera that stands, each box by hand: height and place, and a width that swings a little."""
    camera = draw_camera(rng(1), stand, 40, 10.0)
    x, z = 0.1 * np.arange(40)[:, None] - 2, np.full((40, 1), 12.0)
    walkers = Walkers(x, z, np.zeros((40, 1)), np.ones(1))
    boxes, depths = draw_boxes(rng(2), camera, walkers, np.array([False]), fps=10)
    for t in range(40):
        x0, y0, x1, y1 = boxes[t, 0]
        column, bottom, depth = project_by_hand(camera, t, x[t, 0], 0, z[t, 0])
        assert (x0 + x1) / 2 == pytest.approx(column)
        assert y1 == pytest.approx(bottom)
        assert depths[t, 0] == pytest.approx(depth)
        shortest, tallest = (y1 - project_by_hand(camera, t, x[t, 0], h, z[t, 0])[1] for h in (1.3, 2.0))
        assert shortest <= y1 - y0 <= tallest
        assert 0.32 * 0.85 <= (x1 - x0) / (y1 - y0) <= 0.5 * 1.15
    steps = np.diff((boxes[:, 0, 0] + boxes[:, 0, 2]) / 2)
    assert np.allclose(steps, steps[0]), "nothing turns, so it goes at a constant speed"


def test_cars_are_wide_from_the_side_and_narrow_from_behind():
    camera = draw_camera(rng(1), stand, 1, 10.0)
    heading = np.array([[0.0, np.pi / 2, np.pi, -np.pi / 2]])
    walkers = Walkers(np.zeros((1, 4)), np.full((1, 4), 12.0), heading, np.ones(4))
    boxes, _ = draw_boxes(rng(), camera, walkers, np.ones(4, dtype=bool), fps=10)
    aspects = (boxes[0, :, 2] - boxes[0, :, 0]) / (boxes[0, :, 3] - boxes[0, :, 1])
    assert aspects.tolist() == pytest.approx([2.4, 1.1, 2.4, 1.1])


def test_before_a_camera_that_stands_people_go_at_a_nearly_constant_speed():
    smooth = []
    for seed in range(20):
        camera = draw_camera(rng(seed), stand, 100, 25.0)
        walkers = draw_walkers(rng(seed), camera, 30, 30.0, cars=0.0, fps=25.0)
        way = np.stack([walkers.x, walkers.z], axis=-1)
        steps = np.diff(way, axis=0)
        change = np.linalg.norm(np.diff(steps, axis=0), axis=-1)
        moving = np.linalg.norm(steps[:-1], axis=-1) > 0.02  # half a metre a second
        smooth.append(np.median(change[moving] / np.linalg.norm(steps[:-1], axis=-1)[moving]))
        assert (walkers.speed <= 2.5).all()
        assert np.linalg.norm(steps, axis=-1).max() * 25 < 2.5 * 2.5
    assert np.median(smooth) < 0.1
    assert max(smooth) < 0.3


def test_some_walk_together():
    camera = draw_camera(rng(0), stand, 5, 10.0)
    walkers = draw_walkers(rng(0), camera, 60, 30.0, cars=0.0, fps=10.0)
    assert len(np.unique(walkers.speed)) < 60


def test_occluders_do_not_move_before_a_camera_that_stands_and_hide_people():
    hidden = 0
    for seed in range(60):
        camera = draw_camera(rng(seed), stand, 8, 10.0)
        camera = replace(camera, movement=camera.movement._replace(yaw=np.zeros(8)))  # never knocked
        boxes, depths = draw_occluders(rng(seed), camera, 30.0)
        assert boxes.shape[0] == depths.shape[0] == 8
        assert boxes.shape[1] <= 5
        assert np.array_equal(boxes, np.broadcast_to(boxes[:1], boxes.shape))
        assert (depths > 1).all()
        hidden += boxes.shape[1] > 0
    assert 15 < hidden < 45, "half of the worlds have some"
    visible = np.concatenate([Observations.of(draw_people(rng(seed), 60, 10.0)).visible for seed in range(20)])
    assert 0.1 < (visible < 0.2).mean() < 0.5


def test_blobs_wander_glide_or_swing():
    """Told apart by how much of their velocity is new in each frame."""
    kinds = {"swing": 0, "glide": 0, "wander": 0}
    for seed in range(100):
        way = draw_ways(rng(seed), 150, np.full(200, 10.0), (100, 200))
        assert way.shape == (150, 200, 2)
        velocity = np.diff(way, axis=0)
        new = (np.diff(velocity, axis=0) ** 2).mean() / (velocity**2).mean() / 2  # 1 - a of the noise
        kinds["swing" if new < 0.02 else "glide" if new < 0.2212 else "wander"] += 1
        if new < 0.02:
            assert (abs(way - [100, 50]) <= [180, 90]).all(), "at most 0.7 of the picture from a middle in [0.3, 0.7]"
        else:
            assert velocity.std() < 0.25 * 10 * 1.1
    # four frames of memory divide gliding from wandering: a memory of 4 is exp(-1/4) = 1 - 0.2212
    assert 25 <= kinds["swing"] <= 45
    assert 15 <= kinds["glide"] <= 35
    assert 30 <= kinds["wander"] <= 50


def test_drift_is_around_the_middle_and_zoom_begins_near_one():
    drifts = [draw_drift(rng(seed), 60, 640) for seed in range(100)]
    assert all(np.allclose(drift.mean(axis=0), 0) for drift in drifts)
    assert 0.3 < np.mean([drift.any() for drift in drifts]) < 0.7
    assert draw_drift(rng(), 0, 640).shape == (0, 2)
    zooms = [draw_zoom(rng(seed), 60) for seed in range(100)]
    assert 0.15 < np.mean([(zoom != 1).any() for zoom in zooms]) < 0.45
    assert all(0.97 < zoom[0] < 1.03 and (zoom > 0).all() for zoom in zooms)
