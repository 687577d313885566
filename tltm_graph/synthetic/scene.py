from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from PIL import Image

from tltm_graph.structures import Detections, Frame
from tltm_graph.synthetic.bursts import spoil
from tltm_graph.synthetic.difficulty import EASY, Difficulty
from tltm_graph.synthetic.objects import Camera, Moving, Timeline, View, draw_objects
from tltm_graph.synthetic.rendering import CLASS_NAMES, paint_background, paint_object, paint_world

_BLURRED = 0.025  # of the shorter side: what the camera smears more than that counts as degraded
_LONGEST_SMEAR = 0.3  # of the shorter side


class MovingShapes:
    """A rendered video with exact truth: textured, deforming shapes that cross, hide each other, leave and come back.

    Some are look-alikes of others, of the same class, texture and size, so that only motion tells them apart; some come
    in again elsewhere, so that only their looks tell who they are. The camera pans, zooms and is shaken, frames are
    dropped, and now and then one to three frames in a row are degraded after clean ones. A frame is a function of the
    seed, the settings and its index alone: frames can be asked for in any order, and are the same whatever the length.

    Args:
        num_frames: Length of the video.
        size: Height and width in pixels. The scene is the same at any size of the same proportions.
        num_objects: Shapes, some of which may be out of the picture at times.
        seed: Of everything, at least 0.
        fps: Ticks of the camera a second: frames a second, unless some are dropped.
        min_area: Shapes of which fewer pixels are visible are not part of the truth.
        difficulty: How hard it is; by default a scene in which little goes wrong, to look at and to try things on.

    Raises:
        ValueError: If a number is negative or the picture is smaller than 16×16.
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
        self._unit = float(min(size))
        self._half = np.array([size[1], size[0]]) / self._unit / 2
        times, views, depths, self._objects_seed, self._world_seed = np.random.SeedSequence(seed).spawn(5)
        self._timeline = Timeline(difficulty, times)
        self._camera = Camera(self._half, difficulty, views)
        self._order = np.random.default_rng(depths).permutation(num_objects)  # from the back to the front
        self._last: tuple[int, Frame, Detections] | None = None

    def __len__(self) -> int:
        return self.num_frames

    def __iter__(self) -> Iterator[Frame]:
        return (self.frame(index) for index in range(self.num_frames))

    def frame(self, index: int) -> Frame:
        """The picture at ``index``; its time says how many frames were dropped before it."""
        return self._render(index)[0]

    def truth(self, index: int) -> Detections:
        """What can be seen in it: visible masks, tight boxes, classes, ids; scores are 1.

        Masks are those of the sharp objects in the middle of the exposure, whatever motion and lens do to the picture.
        """
        return self._render(index)[1]

    @property
    def looks(self) -> tuple[int, ...]:
        """Of each object, by id, the first one that looks the same: look-alikes have the same number."""
        first: dict[int, int] = {}
        return tuple(first.setdefault(id(shape.look), number) for number, shape in enumerate(self._objects))

    def degraded(self, index: int) -> bool:
        """Whether the whole picture is: out of focus, noisy, badly lit, or smeared by the camera."""
        self._check(index)
        moment = self._timeline.at(index)
        view = self._camera.at(moment)
        smear = self.difficulty.exposure * view.motion(view.centre, np.zeros(2))
        return moment.burst is not None or float(np.hypot(*smear)) > _BLURRED

    def _check(self, index: int) -> None:
        if not 0 <= index < self.num_frames:
            raise IndexError(f"Expected a frame from 0 to {self.num_frames - 1}, got {index}")

    def _render(self, index: int) -> tuple[Frame, Detections]:
        self._check(index)
        if self._last is None or self._last[0] != index:  # picture and truth are mostly asked for together
            self._last = index, *self._draw(index)
        return self._last[1:]

    def _draw(self, index: int) -> tuple[Frame, Detections]:
        moment = self._timeline.at(index)
        view = self._camera.at(moment)
        picture = self._background(view)
        owner = np.full(self.size, -1, dtype=np.int8)
        windows = {}
        for number in self._order.tolist():
            window = self._paint(picture, owner, number, view, moment.tick)
            if window is not None:
                windows[number] = window
        noise = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(5, index)))  # beside the five above
        picture = spoil(picture, moment.burst, self.difficulty.grain, noise)
        image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
        return Frame(image, index, moment.tick / self.fps), self._truth(owner, windows)

    @cached_property
    def _objects(self) -> list[Moving]:
        return draw_objects(self.num_objects, self._unit, self._half, self.difficulty, self._camera, self._objects_seed)

    @cached_property
    def _world(self) -> Image.Image:
        margin = _LONGEST_SMEAR / 2 * np.exp(1.5 * self.difficulty.zoom)
        width, height = np.ceil(2 * (self._camera.reach + margin) * self._unit + 2).astype(int).tolist()
        return paint_world((height, width), self._unit, self.difficulty, self._world_seed)

    def _background(self, view: View) -> np.ndarray:
        middle = np.array(self._world.size) / 2 + view.centre * self._unit
        half = self._half * self._unit / view.zoom
        motion = self._smear(view.motion(view.centre, np.zeros(2)))
        return paint_background(self._world, middle - half, view.zoom, self.size, motion)

    def _paint(
        self, picture: np.ndarray, owner: np.ndarray, number: int, view: View, tick: int
    ) -> tuple[slice, slice] | None:
        shape = self._objects[number]
        pose = shape.pose(tick)
        if pose is None:
            return None
        centre = (view.project(pose.centre) + self._half) * self._unit
        scale = view.zoom * self._unit
        motion = self._smear(view.motion(pose.centre, pose.speed))
        return paint_object(
            picture, owner, number, centre + pose.outline * scale, shape.look.surface, centre, pose.axes * scale, motion
        )

    def _smear(self, motion: np.ndarray) -> np.ndarray:
        """Pixels moved while the shutter is open."""
        smear = self.difficulty.exposure * motion
        return smear * (self._unit * min(1.0, _LONGEST_SMEAR / max(float(np.hypot(*smear)), 1e-9)))

    def _truth(self, owner: np.ndarray, windows: dict[int, tuple[slice, slice]]) -> Detections:
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
            labels=torch.tensor([self._objects[number].look.label for number in ids], dtype=torch.int64),
            masks=torch.from_numpy(owner[None] == np.array(ids, dtype=np.int8)[:, None, None]),  # (N, H, W)
            ids=torch.tensor(ids, dtype=torch.int64),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_frames={self.num_frames}, size={self.size}, num_objects={self.num_objects})"
