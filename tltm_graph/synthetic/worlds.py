"""Simulated worlds of boxes, and blobs that move in the plane of the picture like cells or animals seen from above."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from tltm_graph.synthetic.processes import chance, jolts, lifetimes, mixture, ornstein_uhlenbeck

_GROWTH_FRAMES = 20  # until the daughters of a division are fully grown


@dataclass(frozen=True, eq=False)
class World:
    """Exact boxes of N objects, and of K occluders that are no objects, over T frames.

    Args:
        size: Height and width of the picture.
        boxes: Whole objects as corners (x0, y0, x1, y1) in pixels, (T, N, 4), including parts outside the picture and
            occluded parts. Without meaning where an object is not present.
        depths: Distances (T, N). The nearer object occludes the farther; equally far objects do not occlude each other.
        present: Whether each object exists and is in the picture, bool (T, N).
        labels: Classes, counted from 0 (N,).
        occluders: Boxes of the occluders (T, K, 4).
        occluder_depths: Distances of the occluders (T, K), infinity outside the picture.
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
        """Select frames, int (T',)."""
        timed = ("boxes", "depths", "present", "occluders", "occluder_depths")
        return replace(self, **{name: getattr(self, name)[frames] for name in timed})


def draw_blobs(rng: np.random.Generator, num_frames: int, fps: float) -> World:
    """Draw blobs of similar size that change size and shape, under a lens that may drift, jump and zoom.

    In 60 % of the worlds nearer blobs occlude farther ones; in the others they are transparent. In 20 % of the worlds
    10 to 50 % of the blobs divide (:func:`divide`). All times are in frames, whatever ``fps`` is.
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
    centres = draw_blob_paths(rng, num_frames, diameters, size) + draw_drift(rng, num_frames, width)[:, None]
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
    no_occluders = np.zeros((num_frames, 0, 4))
    world = World(size, boxes, np.broadcast_to(depths, shape), present, labels, no_occluders, no_occluders[..., 0])
    return divide(rng, world, mixture(rng, (0.8, 0, 0), (0.2, 0.1, 0.5)))


def draw_blob_paths(
    rng: np.random.Generator, num_frames: int, diameters: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Draw centres (T, N, 2) of blobs that all wander, all glide, or all swing to and fro and out of the picture."""
    extent, shape = np.array([size[1], size[0]]), (num_frames, len(diameters), 2)
    kind = rng.choice(["wander", "glide", "swing"], p=[0.4, 0.25, 0.35])
    if kind == "swing":
        period = rng.uniform(60, 300, shape[1:]) * rng.uniform(0.5, 1.5)  # frames
        phase = np.arange(num_frames)[:, None, None] / period + rng.random(shape[1:])
        offset = rng.uniform(0.1, 0.7, shape[1:]) * np.sin(2 * np.pi * phase)
        return (rng.uniform(0.3, 0.7, shape[1:]) + offset) * extent
    if kind == "wander":
        begin, memory, deviation = rng.uniform(0, 1, shape[1:]), rng.uniform(0.5, 4), rng.uniform(0.01, 0.25)
    else:
        begin, memory, deviation = rng.uniform(-0.1, 1.1, shape[1:]), rng.uniform(4, 30), rng.uniform(0.01, 0.2)
    steps = ornstein_uhlenbeck(rng, shape, memory, deviation) * diameters[:, None]
    return begin * extent + np.cumsum(steps, axis=0)


def draw_drift(rng: np.random.Generator, num_frames: int, width: int) -> np.ndarray:
    """Draw shifts (T, 2) of the picture around 0. It drifts in 40 % of the worlds, and may jump."""
    shift = jolts(rng, num_frames, deviation=(0.06 * width, 0.06 * width))
    if chance(rng, 0.4):
        speed = rng.uniform(0.002, 0.02) * width
        shift = shift + np.cumsum(ornstein_uhlenbeck(rng, (num_frames, 2), rng.uniform(2, 40), speed), axis=0)
    return shift - shift.mean(axis=0) if num_frames else shift


def draw_zoom(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    """Draw magnifications (T,), which differ from 1 in 30 % of the worlds."""
    if not chance(rng, 0.3):
        return np.ones(num_frames)
    return np.exp(np.cumsum(ornstein_uhlenbeck(rng, (num_frames,), 20, rng.uniform(0, 0.006))))


def divide(rng: np.random.Generator, world: World, share: float) -> World:
    """Let some objects divide like cells: the mother ends, and two daughters begin as new objects.

    The daughters begin side by side within the box of the mother, at three quarters of her size. They follow her path,
    move apart, and grow to nine tenths of her size.

    Args:
        rng: Source of the mothers, times and directions.
        world: World of the mothers.
        share: Probability that an object divides, at some time in the middle two thirds of the video.
    """
    t, n = world.present.shape
    mothers = np.flatnonzero(rng.random(n) < share)
    when = rng.integers(t // 6, max(t // 6, 5 * t // 6) + 1, len(mothers))
    age = np.arange(t)[:, None] - when  # (T, D), frames since the division
    boxes = world.boxes[:, mothers]
    centres, sizes = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    angle = rng.uniform(0, 2 * np.pi, len(mothers))
    distance = (0.3 + rng.uniform(0.005, 0.06, len(mothers)) * np.clip(age, 0, 60))[..., None] * sizes
    offset = distance * np.stack([np.cos(angle), np.sin(angle)], axis=-1)  # (T, D, 2)
    half = (0.75 + 0.15 * np.clip(age / _GROWTH_FRAMES, 0, 1))[..., None] * sizes / 2
    daughters = [np.concatenate([c - half, c + half], axis=-1) for c in (centres + offset, centres - offset)]

    height, width = world.size
    alive = world.present[:, mothers] & (age >= 0)
    born = [alive & (d[..., 2:] > 0).all(axis=-1) & (d[..., :2] < [width, height]).all(axis=-1) for d in daughters]
    present = world.present.copy()
    present[:, mothers] &= age < 0
    return replace(
        world,
        boxes=np.concatenate([world.boxes, *daughters], axis=1),
        depths=np.concatenate([world.depths, world.depths[:, mothers], world.depths[:, mothers]], axis=1),
        present=np.concatenate([present, *born], axis=1),
        labels=np.concatenate([world.labels, world.labels[mothers], world.labels[mothers]]),
    )
