"""Simulated streets: people, cars and occluders on a ground plane, in the coordinates of the pinhole camera."""

from dataclasses import dataclass

import numpy as np

from tltm_graph.synthetic.pinhole_camera import RIDES, PinholeCamera, Projection, draw_camera, drive
from tltm_graph.synthetic.processes import chance, lifetimes, mixture, ornstein_uhlenbeck
from tltm_graph.synthetic.worlds import World

_RIDE_PROBABILITIES_AMONG_PEOPLE = (0.42, 0.14, 0.12, 0.22, 0.1)
_RIDE_PROBABILITIES_IN_TRAFFIC = (0.2, 0.1, 0.05, 0.05, 0.6)
_MAX_WALKERS = 100
_MAX_ROAD_USERS = 120
_AHEAD = np.pi / 2  # heading along the road


@dataclass(frozen=True, eq=False)
class Walkers:
    """People and cars that move over the ground.

    Args:
        x: Ground positions to the right, in metres (T, N).
        z: Ground positions ahead, in metres (T, N).
        heading: Directions of motion, in radians (T, N): 0 is to the right, a quarter turn is ahead.
        speed: Mean speeds, in metres per second (N,).
    """

    x: np.ndarray
    z: np.ndarray
    heading: np.ndarray
    speed: np.ndarray


def draw_walkers(
    rng: np.random.Generator, camera: PinholeCamera, count: int, far: float, cars: float, fps: float
) -> Walkers:
    """Draw free paths over the ground. Groups stay together and some stand; in some worlds all follow one path or stop.

    Args:
        rng: Source of all random numbers.
        camera: Camera in front of whose way the paths begin.
        count: Number of walkers N.
        far: Maximum distance from the camera, in metres.
        cars: Probability that a walker is as fast as a car.
        fps: Frames per second.
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


def draw_road(rng: np.random.Generator, camera: PinholeCamera, far: float, fps: float) -> tuple[Walkers, np.ndarray]:
    """Draw cars and people along a straight road that is as long as the camera's way.

    Parked cars stand at one kerb or both, bumper to bumper or with gaps. Moving cars keep their lane: oncoming ones on
    the left, others in the lane of the camera or to its right, about as fast as the camera. Some cars cross. People
    walk along the pavements, or cross. At a red light all may stop.

    Args:
        rng: Source of all random numbers.
        camera: Camera that drives along x = 0.
        far: Maximum distance from the way of the camera, in metres.
        fps: Frames per second.

    Returns:
        Cars and people, and which of them are cars, bool (N,).
    """
    num_frames = len(camera.movement.forward)
    rows = _draw_road_users(rng, camera, far, num_frames / fps)
    rows = rows[rng.permutation(len(rows))[:_MAX_ROAD_USERS]]
    x, z, heading, speed, is_car = rows.T
    shape = num_frames, len(rows)
    headings = heading + ornstein_uhlenbeck(rng, shape, 2 * fps, rng.uniform(0, 0.06)) * (speed > 0)
    pace = 1 + ornstein_uhlenbeck(rng, shape, 2 * fps, rng.uniform(0, 0.3))
    step = speed * pace / fps
    if chance(rng, 0.3):  # a red light
        step *= ornstein_uhlenbeck(rng, (num_frames, 1), 4 * fps, 1.0) > -0.8
    x = x + np.cumsum(step * np.cos(headings), axis=0)
    z = z + np.cumsum(step * np.sin(headings), axis=0)
    return Walkers(x, z, headings, speed), is_car > 0


def _draw_road_users(rng: np.random.Generator, camera: PinholeCamera, far: float, seconds: float) -> np.ndarray:
    """Draw initial x and z, heading, speed and is_car of cars and people on a road, (N, 5)."""
    length = camera.travelled + far
    kerb = rng.uniform(3.5, 7)
    parts: list[np.ndarray] = []  # rows of x, z, heading, speed, is_car

    def add(x: np.ndarray, z: np.ndarray, heading: float, speed: np.ndarray, is_car: bool) -> None:
        parts.append(np.stack([x, z, np.full(len(x), heading), speed, np.full(len(x), float(is_car))], axis=1))

    for side in (-1, 1):  # parked cars
        spacing = rng.uniform(5.5, 9)
        z = np.arange(2, length, spacing)
        z = z[rng.random(len(z)) < mixture(rng, (0.35, 0, 0), (0.3, 0.1, 0.5), (0.35, 0.5, 1))]
        z = z + rng.normal(0, 0.4, len(z))
        add(side * kerb + rng.normal(0, 0.15, len(z)), z, side * _AHEAD, np.zeros(len(z)), True)

    camera_speed = camera.travelled / max(seconds, 1e-6)
    count = rng.poisson(rng.uniform(0, 0.03) * length)  # oncoming cars
    speed = np.abs(rng.normal(camera_speed + 2, 4, count))
    z = rng.uniform(5, length + speed.max(initial=0) * seconds, count)
    add(-3.5 + rng.normal(0, 0.3, count), z, -_AHEAD, speed, True)
    for lane, deviation in ((0.0, 2.0), (3.3, 4.0)):  # cars in the direction of the camera
        count = rng.poisson(1.2)
        speed = np.abs(rng.normal(camera_speed, deviation, count))
        z = rng.uniform(5, far, count)
        add(lane + rng.normal(0, 0.3, count), z, _AHEAD, speed, True)
    count = rng.poisson(0.5)  # crossing cars
    add(rng.uniform(-30, 30, count), rng.uniform(8, length, count), 0.0, rng.uniform(2, 9, count), True)

    count = rng.poisson(mixture(rng, (0.5, 0, 1), (0.5, 1, 12)) * length / 60)  # people
    along, positive = (rng.random(count) < share for share in (0.75, 0.5))
    x = rng.choice([-1, 1], count) * (kerb + rng.uniform(1.2, 4, count))
    z = rng.uniform(3, length, count)
    speed = np.where(rng.random(count) < 0.2, 0.02, rng.normal(1.3, 0.3, count))
    for chosen, heading in (
        (along & positive, _AHEAD),
        (along & ~positive, -_AHEAD),
        (~along & positive, 0.0),
        (~along & ~positive, np.pi),
    ):
        add(x[chosen], z[chosen], heading, speed[chosen], False)
    return np.concatenate(parts)


def draw_boxes(
    rng: np.random.Generator, camera: PinholeCamera, walkers: Walkers, is_car: np.ndarray, fps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw boxes (T, N, 4) and distances (T, N). People swing their legs; the width of a car depends on its heading."""
    num_frames, count = walkers.x.shape
    tall = np.where(is_car, rng.uniform(1.4, 2.2, count), np.clip(rng.normal(1.7, 0.1, count), 1.3, 2))
    projection = camera.project(walkers.x, walkers.z, tall)
    stride = np.arange(num_frames)[:, None] / fps * rng.uniform(0.7, 1.1, count) + rng.random(count)
    swing = 1 + rng.uniform(0, 0.15) * np.sin(2 * np.pi * stride) * (walkers.speed > 0.2)
    line_of_sight = np.arctan2(walkers.z - camera.movement.forward[:, None], walkers.x)
    from_the_side = np.abs(np.sin(walkers.heading - line_of_sight))
    aspect = np.where(is_car, 1.1 + 1.3 * from_the_side, rng.uniform(0.32, 0.5, count) * swing)
    return _to_boxes(projection, aspect * (projection.bottom - projection.top) / 2), projection.depth


def draw_occluders(rng: np.random.Generator, camera: PinholeCamera, far: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw up to five poles, parked cars and walls that stand still: boxes (T, K, 4) and distances (T, K)."""
    count = int(rng.integers(0, 6)) if chance(rng, 0.6) else 0
    x, z = camera.scatter(rng, count, (3.0, 0.8 * far), reach=1.0, nearest=5.0)
    projection = camera.project(x, z, tall=rng.choice([1.0, 1.5, 3.0, 5.0], count))
    half_width = camera.pixels_per_metre(projection.depth) * rng.choice([0.3, 0.8, 2.0, 4.0], count) / 2
    return _to_boxes(projection, half_width), np.where(projection.depth > 1, projection.depth, np.inf)


def _to_boxes(projection: Projection, half_width: np.ndarray) -> np.ndarray:
    left, right = projection.middle - half_width, projection.middle + half_width
    return np.stack([left, projection.top, right, projection.bottom], axis=-1)


def _in_picture(boxes: np.ndarray, depths: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Select boxes in front of the camera and inside the picture, neither tiny nor far too large; bool (T, N)."""
    (height, width), tall = size, boxes[..., 3] - boxes[..., 1]
    across = (boxes[..., 2] > 0.02 * width) & (boxes[..., 0] < 0.98 * width)
    down = (boxes[..., 3] > 5) & (boxes[..., 1] < height - 5)
    return across & down & (depths > 1) & (tall > 8) & (tall < 2.5 * height)


def draw_street(rng: np.random.Generator, num_frames: int, fps: float) -> World:
    """Draw a street with groups of people and occluders. A third of the streets show mostly cars.

    In 65 % of the streets with cars, traffic follows the road (:func:`draw_road`).
    """
    in_traffic = chance(rng, 0.33)
    cars = 0.8 if in_traffic else 0.0
    probabilities = _RIDE_PROBABILITIES_IN_TRAFFIC if in_traffic else _RIDE_PROBABILITIES_AMONG_PEOPLE
    ride = RIDES[rng.choice(len(RIDES), p=probabilities)]
    camera = draw_camera(rng, ride, num_frames, fps)
    far = rng.uniform(15, 50)
    if in_traffic and chance(rng, 0.65):
        walkers, is_car = draw_road(rng, camera, far, fps)
    else:
        count = mixture(rng, (0.5, 3, 12), (0.5, 10, 30)) * (1 + num_frames / fps / 8) * (2 if ride is drive else 1)
        walkers = draw_walkers(rng, camera, min(int(count), _MAX_WALKERS), far, cars, fps)
        is_car = rng.random(len(walkers.speed)) < cars
    boxes, depths = draw_boxes(rng, camera, walkers, is_car, fps)
    present = _in_picture(boxes, depths, camera.size) & lifetimes(rng, *depths.shape)
    occluders, occluder_depths = draw_occluders(rng, camera, far)
    return World(camera.size, boxes, depths, present, is_car.astype(np.int64), occluders, occluder_depths)
