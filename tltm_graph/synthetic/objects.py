"""The objects of a rendered scene: classes, textures, motion and deformation.

A class is a closed outline. All outlines have the same area, and every class comes in all colours and textures, so that
only the form of the outline identifies a class. World coordinates are those of the camera.
"""

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tltm_graph.synthetic.camera import Camera, Knot, Spline
from tltm_graph.synthetic.difficulty import Difficulty

_WAVE_NUMBERS = np.array([2, 3, 4])  # of a wobbling outline

ANGLES = np.linspace(0, 2 * np.pi, 96, endpoint=False)
"""Polar angles of the points of an outline, in radians (96,)."""


def _polar(radius: np.ndarray) -> np.ndarray:
    return np.stack([radius * np.cos(ANGLES), radius * np.sin(ANGLES)], axis=1)


def _polygon(*corners: tuple[float, float]) -> np.ndarray:
    """Place points at equal distances along the edges."""
    ends = np.array([*corners, corners[0]])
    length = np.concatenate([[0.0], np.hypot(*np.diff(ends, axis=0).T).cumsum()])
    along = np.linspace(0, length[-1], len(ANGLES), endpoint=False)
    return np.stack([np.interp(along, length, ends[:, axis]) for axis in (0, 1)], axis=1)


def _regular(corners: int, inner: float | None = None) -> np.ndarray:
    """Make a regular polygon, or a star if ``inner``, the radius of its inner corners, is given."""
    radii = np.array([1.0] * corners if inner is None else [1.0, inner] * corners)
    angle = np.arange(len(radii)) * 2 * np.pi / len(radii)
    return _polygon(*zip((radii * np.cos(angle)).tolist(), (radii * np.sin(angle)).tolist(), strict=True))


def _crescent() -> np.ndarray:
    """Cut a disc out of a disc."""
    half, cut = len(ANGLES) // 2, np.array([0.75, 0.0])
    tip = np.arccos(cut[0] / 2)  # angle at which circles of radius 1 around 0 and around the cut meet
    outer = np.linspace(tip, 2 * np.pi - tip, half, endpoint=False)
    inner = np.linspace(np.pi + tip, np.pi - tip, len(ANGLES) - half, endpoint=False)
    points = [np.stack([np.cos(a), np.sin(a)], axis=1) for a in (outer, inner)]
    return np.concatenate([points[0], points[1] + cut])


_ARM = 0.36  # half the width of an arm of the cross

_FORMS = {
    "disc": _polar(np.ones_like(ANGLES)),
    "triangle": _regular(3),
    "square": _regular(4),
    "cross": _polygon(
        *[(1, -_ARM), (1, _ARM), (_ARM, _ARM), (_ARM, 1), (-_ARM, 1), (-_ARM, _ARM)],
        *[(-1, _ARM), (-1, -_ARM), (-_ARM, -_ARM), (-_ARM, -1), (_ARM, -1), (_ARM, -_ARM)],
    ),
    "star": _regular(5, inner=0.45),
    "clover": _polar(0.68 + 0.32 * np.cos(3 * ANGLES)),
    "gear": _polar(0.87 + 0.13 * np.clip(4 * np.cos(8 * ANGLES), -1, 1)),
    "crescent": _crescent(),
}


def _normalized(points: np.ndarray) -> np.ndarray:
    """Centre an outline and give it the area of a disc of radius 0.8."""
    x, y = points.T
    after = np.roll(points, -1, axis=0)
    cross = x * after[:, 1] - after[:, 0] * y
    area = cross.sum() / 2
    centre = ((points + after) * cross[:, None]).sum(axis=0) / (6 * area)
    return (points - centre) * np.sqrt(np.pi * 0.8**2 / abs(area))


CLASS_NAMES = tuple(_FORMS)
"""Names of the classes by label."""

OUTLINES = tuple(_normalized(points) for points in _FORMS.values())
"""Outline of each label: x and y around the centre of mass, float64 (96, 2), within a circle of radius 1.5."""


Pattern = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""Function of coordinates u and v (H, W), in periods of the pattern, to the share of the second colour in [0, 1]."""


def _soft_step(value: np.ndarray) -> np.ndarray:
    return np.clip(2 * value + 0.5, 0, 1)


PATTERNS: dict[str, Pattern] = {
    "stripes": lambda u, v, rng: _soft_step(np.sin(2 * np.pi * u) + rng.uniform(-0.4, 0.4)),
    "checks": lambda u, v, rng: _soft_step(np.sin(np.pi * u) * np.sin(np.pi * v)),
    "dots": lambda u, v, rng: _soft_step(np.sin(np.pi * u) ** 2 + np.sin(np.pi * v) ** 2 - rng.uniform(1.1, 1.5)),
    "rings": lambda u, v, rng: _soft_step(np.sin(2 * np.pi * np.hypot(u, v) + rng.uniform(0, 2 * np.pi))),
    "zigzag": lambda u, v, rng: _soft_step(np.sin(2 * np.pi * (u + np.abs(v % 1 - 0.5)))),
    "clouds": lambda u, v, rng: np.clip(0.5 + 1.3 * smooth_noise(u.shape, 5, rng), 0, 1),
    "spots": lambda u, v, rng: _soft_step(3 * smooth_noise(u.shape, 8, rng)),
    "plain": lambda u, v, rng: np.clip(0.25 + 0.1 * (u + v), 0, 1),
}


def smooth_noise(shape: tuple[int, ...], cells: int, rng: np.random.Generator) -> np.ndarray:
    """Draw noise (H, W) of mean 0, mostly in [-0.5, 0.5], with ``cells`` grid cells along the shorter side."""
    height, width = shape
    cells_per_pixel = cells / min(shape)
    grid = (max(2, round(height * cells_per_pixel)), max(2, round(width * cells_per_pixel)))
    coarse = Image.fromarray(rng.uniform(-0.5, 0.5, grid).astype(np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def draw_colour(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> np.ndarray:
    """Draw a colour of any hue, (3,) in [0, 255], with saturation and value from these ranges."""
    return 255 * np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value)))


def draw_colour_pair(rng: np.random.Generator) -> np.ndarray:
    """Draw a bright and a dark colour in random order, (2, 3) in [0, 255]."""
    pair = np.stack([draw_colour(rng, (0.3, 1.0), (0.75, 1.0)), draw_colour(rng, (0.3, 1.0), (0.15, 0.5))])
    return pair[rng.permutation(2)]


def draw_texture(side: int, colours: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Draw a square texture of one pattern. It is darker towards its rim, which makes an object look round.

    Args:
        side: Side length in pixels; it spans four units of an outline.
        colours: Two colours, (2, 3) in [0, 255].
        rng: Source of the pattern, its period and its direction.
    """
    v, u = np.mgrid[-2 : 2 : side * 1j, -2 : 2 : side * 1j].astype(np.float32)
    pattern = tuple(PATTERNS.values())[rng.integers(len(PATTERNS))]
    angle, period = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 0.7)
    cos, sin = np.cos(angle) / period, np.sin(angle) / period
    weight = pattern(cos * u + sin * v, cos * v - sin * u, rng)[..., None]
    shade = np.clip(1.1 - 0.3 * (u * u + v * v), 0.6, 1)[..., None]
    return Image.fromarray(np.clip((colours[0] + weight * (colours[1] - colours[0])) * shade, 0, 255).astype(np.uint8))


@dataclass(frozen=True, eq=False)
class Appearance:
    """Appearance of an object; look-alikes share it.

    Args:
        label: Class, counted from 0.
        radius: Length of one unit of the outline.
        texture: Texture, which spans four units of the outline.
    """

    label: int
    radius: float
    texture: Image.Image


@dataclass(frozen=True, eq=False)
class Pose:
    """Position and shape of an object at one moment.

    Args:
        centre: Position in the world, (2,).
        speed: Change of ``centre`` per tick, (2,).
        outline: Points relative to the centre, in world units (96, 2).
        axes: Images of the outline's unit vectors along u and v, as columns (2, 2).
    """

    centre: np.ndarray
    speed: np.ndarray
    outline: np.ndarray
    axes: np.ndarray


class MovingObject:
    """Object with an appearance, a path and a deformation.

    Args:
        appearance: Class, size and texture.
        difficulty: Amount of motion and deformation.
        camera: Camera whose view at that time decides whether a waypoint is inside or outside the picture.
        half: Half the width and height of the picture, in shorter sides (2,).
        partner: Object that this one meets at some of its waypoints, or None.
        seed: Seed of all random draws.
    """

    def __init__(
        self,
        appearance: Appearance,
        difficulty: Difficulty,
        camera: Camera,
        half: np.ndarray,
        partner: "MovingObject | None",
        seed: np.random.SeedSequence,
    ) -> None:
        self.appearance = appearance
        self._difficulty, self._camera, self._half, self._partner = difficulty, camera, half, partner
        self._rng = rng = np.random.default_rng(seed)
        self._inside = False  # whether the last knot lies inside the view
        self._path = Spline(self._next_knot)
        self._spin = rng.uniform(-1, 1) * difficulty.spin
        self._angle = rng.uniform(0, 2 * np.pi)
        self._wobble = difficulty.wobble * rng.dirichlet(np.ones(len(_WAVE_NUMBERS)))
        self._wobble_phase = rng.uniform(0, 2 * np.pi, len(_WAVE_NUMBERS))
        self._wobble_speed = rng.uniform(-0.25, 0.25, len(_WAVE_NUMBERS))
        self._squeeze = rng.uniform(0.3, 1) * difficulty.squeeze
        self._squeeze_speed, self._squeeze_phase = rng.uniform(0.08, 0.25), rng.uniform(0, 2 * np.pi)

    def position(self, tick: float) -> np.ndarray | None:
        """Return the position in the world (2,), None while the object is absent."""
        state = self._path.at(tick)
        return None if state is None else state[0][:2]

    def pose(self, tick: float) -> Pose | None:
        """Return position and shape, None while the object is absent."""
        state = self._path.at(tick)
        if state is None:
            return None
        (x, y, size), speed = state
        phases = _WAVE_NUMBERS[:, None] * ANGLES + (self._wobble_phase + self._wobble_speed * tick)[:, None]  # (3, 96)
        points = OUTLINES[self.appearance.label] * (1 + self._wobble @ np.cos(phases))[:, None]
        squeeze = np.exp(self._squeeze * np.sin(self._squeeze_speed * tick + self._squeeze_phase))
        angle = self._angle + self._spin * tick
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        axes = self.appearance.radius * np.exp(size) * rotation * [squeeze, 1 / squeeze]
        return Pose(np.array([x, y]), speed[:2], points @ axes.T, axes)

    def _next_knot(self, previous: Knot | None) -> Knot:
        difficulty, rng = self._difficulty, self._rng
        size = rng.uniform(-difficulty.approach, difficulty.approach)
        if previous is not None and not self._inside and not previous.begins:  # it has just left
            time, begins = previous.time + rng.uniform(*difficulty.absence), True
        else:
            time, begins = (previous.time if previous else 0) + rng.uniform(*difficulty.stride), False
        if previous is None:
            time = -time
        leaves = self._inside and rng.random() < difficulty.leaves
        self._inside = not (leaves or begins)
        return Knot(time, np.append(self._inner(time) if self._inside else self._outer(time), size), begins)

    def _inner(self, time: float) -> np.ndarray:
        """Draw a point inside the view, or near the partner."""
        rng = self._rng
        meeting = rng.random() < self._difficulty.meetings
        partner = self._partner.position(max(time, 0.0)) if self._partner and meeting else None
        view = self._camera.steady(max(time, 0.0))
        offset = rng.uniform(-0.85, 0.85, 2) * self._half
        if partner is not None and (np.abs(view.project(partner)) < self._half).all():
            return partner + rng.uniform(-0.3, 0.3, 2) * self.appearance.radius
        return view.centre + offset / view.zoom

    def _outer(self, time: float) -> np.ndarray:
        """Draw a point beyond one of the four edges."""
        rng, view = self._rng, self._camera.steady(max(time, 0.0))
        offset = rng.uniform(-0.8, 0.8, 2) * self._half
        axis, side = int(rng.integers(2)), rng.choice([-1.0, 1.0])
        margin = 2 * self.appearance.radius * np.exp(self._difficulty.approach) * view.zoom
        offset[axis] = side * (self._half[axis] + margin)
        return view.centre + offset / view.zoom


def draw_objects(
    count: int, unit: float, half: np.ndarray, difficulty: Difficulty, camera: Camera, seed: np.random.SeedSequence
) -> list[MovingObject]:
    """Draw the objects of a scene.

    Args:
        count: Number of objects.
        unit: Length of the shorter side of the picture, in pixels.
        half: Half the width and height of the picture, in shorter sides (2,).
        difficulty: Probability of look-alikes, amount of motion and deformation.
        camera: Camera of the scene.
        seed: Seed of all random draws.
    """
    objects: list[MovingObject] = []
    for own_seed in seed.spawn(count):
        choice_seed, path_seed = own_seed.spawn(2)
        rng = np.random.default_rng(choice_seed)
        partner = objects[rng.integers(len(objects))] if objects else None
        alike = rng.random() < difficulty.look_alikes
        appearance = partner.appearance if partner and alike else _draw_appearance(unit, rng)
        objects.append(MovingObject(appearance, difficulty, camera, half, partner, path_seed))
    return objects


def _draw_appearance(unit: float, rng: np.random.Generator) -> Appearance:
    radius = rng.uniform(0.085, 0.16)
    side = round(min(max(4 * 1.2 * radius * unit, 48), 512))
    return Appearance(int(rng.integers(len(OUTLINES))), radius, draw_texture(side, draw_colour_pair(rng), rng))
