"""Things that move in the plane of the picture: cells, animals from above, whatever a lens follows."""

import numpy as np

from tltm_graph.data.simulated_motion.division import divide
from tltm_graph.data.simulated_motion.draws import chance, mixture
from tltm_graph.data.simulated_motion.processes import jolts, lifetimes, ornstein_uhlenbeck
from tltm_graph.data.simulated_motion.world import World


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
