"""Things that move in the plane of the picture: cells, animals from above, whatever a lens follows."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from tltm_graph.synthetic.camera_motion import RIDES, Camera, draw_camera, drive
from tltm_graph.synthetic.processes import chance, jolts, lifetimes, mixture, ornstein_uhlenbeck


@dataclass(frozen=True, eq=False)
class World:
    """What there is to be seen, exactly: boxes of N objects and of K things that hide them, over T frames.

    Args:
        size: Height and width of the picture.
        boxes: Whole objects, as corners (x0, y0, x1, y1) in pixels (T, N, 4), also where they stick out of the picture
            or are hidden. Without meaning where not present.
        depths: How far away each is (T, N): the nearer hides the farther, equally far ones do not hide each other.
        present: Whether each is there and in the picture, bool (T, N).
        labels: Their classes (N,), from 0.
        occluders: Boxes of what hides objects and is none itself (T, K, 4).
        occluder_depths: How far away that is (T, K), infinity where it is not in the picture.
    """

    size: tuple[int, int]
    boxes: np.ndarray
    depths: np.ndarray
    present: np.ndarray
    labels: np.ndarray
    occluders: np.ndarray
    occluder_depths: np.ndarray

    @property
    def num_frames(self) -> int:
        return self.present.shape[0]

    @property
    def num_objects(self) -> int:
        return self.present.shape[1]

    @property
    def num_labels(self) -> int:
        return int(self.labels.max(initial=0)) + 1

    def take(self, frames: np.ndarray) -> Self:
        """The same world at some of the frames, int (T',)."""
        timed = ("boxes", "depths", "present", "occluders", "occluder_depths")
        return replace(self, **{name: getattr(self, name)[frames] for name in timed})


@dataclass(frozen=True, eq=False)
class Walkers:
    """What moves over the ground.

    Args:
        x: To the right, in metres (T, N).
        z: Ahead, in metres (T, N).
        heading: Where each is going, in radians (T, N): 0 is to the right, a quarter turn is ahead.
        speed: In metres a second, on the whole (N,).
    """

    x: np.ndarray
    z: np.ndarray
    heading: np.ndarray
    speed: np.ndarray


_GROWTH = 20  # frames in which daughters grow up


def divide(rng: np.random.Generator, world: World, share: float) -> World:
    """Some of the objects become two, as cells do: the mother is gone, her daughters are new objects.

    They begin side by side, within the mother's box and three quarters of her size, go on along her way, part, and grow
    to nine tenths of her size.

    Args:
        rng: Of who divides, when, and which way the daughters part.
        world: In which objects divide.
        share: Of the objects that divide, each at some time in the middle two thirds of the video.
    """
    t, n = world.present.shape
    mothers = np.flatnonzero(rng.random(n) < share)
    when = rng.integers(t // 6, max(t // 6, 5 * t // 6) + 1, len(mothers))
    after = np.arange(t)[:, None] - when  # (T, D), frames since the division
    boxes = world.boxes[:, mothers]
    centres, sizes = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    angle = rng.uniform(0, 2 * np.pi, len(mothers))
    apart = (0.3 + rng.uniform(0.005, 0.06, len(mothers)) * np.clip(after, 0, 60))[..., None] * sizes
    away = apart * np.stack([np.cos(angle), np.sin(angle)], axis=-1)  # (T, D, 2)
    half = (0.75 + 0.15 * np.clip(after / _GROWTH, 0, 1))[..., None] * sizes / 2
    daughters = [np.concatenate([middle - half, middle + half], axis=-1) for middle in (centres + away, centres - away)]

    height, width = world.size
    alive = world.present[:, mothers] & (after >= 0)
    born = [alive & (d[..., 2:] > 0).all(axis=-1) & (d[..., :2] < [width, height]).all(axis=-1) for d in daughters]
    present = world.present.copy()
    present[:, mothers] &= after < 0
    return replace(
        world,
        boxes=np.concatenate([world.boxes, *daughters], axis=1),
        depths=np.concatenate([world.depths, world.depths[:, mothers], world.depths[:, mothers]], axis=1),
        present=np.concatenate([present, *born], axis=1),
        labels=np.concatenate([world.labels, world.labels[mothers], world.labels[mothers]]),
    )


def draw_blobs(rng: np.random.Generator, num_frames: int, fps: float) -> World:
    """Blobs of about one size that change size and shape, under a lens that may drift, be knocked and zoom.

    In six of ten worlds the nearer hide the farther, in the others they are as if transparent. In two of ten, 10 to 50
    of 100 divide (:func:`divide`). Their pace does not
    depend on ``fps``: all times are in frames.
    """
    width = int(rng.choice([320, 520, 640, 1024, 1280]))
    size = int(width * rng.choice([1, 0.75, 0.5625])), width
    count = int(rng.choice([rng.integers(2, 9), rng.integers(5, 40), rng.integers(20, 70)]))
    shape = (num_frames, count)
    diameters = rng.uniform(0.03, 0.16) * size[0] * np.exp(rng.normal(0, rng.uniform(0.05, 0.5), count))
    if count > 20:
        diameters /= 2

    zoom = draw_zoom(rng, num_frames)
    middle = np.array([width, size[0]]) / 2
    centres = draw_ways(rng, num_frames, diameters, size) + draw_drift(rng, num_frames, width)[:, None]
    centres = middle + (centres - middle) * zoom[:, None, None]  # (T, N, 2)
    scale = np.exp(ornstein_uhlenbeck(rng, shape, rng.uniform(10, 60), rng.uniform(0.01, 0.2))) * zoom[:, None]
    aspect = np.exp(
        rng.normal(0, rng.uniform(0.05, 0.4), count)
        + ornstein_uhlenbeck(rng, shape, rng.uniform(5, 40), rng.uniform(0.01, 0.2))
    )
    half = (diameters * scale)[..., None] * np.stack([aspect**0.5, aspect**-0.5], axis=-1) / 2
    boxes = np.concatenate([centres - half, centres + half], axis=-1)

    depths = rng.random(count) if chance(rng, 0.6) else np.zeros(count)
    inside = (boxes[..., 2:] > 2).all(axis=-1) & (boxes[..., :2] < 2 * middle - 2).all(axis=-1)
    labels = rng.integers(0, rng.integers(1, 5), count)
    present = inside & lifetimes(rng, num_frames, count)
    nothing = np.zeros((num_frames, 0, 4))
    world = World(size, boxes, np.broadcast_to(depths, shape), present, labels, nothing, nothing[..., 0])
    return divide(rng, world, mixture(rng, (0.8, 0, 0), (0.2, 0.1, 0.5)))


def draw_ways(rng: np.random.Generator, num_frames: int, diameters: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Centres (T, N, 2) of blobs that all wander, all glide, or all swing to and fro and out of the picture."""
    extent, shape = np.array([size[1], size[0]]), (num_frames, len(diameters), 2)
    way = rng.choice(["wander", "glide", "swing"], p=[0.4, 0.25, 0.35])
    if way == "swing":
        period = rng.uniform(60, 300, shape[1:]) * rng.uniform(0.5, 1.5)  # frames
        phase = np.arange(num_frames)[:, None, None] / period + rng.random(shape[1:])
        offset = rng.uniform(0.1, 0.7, shape[1:]) * np.sin(2 * np.pi * phase)
        return (rng.uniform(0.3, 0.7, shape[1:]) + offset) * extent
    if way == "wander":
        begin, memory, deviation = rng.uniform(0, 1, shape[1:]), rng.uniform(0.5, 4), rng.uniform(0.01, 0.25)
    else:
        begin, memory, deviation = rng.uniform(-0.1, 1.1, shape[1:]), rng.uniform(4, 30), rng.uniform(0.01, 0.2)
    steps = ornstein_uhlenbeck(rng, shape, memory, deviation) * diameters[:, None]
    return begin * extent + np.cumsum(steps, axis=0)


def draw_drift(rng: np.random.Generator, num_frames: int, width: int) -> np.ndarray:
    """How the picture is shifted (T, 2), around 0: it drifts in four of ten worlds, and may be knocked."""
    shift = jolts(rng, num_frames, deviation=(0.06 * width, 0.06 * width))
    if chance(rng, 0.4):
        speed = rng.uniform(0.002, 0.02) * width
        shift = shift + np.cumsum(ornstein_uhlenbeck(rng, (num_frames, 2), rng.uniform(2, 40), speed), axis=0)
    return shift - shift.mean(axis=0) if num_frames else shift


def draw_zoom(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    """Magnification (T,), other than 1 in three of ten worlds."""
    if not chance(rng, 0.3):
        return np.ones(num_frames)
    return np.exp(np.cumsum(ornstein_uhlenbeck(rng, (num_frames,), 20, rng.uniform(0, 0.006))))


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


_ROAD_MOST = 120  # objects
_AHEAD = np.pi / 2  # heading


def draw_road(rng: np.random.Generator, camera: Camera, far: float, fps: float) -> tuple[Walkers, np.ndarray]:
    """What moves, or stands, along a road that is as long as the camera's way and leads straight ahead.

    Parked cars stand bumper to bumper or with gaps, on one side or both. Those that drive keep their lane: oncoming
    ones to the left, others ahead of the camera, about as fast as it is, or to the right. Some cross. People go along
    the pavements, or cross.

    Args:
        rng: Of everything.
        camera: Drives along x = 0.
        far: How far away anything is at most, in metres.
        fps: Frames a second.

    Returns:
        The walkers, and which of them are cars, bool (N,).
    """
    forward = camera.movement.forward
    num_frames = len(forward)
    seconds = num_frames / fps
    length = camera.travelled + far
    kerb = rng.uniform(3.5, 7)
    parts: list[np.ndarray] = []  # rows of x, z, heading, speed, is_car

    def add(x: np.ndarray, z: np.ndarray, heading: float, speed: np.ndarray, is_car: bool) -> None:
        parts.append(np.stack([x, z, np.full(len(x), heading), speed, np.full(len(x), float(is_car))], axis=1))

    for side in (-1, 1):
        spacing = rng.uniform(5.5, 9)
        z = np.arange(2, length, spacing)
        z = z[rng.random(len(z)) < mixture(rng, (0.35, 0, 0), (0.3, 0.1, 0.5), (0.35, 0.5, 1))]
        z = z + rng.normal(0, 0.4, len(z))
        add(side * kerb + rng.normal(0, 0.15, len(z)), z, side * _AHEAD, np.zeros(len(z)), True)

    pace = camera.travelled / max(seconds, 1e-6)  # of the camera, metres a second
    for lane, heading, faster in ((-3.5, -_AHEAD, None), (0.0, _AHEAD, 2.0), (3.3, _AHEAD, 4.0)):
        count = rng.poisson(rng.uniform(0, 0.03) * length) if faster is None else rng.poisson(1.2)
        speed = np.abs(rng.normal(pace + 2, 4, count) if faster is None else rng.normal(pace, faster, count))
        reach = length + speed.max(initial=0) * seconds * (faster is None)
        z = rng.uniform(5, reach if faster is None else far, count)
        add(lane + rng.normal(0, 0.3, count), z, heading, speed, True)

    count = rng.poisson(0.5)
    add(rng.uniform(-30, 30, count), rng.uniform(8, length, count), 0.0, rng.uniform(2, 9, count), True)
    count = rng.poisson(mixture(rng, (0.5, 0, 1), (0.5, 1, 12)) * length / 60)
    along, across = (rng.random(count) < share for share in (0.75, 0.5))
    x = rng.choice([-1, 1], count) * (kerb + rng.uniform(1.2, 4, count))
    z = rng.uniform(3, length, count)
    speed = np.where(rng.random(count) < 0.2, 0.02, rng.normal(1.3, 0.3, count))
    for chosen, heading in (
        (along & across, _AHEAD),
        (along & ~across, -_AHEAD),
        (~along & across, 0.0),
        (~along & ~across, np.pi),
    ):
        add(x[chosen], z[chosen], heading, speed[chosen], False)

    rows = np.concatenate(parts)
    rows = rows[rng.permutation(len(rows))[:_ROAD_MOST]]
    x, z, heading, speed, car = rows.T
    shape = num_frames, len(rows)
    turning = ornstein_uhlenbeck(rng, shape, 2 * fps, rng.uniform(0, 0.06)) * (speed > 0)
    headings = heading + turning
    change = 1 + ornstein_uhlenbeck(rng, shape, 2 * fps, rng.uniform(0, 0.3))
    step = speed * change / fps
    if chance(rng, 0.3):  # a light turns red
        step *= ornstein_uhlenbeck(rng, (num_frames, 1), 4 * fps, 1.0) > -0.8
    x = x + np.cumsum(step * np.cos(headings), axis=0)
    z = z + np.cumsum(step * np.sin(headings), axis=0)
    return Walkers(x, z, headings, speed), car > 0
