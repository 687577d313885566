from dataclasses import replace

import numpy as np
import pytest

from tests.synthetic.test_pinhole_camera import project_by_hand
from tltm_graph.synthetic.observations import Observations
from tltm_graph.synthetic.pinhole_camera import draw_camera, drive, stand
from tltm_graph.synthetic.streets import Walkers, draw_boxes, draw_occluders, draw_road, draw_street, draw_walkers

FPS = 10.0


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_boxes_of_walkers_are_projections():
    """Compare with a projection by hand: height, position, and a width that varies a little."""
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
    assert np.allclose(steps, steps[0]), "nothing turns, so the speed is constant"


def test_cars_are_wide_from_the_side_and_narrow_from_behind():
    camera = draw_camera(rng(1), stand, 1, 10.0)
    heading = np.array([[0.0, np.pi / 2, np.pi, -np.pi / 2]])
    walkers = Walkers(np.zeros((1, 4)), np.full((1, 4), 12.0), heading, np.ones(4))
    boxes, _ = draw_boxes(rng(), camera, walkers, np.ones(4, dtype=bool), fps=10)
    aspects = (boxes[0, :, 2] - boxes[0, :, 0]) / (boxes[0, :, 3] - boxes[0, :, 1])
    assert aspects.tolist() == pytest.approx([2.4, 1.1, 2.4, 1.1])


def test_people_move_at_nearly_constant_speed():
    smooth = []
    for seed in range(20):
        camera = draw_camera(rng(seed), stand, 100, 25.0)
        walkers = draw_walkers(rng(seed), camera, 30, 30.0, cars=0.0, fps=25.0)
        way = np.stack([walkers.x, walkers.z], axis=-1)
        steps = np.diff(way, axis=0)
        change = np.linalg.norm(np.diff(steps, axis=0), axis=-1)
        moving = np.linalg.norm(steps[:-1], axis=-1) > 0.02  # half a metre per second
        smooth.append(np.median(change[moving] / np.linalg.norm(steps[:-1], axis=-1)[moving]))
        assert (walkers.speed <= 2.5).all()
        assert np.linalg.norm(steps, axis=-1).max() * 25 < 2.5 * 2.5
    assert np.median(smooth) < 0.1
    assert max(smooth) < 0.3


def test_groups_share_a_speed():
    camera = draw_camera(rng(0), stand, 5, 10.0)
    walkers = draw_walkers(rng(0), camera, 60, 30.0, cars=0.0, fps=10.0)
    assert len(np.unique(walkers.speed)) < 60


def test_occluders_stand_still_and_hide_people():
    hidden = 0
    for seed in range(60):
        camera = draw_camera(rng(seed), stand, 8, 10.0)
        camera = replace(camera, movement=camera.movement._replace(yaw=np.zeros(8)))  # without jumps
        boxes, depths = draw_occluders(rng(seed), camera, 30.0)
        assert boxes.shape[0] == depths.shape[0] == 8
        assert boxes.shape[1] <= 5
        assert np.array_equal(boxes, np.broadcast_to(boxes[:1], boxes.shape))
        assert (depths > 1).all()
        hidden += boxes.shape[1] > 0
    assert 15 < hidden < 45, "half of the worlds have some"
    visible = np.concatenate([Observations.of(draw_street(rng(seed), 60, 10.0)).visible for seed in range(20)])
    assert 0.1 < (visible < 0.2).mean() < 0.5


def road_of(seed: int, ride=drive):
    random = np.random.default_rng(seed)
    camera = draw_camera(random, ride, 60, FPS)
    return camera, *draw_road(random, camera, 40.0, FPS)


def test_parked_cars_stand_at_the_kerbs():
    for seed in range(20):
        _, walkers, is_car = road_of(seed)
        parked = is_car & (walkers.speed == 0)
        assert (np.ptp(walkers.x[:, parked], axis=0) == 0).all()
        assert (np.ptp(walkers.z[:, parked], axis=0) == 0).all()
        assert (abs(walkers.x[0, parked]) > 2.5).all()
        assert (abs(walkers.x[0, parked]) < 8).all()


def test_traffic_keeps_its_lanes_in_both_directions():
    oncoming = going = crossing = 0
    for seed in range(30):
        _, walkers, is_car = road_of(seed)
        drives = is_car & (walkers.speed > 3)
        dx, dz = (np.ptp(way[:, drives], axis=0) for way in (walkers.x, walkers.z))
        ahead = walkers.z[-1, drives] > walkers.z[0, drives]
        along = dz > 2 * dx
        crossing += (~along).sum()
        going, oncoming = going + (along & ahead).sum(), oncoming + (along & ~ahead).sum()
        if (along & ~ahead).any():
            assert (walkers.x[0, drives][along & ~ahead] < 0).all(), "oncoming cars are on the left"
    assert min(going, oncoming, crossing) > 5


def test_people_on_roads_walk_slowly():
    speeds = np.concatenate([walkers.speed[~is_car] for _, walkers, is_car in map(road_of, range(30))])
    assert len(speeds) > 50
    assert speeds.max() < 3


@pytest.mark.parametrize("ride", [stand, drive])
def test_number_and_range_of_road_users(ride):
    for seed in range(20):
        camera, walkers, is_car = road_of(seed, ride)
        assert len(is_car) <= 120
        assert walkers.x.shape == walkers.z.shape == walkers.heading.shape == (60, len(is_car))
        parked = walkers.speed == 0
        assert (walkers.z[0, parked] <= camera.travelled + 41).all()
