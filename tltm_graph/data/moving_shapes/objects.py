from dataclasses import dataclass

import numpy as np
from PIL import Image

from tltm_graph.data.moving_shapes.camera import Camera
from tltm_graph.data.moving_shapes.difficulty import Difficulty
from tltm_graph.data.moving_shapes.outlines import NUM_POINTS, OUTLINES
from tltm_graph.data.moving_shapes.paths import Knot, Path
from tltm_graph.data.moving_shapes.textures import colour_pair, texture

_TURN = np.linspace(0, 2 * np.pi, NUM_POINTS, endpoint=False)
_WAVES = np.array([2, 3, 4])  # of a wobbling outline


@dataclass(frozen=True, eq=False)
class Look:
    """What look-alikes have in common.

    Args:
        label: Class, from 0.
        radius: Of the unit of its outline, in shorter sides of the picture.
        surface: Its texture; spans four units of an outline.
    """

    label: int
    radius: float
    surface: Image.Image


@dataclass(frozen=True, eq=False)
class Pose:
    """An object at a moment.

    Args:
        centre: Where in the world, (2,).
        speed: Change of it a tick, (2,).
        outline: Points around the centre, in the world's units, (96, 2).
        axes: Where the outline's unit vectors along u and v have come to, as columns, (2, 2).
    """

    centre: np.ndarray
    speed: np.ndarray
    outline: np.ndarray
    axes: np.ndarray


class Moving:
    """An object: a look, a path and a way to deform.

    Args:
        look: What it looks like.
        difficulty: How it moves.
        camera: Its waypoints lie inside or outside the view at their time.
        half: Half the picture's width and height, in shorter sides.
        partner: Whom it meets, None for nobody.
        seed: Of everything.
    """

    def __init__(
        self,
        look: Look,
        difficulty: Difficulty,
        camera: Camera,
        half: np.ndarray,
        partner: "Moving | None",
        seed: np.random.SeedSequence,
    ) -> None:
        self.look = look
        self._difficulty, self._camera, self._half, self._partner = difficulty, camera, half, partner
        self._random = random = np.random.default_rng(seed)
        self._inside = False  # whether the knot before lies inside the view
        self._path = Path(self._next_knot)
        self._spin = random.uniform(-1, 1) * difficulty.spin
        self._angle = random.uniform(0, 2 * np.pi)
        self._wobble = difficulty.wobble * random.dirichlet(np.ones(len(_WAVES)))
        self._wobble_phase = random.uniform(0, 2 * np.pi, len(_WAVES))
        self._wobble_speed = random.uniform(-0.25, 0.25, len(_WAVES))
        self._squeeze = random.uniform(0.3, 1) * difficulty.squeeze
        self._squeeze_speed, self._squeeze_phase = random.uniform(0.08, 0.25), random.uniform(0, 2 * np.pi)

    def place(self, tick: float) -> np.ndarray | None:
        """Where it is in the world (2,), None while it is away."""
        known = self._path.at(tick)
        return None if known is None else known[0][:2]

    def pose(self, tick: float) -> Pose | None:
        """How it is, None while it is away."""
        known = self._path.at(tick)
        if known is None:
            return None
        (x, y, size), speed = known
        waves = np.cos(_WAVES[:, None] * _TURN + (self._wobble_phase + self._wobble_speed * tick)[:, None])  # (3, 96)
        points = OUTLINES[self.look.label] * (1 + self._wobble @ waves)[:, None]
        squeeze = np.exp(self._squeeze * np.sin(self._squeeze_speed * tick + self._squeeze_phase))
        angle = self._angle + self._spin * tick
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        axes = self.look.radius * np.exp(size) * turn * [squeeze, 1 / squeeze]
        return Pose(np.array([x, y]), speed[:2], points @ axes.T, axes)

    def _next_knot(self, previous: Knot | None) -> Knot:
        difficulty, random = self._difficulty, self._random
        size = random.uniform(-difficulty.approach, difficulty.approach)
        if previous is not None and not self._inside and not previous.begins:  # it has just left
            time, begins = previous.time + random.uniform(*difficulty.absence), True
        else:
            time, begins = (previous.time if previous else 0) + random.uniform(*difficulty.stride), False
        if previous is None:
            time = -time
        leaves = self._inside and random.random() < difficulty.leaves
        self._inside = not (leaves or begins)
        return Knot(time, np.append(self._inner(time) if self._inside else self._outer(time), size), begins)

    def _inner(self, time: float) -> np.ndarray:
        """A point inside the view, or where the partner is."""
        random = self._random
        meeting = random.random() < self._difficulty.meetings
        place = self._partner.place(max(time, 0.0)) if self._partner and meeting else None
        view = self._camera.steady(max(time, 0.0))
        there = random.uniform(-0.85, 0.85, 2) * self._half
        if place is not None and (np.abs(view.project(place)) < self._half).all():
            return place + random.uniform(-0.3, 0.3, 2) * self.look.radius
        return view.centre + there / view.zoom

    def _outer(self, time: float) -> np.ndarray:
        """A point beyond one of the four edges."""
        random, view = self._random, self._camera.steady(max(time, 0.0))
        there = random.uniform(-0.8, 0.8, 2) * self._half
        axis, side = int(random.integers(2)), random.choice([-1.0, 1.0])
        beyond = 2 * self.look.radius * np.exp(self._difficulty.approach) * view.zoom
        there[axis] = side * (self._half[axis] + beyond)
        return view.centre + there / view.zoom


def draw_objects(
    count: int, unit: float, half: np.ndarray, difficulty: Difficulty, camera: Camera, seed: np.random.SeedSequence
) -> list[Moving]:
    """The objects of a scene.

    Args:
        count: How many.
        unit: Pixels of the shorter side of the picture.
        half: Half the picture's width and height, in shorter sides.
        difficulty: How often they look alike, how they move.
        camera: That looks at them.
        seed: Of everything.
    """
    objects: list[Moving] = []
    for own in seed.spawn(count):
        choice, path = own.spawn(2)
        random = np.random.default_rng(choice)
        model = objects[random.integers(len(objects))] if objects else None
        alike = random.random() < difficulty.look_alikes
        look = model.look if model and alike else _draw_look(unit, random)
        objects.append(Moving(look, difficulty, camera, half, model, path))
    return objects


def _draw_look(unit: float, random: np.random.Generator) -> Look:
    radius = random.uniform(0.085, 0.16)
    side = round(min(max(4 * 1.2 * radius * unit, 48), 512))
    return Look(int(random.integers(len(OUTLINES))), radius, texture(side, random, colour_pair(random)))
