"""People and cars on a ground plane."""

import numpy as np

from tltm_graph.data.simulated_motion.camera import RIDES, Camera, draw_camera, drive
from tltm_graph.data.simulated_motion.draws import chance, mixture
from tltm_graph.data.simulated_motion.processes import lifetimes, ornstein_uhlenbeck
from tltm_graph.data.simulated_motion.road import draw_road
from tltm_graph.data.simulated_motion.walkers import Walkers
from tltm_graph.data.simulated_motion.world import World

_AMONG_PEOPLE = (0.42, 0.14, 0.12, 0.22, 0.1)  # how often each of RIDES
_IN_TRAFFIC = (0.2, 0.1, 0.05, 0.05, 0.6)
_MOST = 100  # objects


def draw_people(rng: np.random.Generator, num_frames: int, fps: float) -> World:
    """A street: people in groups, in a third of all streets mostly cars, and things that they pass behind.

    In 65 of 100 of the latter traffic is in order (:func:`draw_road`).
    """
    in_traffic = chance(rng, 0.33)
    cars = 0.8 if in_traffic else 0.0
    ride = RIDES[rng.choice(len(RIDES), p=_IN_TRAFFIC if in_traffic else _AMONG_PEOPLE)]
    camera = draw_camera(rng, ride, num_frames, fps)
    far = rng.uniform(15, 50)
    if in_traffic and chance(rng, 0.65):
        walkers, is_car = draw_road(rng, camera, far, fps)
    else:
        crowd = mixture(rng, (0.5, 3, 12), (0.5, 10, 30)) * (1 + num_frames / fps / 8) * (2 if ride is drive else 1)
        walkers = draw_walkers(rng, camera, min(int(crowd), _MOST), far, cars, fps)
        is_car = rng.random(len(walkers.speed)) < cars
    boxes, depths = draw_boxes(rng, camera, walkers, is_car, fps)
    present = _in_picture(boxes, depths, camera.size) & lifetimes(rng, *depths.shape)
    occluders, occluder_depths = draw_occluders(rng, camera, far)
    return World(camera.size, boxes, depths, present, is_car.astype(np.int64), occluders, occluder_depths)


def draw_walkers(rng: np.random.Generator, camera: Camera, count: int, far: float, cars: float, fps: float) -> Walkers:
    """Ways over the ground: groups keep together, some stand, in some worlds all go along a path or stop at times.

    Args:
        rng: Of everything.
        camera: They begin in front of where it comes along.
        count: N.
        far: How far away from it at most, in metres.
        cars: Share of those that are as fast as cars.
        fps: Frames a second.
    """
    x, z = camera.scatter(rng, count, (2.5, far), reach=1.4, nearest=6.0)
    speed = np.where(rng.random(count) < 0.2, 0.02, np.clip(rng.normal(1.3, 0.3, count), 0.3, 2.5))
    speed = np.where(rng.random(count) < cars, rng.uniform(0, 9, count), speed)
    heading = rng.uniform(0, 2 * np.pi, count)
    if chance(rng, 0.5):
        heading = rng.choice([0, np.pi], count) + rng.normal(0, 0.3, count) + rng.uniform(0, 2 * np.pi)
    group = rng.integers(0, max(1, int(count * rng.uniform(0.3, 1))), count)
    speed, heading = speed[group], heading[group]
    _, first, member_of = np.unique(group, return_index=True, return_inverse=True)
    leader = first[member_of]
    x = np.where(rng.random(count) < 0.7, x[leader] + rng.normal(0, 0.6, count), x)
    z = np.where(rng.random(count) < 0.7, z[leader] + rng.normal(0, 0.6, count), z)

    shape = (len(camera.movement.yaw), count)
    heading = heading + ornstein_uhlenbeck(rng, shape, fps * rng.uniform(1, 4), rng.uniform(0.02, 0.4))  # (T, N)
    pace = 1 + ornstein_uhlenbeck(rng, shape, 2 * fps, rng.uniform(0, 0.3))
    if chance(rng, 0.3):
        pace *= ornstein_uhlenbeck(rng, shape, 3 * fps, 1.0) > -1
    step = speed * pace / fps
    x = x + np.cumsum(step * np.cos(heading), axis=0)
    z = z + np.cumsum(step * np.sin(heading), axis=0)
    return Walkers(x, z, heading, speed)


def draw_boxes(
    rng: np.random.Generator, camera: Camera, walkers: Walkers, is_car: np.ndarray, fps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (T, N, 4) and distances (T, N): people swing their legs, a car is as wide as it is turned to us."""
    num_frames, count = walkers.x.shape
    tall = np.where(is_car, rng.uniform(1.4, 2.2, count), np.clip(rng.normal(1.7, 0.1, count), 1.3, 2))
    seen = camera.project(walkers.x, walkers.z, tall)
    stride = np.arange(num_frames)[:, None] / fps * rng.uniform(0.7, 1.1, count) + rng.random(count)
    swing = 1 + rng.uniform(0, 0.15) * np.sin(2 * np.pi * stride) * (walkers.speed > 0.2)
    sight = np.arctan2(walkers.z - camera.movement.forward[:, None], walkers.x)
    from_the_side = np.abs(np.sin(walkers.heading - sight))
    aspect = np.where(is_car, 1.1 + 1.3 * from_the_side, rng.uniform(0.32, 0.5, count) * swing)
    half = aspect * (seen.bottom - seen.top) / 2
    return np.stack([seen.middle - half, seen.top, seen.middle + half, seen.bottom], axis=-1), seen.depth


def draw_occluders(rng: np.random.Generator, camera: Camera, far: float) -> tuple[np.ndarray, np.ndarray]:
    """Up to five poles, parked cars and walls, fixed in the world: boxes (T, K, 4) and distances (T, K)."""
    count = int(rng.integers(0, 6)) if chance(rng, 0.6) else 0
    x, z = camera.scatter(rng, count, (3.0, 0.8 * far), reach=1.0, nearest=5.0)
    seen = camera.project(x, z, tall=rng.choice([1.0, 1.5, 3.0, 5.0], count))
    half = camera.pixels_per_metre(seen.depth) * rng.choice([0.3, 0.8, 2.0, 4.0], count) / 2
    boxes = np.stack([seen.middle - half, seen.top, seen.middle + half, seen.bottom], axis=-1)
    return boxes, np.where(seen.depth > 1, seen.depth, np.inf)


def _in_picture(boxes: np.ndarray, depths: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which are in front of the camera and inside of the picture, neither tiny nor far too large; bool (T, N)."""
    (height, width), tall = size, boxes[..., 3] - boxes[..., 1]
    across = (boxes[..., 2] > 0.02 * width) & (boxes[..., 0] < 0.98 * width)
    down = (boxes[..., 3] > 5) & (boxes[..., 1] < height - 5)
    return across & down & (depths > 1) & (tall > 8) & (tall < 2.5 * height)
