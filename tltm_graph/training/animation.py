"""Still objects set in motion: a world of boxes made of outlines."""

import numpy as np
from scipy.interpolate import PchipInterpolator

from tltm_graph.frame_pairs import HallucinatedMotion
from tltm_graph.synthetic.processes import chance, lifetimes, mixture, ornstein_uhlenbeck
from tltm_graph.synthetic.worlds import World

_OWN_REACH = 2.0  # objects: how far one is from its place in the picture, at most, beside what it glides
_OWN_GROWTH = 0.3  # of the logarithm of its size, at most

_ANGLES = 2 * np.pi * np.arange(16) / 16
DIRECTIONS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])
"""An outline is made of the outermost points in so many directions, unit vectors (2, K)."""


def outline_of_box(box: np.ndarray) -> np.ndarray:
    """Points (K, 2) of the ellipse in a box (4,): what is in a box seldom reaches its corners."""
    return (box[:2] + box[2:]) / 2 + DIRECTIONS.T * (box[2:] - box[:2]) / 2


def outline_of_mask(mask: np.ndarray) -> np.ndarray:
    """The outermost corners (K, 2) of the pixels of a bool mask (H, W), which has some."""
    rows = np.flatnonzero(mask.any(axis=1))
    first, last = mask[rows].argmax(axis=1), mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    x, y = np.concatenate([first, last, first, last]), np.concatenate([rows, rows, rows + 1, rows + 1])
    corners = np.stack([x, y], axis=1).astype(np.float64)  # (P, 2)
    return corners[(corners @ DIRECTIONS).argmax(axis=0)]


def animate(
    rng: np.random.Generator,
    outlines: np.ndarray,
    labels: np.ndarray,
    size: tuple[int, int],
    num_frames: int,
    motion: HallucinatedMotion,
) -> World:
    """Objects that go their ways before a camera that goes its own, both drawn at random and smooth.

    The camera shifts, turns and zooms within the ranges of ``motion``, up to all of them, and stands in three of ten
    worlds; it shakes in as many. Seven of ten objects move: up to twice their size from where they are in the picture,
    turned within the range of ``motion``, up to 1.3 times as large or small, and half of all glide on along a line. All
    change their shape a little. Who stands lower in the picture is in front. In four of ten worlds one to four things
    stand in it that objects pass behind.

    Args:
        rng: Of everything.
        outlines: Points on the outline of each object, in pixels (N, K, 2).
        labels: Their classes, int64 (N,).
        size: Height and width of the picture.
        num_frames: Length.
        motion: How far the picture is moved; its light and blur are not looked at.
    """
    middle = np.array([size[1], size[0]]) / 2
    own = move_apart(rng, outlines, num_frames, motion.rotation)
    things = draw_things(rng, outlines, size)
    still = np.broadcast_to(things, (num_frames, *things.shape))
    parts = np.concatenate([own, still], axis=1)  # (T, N + K, P, 2)
    depths = -parts[..., 1].max(axis=2)  # lower is nearer
    shift, turn, zoom = draw_view(rng, num_frames, size, motion)
    parts = middle + zoom[:, None, None, None] * _turned(parts - middle, turn[:, None]) + shift[:, None, None]
    boxes = np.concatenate([parts.min(axis=2), parts.max(axis=2)], axis=-1)  # (T, N + K, 4)
    count = len(outlines)
    seen = boxes[:, :count]
    inside = (seen[..., 2:] > 2).all(axis=-1) & (seen[..., :2] < 2 * middle - 2).all(axis=-1)
    return World(
        size=size,
        boxes=seen,
        depths=depths[:, :count],
        present=inside & lifetimes(rng, num_frames, count),
        labels=labels,
        occluders=boxes[:, count:],
        occluder_depths=depths[:, count:],
    )


def move_apart(rng: np.random.Generator, outlines: np.ndarray, num_frames: int, rotation: float) -> np.ndarray:
    """Outlines (T, N, P, 2) of objects on ways of their own; see :func:`animate`."""
    count, shape = len(outlines), (num_frames, len(outlines))
    low, high = outlines.min(axis=1), outlines.max(axis=1)
    centre, extent = (low + high) / 2, np.sqrt((high - low).prod(axis=1))  # (N, 2), (N,)
    vigour = np.where(rng.random(count) < 0.3, 0.0, rng.uniform(0.1, 1, count))
    way = smooth(rng, (*shape, 2)) * (vigour * _OWN_REACH * extent)[:, None]
    glide = np.where(rng.random(count) < 0.5, 0.0, rng.normal(0, rng.uniform(0.01, 0.15), count)) * extent
    heading = rng.uniform(0, 2 * np.pi, count)
    time = np.arange(num_frames) - rng.uniform(0, num_frames, count)[:, None]
    line = np.stack([np.cos(heading), 0.3 * np.sin(heading)], axis=1) * glide[:, None]  # mostly along the ground
    way = way + time.T[..., None] * line
    turn = smooth(rng, shape) * vigour * np.radians(rotation)
    growth = smooth(rng, shape) * vigour * _OWN_GROWTH
    limbs = ornstein_uhlenbeck(rng, (*shape, 2), rng.uniform(2, 20), rng.uniform(0.0, 0.1))
    scale = np.exp(growth[..., None] + limbs)
    parts = _turned((outlines - centre[:, None]) * scale[:, :, None], turn)
    return centre[:, None] + parts + way[:, :, None]


def draw_view(
    rng: np.random.Generator, num_frames: int, size: tuple[int, int], motion: HallucinatedMotion
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How the picture is shifted (T, 2) in pixels, turned (T,) in radians and magnified (T,)."""
    vigour = mixture(rng, (0.3, 0, 0), (0.7, 0.05, 1))
    extent = np.array([size[1], size[0]])
    shift = smooth(rng, (num_frames, 2)) * motion.translation * vigour * extent
    if chance(rng, 0.3):
        shift = shift + ornstein_uhlenbeck(rng, (num_frames, 2), rng.uniform(0.3, 3), rng.uniform(0, 0.01) * size[1])
    turn = smooth(rng, (num_frames,)) * np.radians(motion.rotation) * vigour
    low, high = np.log(motion.scale)
    return shift, turn, np.exp(low + (high - low) * (smooth(rng, (num_frames,)) + 1) / 2)


def draw_things(rng: np.random.Generator, outlines: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Outlines (K, P, 2) of what objects pass behind: as large as they are, give or take, with the feet a bit lower."""
    count = int(rng.integers(1, 5)) if len(outlines) and chance(rng, 0.4) else 0
    like = outlines[rng.integers(0, max(1, len(outlines)), count)]  # (K, P, 2)
    low, high = like.min(axis=1, initial=np.inf), like.max(axis=1, initial=-np.inf)
    half = (high - low) * np.exp(rng.uniform(-0.7, 0.5, (count, 2))) / 2
    x = rng.uniform(0, size[1], count)
    y = high[:, 1] + rng.uniform(0, 0.3, count) * 2 * half[:, 1] - half[:, 1]
    return np.stack([x, y], axis=1)[:, None] + DIRECTIONS.T * half[:, None]


def smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Curves (T, …) within [-1, 1] through key poses drawn at random, one each 2 to 60 frames; the same for all."""
    spacing = np.exp(rng.uniform(np.log(2), np.log(60)))
    num_poses = 2 + int(np.ceil(shape[0] / spacing))
    poses = rng.uniform(-1, 1, (num_poses, *shape[1:]))
    when = spacing * (np.arange(num_poses) - rng.random())  # the first at or before frame 0
    return PchipInterpolator(when, poses, axis=0)(np.arange(shape[0]))  # goes beyond no pose, unlike other splines


def _turned(points: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Points (…, P, 2) turned about the origin by angles (…) in radians."""
    cos, sin = np.cos(angles)[..., None], np.sin(angles)[..., None]
    x, y = points[..., 0], points[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
