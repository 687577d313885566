"""What a car meets on a road: rows of parked cars, traffic in both directions, people on the pavements."""

import numpy as np

from tltm_graph.data.simulated_motion.camera import Camera
from tltm_graph.data.simulated_motion.draws import chance, mixture
from tltm_graph.data.simulated_motion.processes import ornstein_uhlenbeck
from tltm_graph.data.simulated_motion.walkers import Walkers

_MOST = 120  # objects
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
    rows = rows[rng.permutation(len(rows))[:_MOST]]
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
