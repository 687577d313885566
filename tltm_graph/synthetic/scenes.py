"""Rendered scenes with exact ground truth, and the frozen splits of the benchmark."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import overload

import numpy as np
import torch
from PIL import Image

from tltm_graph.structures import Detections, Frame
from tltm_graph.synthetic.camera import Camera, Timeline, View
from tltm_graph.synthetic.difficulty import EASY, Difficulty
from tltm_graph.synthetic.objects import CLASS_NAMES, MovingObject, draw_objects
from tltm_graph.synthetic.rendering import degrade, paint_background, paint_object, paint_world

_DEGRADING_SMEAR = 0.025  # of the shorter side: a frame that the camera smears by more counts as degraded
_MAX_SMEAR = 0.3  # of the shorter side

TRAIN = range(1_000_000, 1_002_000)
VAL = range(2_000_000, 2_000_020)
TEST = range(3_000_000, 3_000_030)
SPLITS = {"train": TRAIN, "val": VAL, "test": TEST}
"""Seeds of the frozen splits by name. They never change, because published scores are compared on them."""


class MovingShapes:
    """Rendered video of textured, deforming shapes with exact ground truth.

    The shapes cross, occlude each other, leave the picture and come back. Look-alikes share class, texture and size, so
    that only motion distinguishes them. Shapes that come back at another position are re-identified by appearance only.
    The camera pans, zooms and shakes, frames are dropped, and bursts of one to three degraded frames follow clean ones.

    A frame depends only on the seed, the settings and its index: frames can be read in any order, and the length of the
    video does not change them.

    Args:
        num_frames: Length of the video.
        size: Height and width in pixels. The scene is the same at any size of the same proportions.
        num_objects: Number of shapes, fewer than 128; some may be outside the picture at times.
        seed: Seed of all random draws, at least 0.
        fps: Ticks of the camera per second, which is the frame rate unless frames are dropped.
        min_area: Minimum number of visible pixels of a shape in the ground truth.
        difficulty: Difficulty of the scene; by default an easy one.

    Raises:
        ValueError: If a number is negative, there are too many objects, or the picture is smaller than 16×16.
    """

    class_names = CLASS_NAMES

    def __init__(
        self,
        num_frames: int = 150,
        size: tuple[int, int] = (360, 640),
        num_objects: int = 6,
        seed: int = 0,
        fps: float = 25.0,
        min_area: int = 32,
        difficulty: Difficulty = EASY,
    ) -> None:
        if num_frames < 0 or not 0 <= num_objects < 128 or min(size) < 16 or seed < 0:
            raise ValueError(
                f"Expected non-negative numbers of frames and objects, fewer than 128 objects, at least 16×16 pixels "
                f"and a seed of at least 0, got {num_frames}, {num_objects}, {size[0]}×{size[1]} and {seed}"
            )
        self.num_frames = num_frames
        self.size = size
        self.num_objects = num_objects
        self.seed = seed
        self.fps = fps
        self.min_area = min_area
        self.difficulty = difficulty
        self._unit = float(min(size))  # pixels per unit of the world
        self._half = np.array([size[1], size[0]]) / self._unit / 2
        seeds = np.random.SeedSequence(seed).spawn(5)
        timeline_seed, camera_seed, order_seed, self._objects_seed, self._background_seed = seeds
        self._timeline = Timeline(difficulty, timeline_seed)
        self._camera = Camera(self._half, difficulty, camera_seed)
        self._back_to_front = np.random.default_rng(order_seed).permutation(num_objects)
        self._last_rendered: tuple[int, Frame, Detections] | None = None

    def __len__(self) -> int:
        return self.num_frames

    def __iter__(self) -> Iterator[Frame]:
        return (self.frame(index) for index in range(self.num_frames))

    def frame(self, index: int) -> Frame:
        """Return the picture at ``index``. Dropped frames leave a gap in its time."""
        return self._render(index)[0]

    def truth(self, index: int) -> Detections:
        """Return the visible objects at ``index``: visible masks, tight boxes, classes and ids; all scores are 1.

        Masks are those of the sharp objects in the middle of the exposure, without motion blur and degradation.
        """
        return self._render(index)[1]

    @property
    def look_alike_groups(self) -> tuple[int, ...]:
        """Group of each object, by id: the id of the first object with the same appearance."""
        first: dict[int, int] = {}
        return tuple(first.setdefault(id(shape.appearance), number) for number, shape in enumerate(self._objects))

    def degraded(self, index: int) -> bool:
        """Return whether the whole picture is out of focus, noisy, badly lit, or smeared by the camera."""
        self._check(index)
        moment = self._timeline.at(index)
        view = self._camera.at(moment)
        smear = self.difficulty.exposure * view.motion(view.centre, np.zeros(2))
        return moment.burst is not None or float(np.hypot(*smear)) > _DEGRADING_SMEAR

    def _check(self, index: int) -> None:
        if not 0 <= index < self.num_frames:
            raise IndexError(f"Expected a frame from 0 to {self.num_frames - 1}, got {index}")

    def _render(self, index: int) -> tuple[Frame, Detections]:
        self._check(index)
        if self._last_rendered is None or self._last_rendered[0] != index:  # callers mostly want picture and truth
            self._last_rendered = index, *self._paint(index)
        return self._last_rendered[1:]

    def _paint(self, index: int) -> tuple[Frame, Detections]:
        moment = self._timeline.at(index)
        view = self._camera.at(moment)
        picture = self._paint_background(view)
        owner = np.full(self.size, -1, dtype=np.int8)
        windows = {}
        for number in self._back_to_front.tolist():
            window = self._paint_object(picture, owner, number, view, moment.tick)
            if window is not None:
                windows[number] = window
        noise_seed = np.random.SeedSequence(self.seed, spawn_key=(5, index))  # keys 0 to 4 are taken by __init__
        picture = degrade(picture, moment.burst, self.difficulty.grain, np.random.default_rng(noise_seed))
        image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
        return Frame(image, index, moment.tick / self.fps), self._make_truth(owner, windows)

    @cached_property
    def _objects(self) -> list[MovingObject]:
        return draw_objects(self.num_objects, self._unit, self._half, self.difficulty, self._camera, self._objects_seed)

    @cached_property
    def _background(self) -> Image.Image:
        margin = _MAX_SMEAR / 2 * np.exp(1.5 * self.difficulty.zoom)
        width, height = np.ceil(2 * (self._camera.reach + margin) * self._unit + 2).astype(int).tolist()
        return paint_world((height, width), self._unit, self.difficulty, self._background_seed)

    def _paint_background(self, view: View) -> np.ndarray:
        middle = np.array(self._background.size) / 2 + view.centre * self._unit
        half = self._half * self._unit / view.zoom
        motion = self._smear(view.motion(view.centre, np.zeros(2)))
        return paint_background(self._background, middle - half, view.zoom, self.size, motion)

    def _paint_object(
        self, picture: np.ndarray, owner: np.ndarray, number: int, view: View, tick: int
    ) -> tuple[slice, slice] | None:
        shape = self._objects[number]
        pose = shape.pose(tick)
        if pose is None:
            return None
        centre = (view.project(pose.centre) + self._half) * self._unit
        scale = view.zoom * self._unit
        outline, axes = centre + pose.outline * scale, pose.axes * scale
        motion = self._smear(view.motion(pose.centre, pose.speed))
        return paint_object(picture, owner, number, outline, shape.appearance.texture, centre, axes, motion)

    def _smear(self, motion: np.ndarray) -> np.ndarray:
        """Convert a motion per tick to pixels while the shutter is open, within the maximum."""
        smear = self.difficulty.exposure * motion
        return smear * (self._unit * min(1.0, _MAX_SMEAR / max(float(np.hypot(*smear)), 1e-9)))

    def _make_truth(self, owner: np.ndarray, windows: dict[int, tuple[slice, slice]]) -> Detections:
        ids, boxes = [], []
        for number, (rows, columns) in sorted(windows.items()):
            visible = owner[rows, columns] == number
            if np.count_nonzero(visible) >= max(self.min_area, 1):
                y, x = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
                x0, y0 = columns.start, rows.start
                boxes.append((x0 + x[0], y0 + y[0], x0 + x[-1] + 1, y0 + y[-1] + 1))
                ids.append(number)
        return Detections(
            boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            scores=torch.ones(len(ids)),
            labels=torch.tensor([self._objects[number].appearance.label for number in ids], dtype=torch.int64),
            masks=torch.from_numpy(owner[None] == np.array(ids, dtype=np.int8)[:, None, None]),  # (N, H, W)
            ids=torch.tensor(ids, dtype=torch.int64),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_frames={self.num_frames}, size={self.size}, num_objects={self.num_objects})"


class Scenes(Sequence[MovingShapes]):
    """Sequence of scenes that makes each scene when it is read and keeps none; see :func:`moving_shapes`."""

    class_names = MovingShapes.class_names

    def __init__(self, difficulty: Difficulty, seeds: range, num_frames: int, size: tuple[int, int]) -> None:
        self.difficulty, self.seeds, self.num_frames, self.size = difficulty, seeds, num_frames, size

    def __len__(self) -> int:
        return len(self.seeds)

    @overload
    def __getitem__(self, index: int) -> MovingShapes: ...
    @overload
    def __getitem__(self, index: slice) -> "Scenes": ...
    def __getitem__(self, index: int | slice) -> "MovingShapes | Scenes":
        if isinstance(index, slice):
            return Scenes(self.difficulty, self.seeds[index], self.num_frames, self.size)
        seed = self.seeds[index]
        fewest, most = self.difficulty.objects
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(6,)))  # keys 0 to 5 are taken by the scene
        num_objects = int(rng.integers(fewest, most + 1))
        return MovingShapes(self.num_frames, self.size, num_objects, seed, difficulty=self.difficulty)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} scenes of {self.num_frames} frames, {self.size[0]}×{self.size[1]})"


def moving_shapes(
    difficulty: Difficulty, seeds: range, num_frames: int = 60, size: tuple[int, int] = (192, 320)
) -> Scenes:
    """Make the scenes of the benchmark.

    A preset, a split and an index always give the same scene. The splits ``TRAIN`` (2000 scenes), ``VAL`` (20) and
    ``TEST`` (30) share no seed.

    >>> scenes = moving_shapes(STANDARD, TEST)
    >>> scenes[0].frame(5), scenes[0].truth(5)

    Args:
        difficulty: A preset, or a difficulty of your own. It also sets the number of objects.
        seeds: A split, or seeds of your own, at least 0.
        num_frames: Length of each scene.
        size: Height and width in pixels.
    """
    return Scenes(difficulty, seeds, num_frames, size)
