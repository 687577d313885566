"""Videos of detections made from still images: annotated objects are animated and seen by a simulated detector."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import PchipInterpolator

from tltm_graph.formats import Video, local_split, open_videos
from tltm_graph.formats.video import Part
from tltm_graph.frame_pairs import HallucinatedMotion
from tltm_graph.ops import decode_rle
from tltm_graph.structures import Observation
from tltm_graph.synthetic.processes import chance, lifetimes, mixture, ornstein_uhlenbeck
from tltm_graph.synthetic.simulated_motion import DetectionSequence, simulate_detections
from tltm_graph.synthetic.worlds import World

_FPS = (5, 7, 10, 14, 15, 20, 25, 30)
_MAX_SHIFT = 2.0  # largest distance of an object from its place, in its own sizes, without its glide
_MAX_GROWTH = 0.3  # largest change of the logarithm of its size

_ANGLES = 2 * np.pi * np.arange(16) / 16
DIRECTIONS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])
"""Unit vectors (2, K). An outline consists of the outermost point of an object in each of these directions."""


@dataclass(frozen=True)
class Animation:
    """Options of :class:`StillImagesInMotion`: length, crowding and motion of the videos.

    Args:
        num_frames: Smallest and largest number of frames.
        alone: Share of the videos that show the objects of a single image, in [0, 1].
        motion: Ranges of translation, rotation and scale of the picture; by default those of the paper.

    Raises:
        ValueError: If a number is out of range.
    """

    num_frames: tuple[int, int] = (30, 60)
    alone: float = 0.4
    motion: HallucinatedMotion = field(default_factory=HallucinatedMotion)

    def __post_init__(self) -> None:
        if not 0 < self.num_frames[0] <= self.num_frames[1]:
            raise ValueError(f"Expected num_frames as (smallest, largest) above 0, got {self.num_frames}")
        if not 0 <= self.alone <= 1:
            raise ValueError(f"Expected alone in [0, 1], got {self.alone}")


class StillImagesInMotion:
    """Short videos of animated objects of still images, to train an association head without videos.

    The objects and the camera move (:func:`animate`). Crowded videos also show the objects of up to four other images.
    Each video has a new simulated detector. Only sizes and outlines are read, no pictures.

    Args:
        path: Still images in any format that :func:`tltm_graph.formats.open_videos` reads, such as COCO or a folder of
            YOLO. Of videos the first frame is used.
        num_videos: Number of videos. They use the images in turn.
        first_seed: Seed of the first video; the others count on from it.
        format: Format of the file; by default it is recognised.
        class_names: Names of the classes, for formats without names.
        like: Data set that belongs to a file of results, which has objects that a model found.
        part: Part of :func:`tltm_graph.formats.local_split` to use; None for all images.
        score_threshold: Smallest score of an object of a file of results, in [0, 1].
        animation: Length, crowding and motion of the videos.

    Raises:
        ValueError: If there are no images.
        OSError: If there is nothing at ``path``.
    """

    def __init__(
        self,
        path: str,
        num_videos: int = 300,
        first_seed: int = 1000,
        format: str | None = None,  # noqa: A002  as in open_videos
        class_names: Sequence[str] | None = None,
        like: str | None = None,
        part: Part | None = None,
        score_threshold: float = 0.0,
        animation: Animation = Animation(),
    ) -> None:
        dataset = None if like is None else open_videos(like, class_names=class_names)
        images = open_videos(path, format, like=dataset, class_names=None if dataset else class_names)
        self.images = images if part is None else local_split(images, part)
        if not self.images:
            raise ValueError(f"Expected still images in '{path}'{f', part {part}' if part else ''}, got none")
        self.path, self.num_videos, self.first_seed = path, num_videos, first_seed
        self.score_threshold, self.animation = score_threshold, animation

    def __len__(self) -> int:
        return self.num_videos

    def __getitem__(self, index: int) -> DetectionSequence:
        """Make the video of the seed ``first_seed + index``."""
        if not 0 <= index < len(self):
            raise IndexError(f"Expected a video from 0 to {len(self) - 1}, got {index}")
        alone, (shortest, longest) = self.animation.alone, self.animation.num_frames
        choices, motions, detectors = np.random.default_rng(self.first_seed + index).spawn(3)
        num_others = int(mixture(choices, (alone, 0, 0), (1 - alone, 1, 5)))
        others = choices.integers(0, len(self.images), num_others).tolist()
        size, outlines, labels = self._objects(self.images[index % len(self.images)])
        for other in others:
            (height, width), other_outlines, other_labels = self._objects(self.images[other])
            outlines = np.concatenate([outlines, other_outlines * [size[1] / width, size[0] / height]])
            labels = np.concatenate([labels, other_labels])
        _, labels = np.unique(labels, return_inverse=True)  # a detector confuses only classes that are present

        num_frames, fps = int(choices.integers(shortest, longest + 1)), choices.choice(_FPS)
        world = animate(motions, outlines, labels, size, num_frames, self.animation.motion)
        return simulate_detections(detectors, world, np.arange(num_frames) / fps)

    def _objects(self, image: Video) -> tuple[tuple[int, int], np.ndarray, np.ndarray]:
        """Read the size of an image, and the outlines (N, K, 2) and classes (N,) of its objects."""
        tracks = image.tracks()
        size = image.size or tracks.size
        if size is None:
            raise ValueError(f"Expected the size of the image '{image.name}', got a format without: use another format")
        _, objects = next(tracks.observations(), (0, []))
        objects = [row for row in objects if not row.crowd and not row.score < self.score_threshold]
        outlines = [(outline, row.label) for row in objects if (outline := _outline(row)) is not None]
        points = np.array([outline for outline, _ in outlines]).reshape(-1, DIRECTIONS.shape[1], 2)
        return size, points, np.array([label for _, label in outlines], dtype=np.int64)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_videos} videos of {len(self.images)} images in '{self.path}')"


def _outline(row: Observation) -> np.ndarray | None:
    """Compute the outline (K, 2) of an object; None if it has no area."""
    if row.mask is None:
        x0, y0, x1, y1 = row.box
        return outline_of_box(np.array(row.box)) if x1 > x0 and y1 > y0 else None
    height, width = row.mask["size"]
    mask = decode_rle([row.mask], (height, width))[0].numpy()
    return outline_of_mask(mask) if mask.any() else None


def outline_of_box(box: np.ndarray) -> np.ndarray:
    """Compute points (K, 2) of the ellipse in a box (4,). Objects seldom reach the corners of their boxes."""
    return (box[:2] + box[2:]) / 2 + DIRECTIONS.T * (box[2:] - box[:2]) / 2


def outline_of_mask(mask: np.ndarray) -> np.ndarray:
    """Find the outermost pixel corners (K, 2) of a bool mask (H, W), which must not be empty."""
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
    """Animate objects in front of a moving camera. All paths are random and smooth.

    The camera shifts, turns and zooms within the ranges of ``motion``. It stands still in 30 % of the worlds and shakes
    in 30 %. Of the objects 70 % move: up to twice their size away from their place, turned within the range of
    ``motion``, and up to e^0.3 times larger or smaller. Half of all objects also glide along a line, and all change
    their shape a little. Objects that reach lower in the picture are nearer. In 40 % of the worlds one to four
    occluders stand in the picture.

    Args:
        rng: Source of all random numbers.
        outlines: Outline points of each object, in pixels (N, K, 2).
        labels: Classes, int64 (N,).
        size: Height and width of the picture.
        num_frames: Number of frames.
        motion: Ranges of the camera's motion. Its light and blur are not used.
    """
    centre = np.array([size[1], size[0]]) / 2
    moving = move_objects(rng, outlines, num_frames, motion.rotation)
    occluders = draw_occluders(rng, outlines, size)
    standing = np.broadcast_to(occluders, (num_frames, *occluders.shape))
    points = np.concatenate([moving, standing], axis=1)  # (T, N + K, P, 2)
    depths = -points[..., 1].max(axis=2)  # lower is nearer
    shift, angle, zoom = draw_camera_motion(rng, num_frames, size, motion)
    points = centre + zoom[:, None, None, None] * _rotate(points - centre, angle[:, None]) + shift[:, None, None]
    boxes = np.concatenate([points.min(axis=2), points.max(axis=2)], axis=-1)  # (T, N + K, 4)
    count = len(outlines)
    objects = boxes[:, :count]
    inside = (objects[..., 2:] > 2).all(axis=-1) & (objects[..., :2] < 2 * centre - 2).all(axis=-1)
    return World(
        size=size,
        boxes=objects,
        depths=depths[:, :count],
        present=inside & lifetimes(rng, num_frames, count),
        labels=labels,
        occluders=boxes[:, count:],
        occluder_depths=depths[:, count:],
    )


def move_objects(rng: np.random.Generator, outlines: np.ndarray, num_frames: int, rotation: float) -> np.ndarray:
    """Move objects along paths of their own, see :func:`animate`.

    Args:
        rng: Source of all random numbers.
        outlines: Outlines (N, P, 2).
        num_frames: Number of frames T.
        rotation: Largest angle in degrees.

    Returns:
        Outlines in each frame (T, N, P, 2).
    """
    count, shape = len(outlines), (num_frames, len(outlines))
    low, high = outlines.min(axis=1), outlines.max(axis=1)
    centre, extent = (low + high) / 2, np.sqrt((high - low).prod(axis=1))  # (N, 2), (N,)
    strength = np.where(rng.random(count) < 0.3, 0.0, rng.uniform(0.1, 1, count))
    path = smooth_curve(rng, (*shape, 2)) * (strength * _MAX_SHIFT * extent)[:, None]
    speed = np.where(rng.random(count) < 0.5, 0.0, rng.normal(0, rng.uniform(0.01, 0.15), count)) * extent
    heading = rng.uniform(0, 2 * np.pi, count)
    time = np.arange(num_frames) - rng.uniform(0, num_frames, count)[:, None]
    velocity = np.stack([np.cos(heading), 0.3 * np.sin(heading)], axis=1) * speed[:, None]  # mostly along the ground
    path = path + time.T[..., None] * velocity
    angle = smooth_curve(rng, shape) * strength * np.radians(rotation)
    growth = smooth_curve(rng, shape) * strength * _MAX_GROWTH
    deformation = ornstein_uhlenbeck(rng, (*shape, 2), rng.uniform(2, 20), rng.uniform(0.0, 0.1))
    scale = np.exp(growth[..., None] + deformation)
    points = _rotate((outlines - centre[:, None]) * scale[:, :, None], angle)
    return centre[:, None] + points + path[:, :, None]


def draw_camera_motion(
    rng: np.random.Generator, num_frames: int, size: tuple[int, int], motion: HallucinatedMotion
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the shift (T, 2) in pixels, the angle (T,) in radians and the magnification (T,) of the picture."""
    strength = mixture(rng, (0.3, 0, 0), (0.7, 0.05, 1))
    extent = np.array([size[1], size[0]])
    shift = smooth_curve(rng, (num_frames, 2)) * motion.translation * strength * extent
    if chance(rng, 0.3):
        shift = shift + ornstein_uhlenbeck(rng, (num_frames, 2), rng.uniform(0.3, 3), rng.uniform(0, 0.01) * size[1])
    angle = smooth_curve(rng, (num_frames,)) * np.radians(motion.rotation) * strength
    low, high = np.log(motion.scale)
    return shift, angle, np.exp(low + (high - low) * (smooth_curve(rng, (num_frames,)) + 1) / 2)


def draw_occluders(rng: np.random.Generator, outlines: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Draw outlines (K, P, 2) of occluders, about as large as the objects and a bit lower."""
    count = int(rng.integers(1, 5)) if len(outlines) and chance(rng, 0.4) else 0
    models = outlines[rng.integers(0, max(1, len(outlines)), count)]  # (K, P, 2)
    low, high = models.min(axis=1, initial=np.inf), models.max(axis=1, initial=-np.inf)
    half = (high - low) * np.exp(rng.uniform(-0.7, 0.5, (count, 2))) / 2
    x = rng.uniform(0, size[1], count)
    y = high[:, 1] + rng.uniform(0, 0.3, count) * 2 * half[:, 1] - half[:, 1]
    return np.stack([x, y], axis=1)[:, None] + DIRECTIONS.T * half[:, None]


def smooth_curve(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw curves (T, …) in [-1, 1] through random key poses, one every 2 to 60 frames, the same for all curves."""
    spacing = np.exp(rng.uniform(np.log(2), np.log(60)))
    num_poses = 2 + int(np.ceil(shape[0] / spacing))
    poses = rng.uniform(-1, 1, (num_poses, *shape[1:]))
    times = spacing * (np.arange(num_poses) - rng.random())  # the first is at or before frame 0
    return PchipInterpolator(times, poses, axis=0)(np.arange(shape[0]))  # unlike other splines it does not overshoot


def _rotate(points: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Rotate points (…, P, 2) about the origin by angles (…) in radians."""
    cos, sin = np.cos(angles)[..., None], np.sin(angles)[..., None]
    x, y = points[..., 0], points[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
