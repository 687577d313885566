from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from tltm_graph.ops import masks_to_boxes
from tltm_graph.structures import Detections, Frame

# Radius of each shape in direction θ, 1 at its farthest.
_OUTLINES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "disc": lambda angle: np.ones_like(angle),
    "ellipse": lambda angle: 0.55 / np.sqrt(1 - (1 - 0.55**2) * np.cos(angle) ** 2),
    "triangle": lambda angle: _polygon(angle, 3),
    "square": lambda angle: _polygon(angle, 4),
    "hexagon": lambda angle: _polygon(angle, 6),
    "star": lambda angle: 0.7 + 0.3 * np.cos(5 * angle),
    "clover": lambda angle: 0.75 + 0.25 * np.cos(3 * angle),
    "gear": lambda angle: 0.9 + 0.1 * np.sign(np.cos(8 * angle)),
}


def _polygon(angle: np.ndarray, corners: int) -> np.ndarray:
    sector = np.pi / corners
    return np.cos(sector) / np.cos(angle % (2 * sector) - sector)


@dataclass(frozen=True)
class _Shape:
    label: int
    radius: float
    colours: np.ndarray  # (2, 3)
    texture: int
    frequency: float
    centre: np.ndarray  # (2,) x, y in pixels
    swing: np.ndarray  # (2,) pixels
    period: np.ndarray  # (2,) frames
    phase: np.ndarray  # (2,) turns
    spin: float  # radians a frame

    def at(self, frame: int) -> tuple[np.ndarray, float]:
        """Centre and angle: every coordinate swings on its own, so paths cross, pause, leave and come back."""
        return self.centre + self.swing * np.sin(2 * np.pi * (frame / self.period + self.phase)), self.spin * frame


class MovingShapes:
    """A rendered video with exact truth: textured shapes that cross, hide each other, leave the picture and come back.

    Every second shape is the look-alike of the one before: same class, size and texture, so that only motion tells
    them apart. Every third swings out of the picture. A frame is a function of the seed and its index alone: frames can
    be asked for in any order, and the same seed gives the same video anywhere.

    Args:
        num_frames: Length of the video.
        size: Height and width in pixels.
        num_objects: Shapes, some of which may be out of the picture at times.
        seed: Of everything.
        fps: Frames a second.
        min_area: Shapes of which fewer pixels are visible are not part of the truth.
    """

    class_names = tuple(_OUTLINES)

    def __init__(
        self,
        num_frames: int = 150,
        size: tuple[int, int] = (360, 640),
        num_objects: int = 6,
        seed: int = 0,
        fps: float = 25.0,
        min_area: int = 32,
    ) -> None:
        if num_frames < 0 or num_objects < 0 or min(size) < 16:
            raise ValueError(
                f"Expected non-negative numbers of frames and objects and at least 16×16 pixels, "
                f"got {num_frames}, {num_objects} and {size[0]}×{size[1]}"
            )
        self.num_frames = num_frames
        self.size = size
        self.fps = fps
        self.min_area = min_area
        random = np.random.default_rng(seed)
        self._background = _background(size, random)
        self._shapes: list[_Shape] = []
        for index in range(num_objects):
            twin = self._shapes[-1] if index % 2 else None
            self._shapes.append(_draw_shape(index, size, random, twin))
        self._last: tuple[int, Frame, Detections] | None = None

    def __len__(self) -> int:
        return self.num_frames

    def __iter__(self) -> Iterator[Frame]:
        return (self.frame(index) for index in range(self.num_frames))

    def frame(self, index: int) -> Frame:
        """The picture at ``index``."""
        return self._render(index)[0]

    def truth(self, index: int) -> Detections:
        """What can be seen in it: visible masks, tight boxes, classes, ids; scores are 1."""
        return self._render(index)[1]

    def _render(self, index: int) -> tuple[Frame, Detections]:
        if not 0 <= index < self.num_frames:
            raise IndexError(f"Expected a frame from 0 to {self.num_frames - 1}, got {index}")
        if self._last is None or self._last[0] != index:  # picture and truth are mostly asked for together
            self._last = index, *self._draw(index)
        return self._last[1:]

    def _draw(self, index: int) -> tuple[Frame, Detections]:
        image = self._background.copy()
        owner = np.full(self.size, -1)
        for number, shape in enumerate(self._shapes):  # later shapes lie in front
            _paint(image, owner, number, shape, index)
        masks = torch.from_numpy(owner[None] == np.arange(len(self._shapes))[:, None, None])  # (N, H, W)
        ids = (masks.flatten(1).sum(dim=1) >= self.min_area).nonzero().flatten()
        truth = Detections(
            boxes=masks_to_boxes(masks[ids]),
            scores=torch.ones(len(ids)),
            labels=torch.tensor([self._shapes[number].label for number in ids.tolist()], dtype=torch.int64),
            masks=masks[ids],
            ids=ids,
        )
        picture = torch.from_numpy(image.transpose(2, 0, 1).copy())
        return Frame(picture, index, index / self.fps), truth

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_frames={self.num_frames}, size={self.size}, num_objects={len(self._shapes)})"


def _draw_shape(index: int, size: tuple[int, int], random: np.random.Generator, twin: _Shape | None) -> _Shape:
    height, width = size
    extent = np.array([width, height], dtype=float)
    leaves = index % 3 == 2
    return _Shape(
        label=twin.label if twin else int(random.integers(len(_OUTLINES))),
        radius=twin.radius if twin else float(random.uniform(0.09, 0.16) * min(size)),
        colours=twin.colours if twin else random.uniform(0, 255, (2, 3)),
        texture=twin.texture if twin else int(random.integers(3)),
        frequency=twin.frequency if twin else float(random.uniform(4, 9)),
        centre=extent * random.uniform(0.4, 0.6, 2),
        swing=extent * (random.uniform([0.65, 0.1], [0.8, 0.3]) if leaves else random.uniform(0.2, 0.38, 2)),
        period=random.uniform(120, 260, 2),
        phase=random.uniform(0, 1, 2),
        spin=float(random.uniform(-0.04, 0.04)),
    )


def _background(size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Soft clouds with grain, (H, W, 3) uint8."""
    coarse = torch.from_numpy(random.uniform(60, 160, (1, 1, 6, 9)) + random.uniform(-20, 20, (1, 3, 6, 9)))
    clouds = torch.nn.functional.interpolate(coarse, size, mode="bicubic", align_corners=False)[0]
    grain = random.normal(0, 6, size)[None]
    return np.clip(clouds.numpy() + grain, 0, 255).astype(np.uint8).transpose(1, 2, 0).copy()


def _paint(image: np.ndarray, owner: np.ndarray, number: int, shape: _Shape, frame: int) -> None:
    centre, angle = shape.at(frame)
    low = np.maximum(np.floor(centre - shape.radius).astype(int), 0)
    high = np.minimum(np.ceil(centre + shape.radius).astype(int) + 1, [image.shape[1], image.shape[0]])
    if (high <= low).any():
        return
    window = np.s_[low[1] : high[1], low[0] : high[0]]
    y, x = np.mgrid[window].astype(float)
    x, y = (x - centre[0]) / shape.radius, (y - centre[1]) / shape.radius
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x  # turn with the shape
    inside = np.hypot(u, v) <= _OUTLINES[MovingShapes.class_names[shape.label]](np.arctan2(v, u))
    k = shape.frequency
    pattern = (np.sin(k * u), np.sin(k * u) * np.sin(k * v), np.sin(k * np.hypot(u, v)))[shape.texture]
    weight = (0.5 + 0.5 * pattern)[inside, None]
    image[window][inside] = (weight * shape.colours[0] + (1 - weight) * shape.colours[1]).astype(np.uint8)
    owner[window][inside] = number
