import numpy as np
import pytest

from tltm_graph.synthetic.camera_motion import draw_camera, drive, stand
from tltm_graph.synthetic.worlds import draw_road

FPS = 10.0


def drawn(seed: int, ride=drive):
    random = np.random.default_rng(seed)
    camera = draw_camera(random, ride, 60, FPS)
    return camera, *draw_road(random, camera, 40.0, FPS)


def test_parked_cars_stand_at_the_kerbs():
    for seed in range(20):
        _, walkers, is_car = drawn(seed)
        parked = is_car & (walkers.speed == 0)
        assert (np.ptp(walkers.x[:, parked], axis=0) == 0).all()
        assert (np.ptp(walkers.z[:, parked], axis=0) == 0).all()
        assert (abs(walkers.x[0, parked]) > 2.5).all()
        assert (abs(walkers.x[0, parked]) < 8).all()


def test_traffic_keeps_its_lanes_in_both_directions():
    oncoming = going = crossing = 0
    for seed in range(30):
        _, walkers, is_car = drawn(seed)
        drives = is_car & (walkers.speed > 3)
        dx, dz = (np.ptp(way[:, drives], axis=0) for way in (walkers.x, walkers.z))
        ahead = walkers.z[-1, drives] > walkers.z[0, drives]
        along = dz > 2 * dx
        crossing += (~along).sum()
        going, oncoming = going + (along & ahead).sum(), oncoming + (along & ~ahead).sum()
        if (along & ~ahead).any():
            assert (walkers.x[0, drives][along & ~ahead] < 0).all(), "oncoming cars are on the left"
    assert min(going, oncoming, crossing) > 5


def test_people_are_beside_the_road_or_cross_it():
    speeds = np.concatenate([walkers.speed[~is_car] for _, walkers, is_car in map(drawn, range(30))])
    assert len(speeds) > 50
    assert speeds.max() < 3


@pytest.mark.parametrize("ride", [stand, drive])
def test_they_are_not_too_many_and_where_the_camera_comes_along(ride):
    for seed in range(20):
        camera, walkers, is_car = drawn(seed, ride)
        assert len(is_car) <= 120
        assert walkers.x.shape == walkers.z.shape == walkers.heading.shape == (60, len(is_car))
        parked = walkers.speed == 0
        assert (walkers.z[0, parked] <= camera.travelled + 41).all()
