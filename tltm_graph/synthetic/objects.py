from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from tltm_graph.synthetic.bursts import Burst, Shake, draw_burst
from tltm_graph.synthetic.difficulty import Difficulty
from tltm_graph.synthetic.rendering import NUM_POINTS, OUTLINES, colour_pair, texture


class Knot(NamedTuple):
    """A point of a path.

    Args:
        time: When it is passed.
        value: What the path is worth there, (D,).
        begins: Nothing leads to it: there is no path between the knot before and this one.
    """

    time: float
    value: np.ndarray
    begins: bool = False


class Path:
    r"""An endless smooth path through knots that are drawn when they are needed.

    Between two knots it is the cubic with their values and tangents; the tangent of a knot is the slope from the one
    before it to the one after it (Catmull and Rom, "A class of local interpolating splines", 1974):

    .. math:: m_k = (p_{k+1} - p_{k-1}) / (t_{k+1} - t_{k-1})

    So a piece depends on four knots, and what was asked for before, or how long a video is, changes nothing.

    Args:
        next_knot: Draws the knot after the given one; the first one, at a time of at most 0, after None.
    """

    def __init__(self, next_knot: Callable[[Knot | None], Knot]) -> None:
        self._next_knot = next_knot
        self._knots = [next_knot(None)]
        self._times = [self._knots[0].time]

    def at(self, time: float) -> tuple[np.ndarray, np.ndarray] | None:
        """Value and rate of change a tick, both (D,), at a time of at least 0; None in a gap."""
        while len(self._knots) < 3 or self._times[-2] <= time:
            self._knots.append(self._next_knot(self._knots[-1]))
            self._times.append(self._knots[-1].time)
        k = bisect_right(self._times, time) - 1
        here, there = self._knots[k], self._knots[k + 1]
        if there.begins:
            return None
        span = there.time - here.time
        s = (time - here.time) / span
        p, q = here.value, there.value
        m, n = span * self._tangent(k), span * self._tangent(k + 1)
        a, b = 2 * (p - q) + m + n, 3 * (q - p) - 2 * m - n
        return p + s * (m + s * (b + s * a)), (m + s * (2 * b + 3 * s * a)) / span

    def _tangent(self, k: int) -> np.ndarray:
        before = self._knots[k if k == 0 or self._knots[k].begins else k - 1]
        after = self._knots[k if self._knots[k + 1].begins else k + 1]
        return (after.value - before.value) / (after.time - before.time)


_CLEAN = 3  # frames at least between two bursts
_LONGEST = 3


@dataclass(frozen=True)
class Moment:
    """When a frame was taken, and what went wrong.

    Args:
        tick: Of the camera: frames that were dropped count.
        burst: The burst that the frame belongs to, None for a clean one.
    """

    tick: int
    burst: Burst | None


class Timeline:
    """The moments of the frames of an endless video: dropped frames, and bursts of one to three degraded ones."""

    def __init__(self, difficulty: Difficulty, seed: np.random.SeedSequence) -> None:
        self._difficulty = difficulty
        self._random = np.random.default_rng(seed)
        self._moments = [Moment(0, None)]
        self._clean, self._left = 1, 0

    def at(self, index: int) -> Moment:
        """The moment of a frame."""
        while len(self._moments) <= index:
            self._moments.append(self._next(self._moments[-1]))
        return self._moments[index]

    def _next(self, previous: Moment) -> Moment:
        difficulty, random = self._difficulty, self._random
        dropped = random.random() < difficulty.drops
        tick = previous.tick + 1 + (int(random.integers(1, difficulty.longest_drop + 1)) if dropped else 0)
        if self._left:
            self._left -= 1
            return Moment(tick, previous.burst)
        if self._clean >= _CLEAN and random.random() < difficulty.bursts:
            self._clean, self._left = 0, int(random.integers(_LONGEST))
            return Moment(tick, draw_burst(difficulty, random))
        self._clean += 1
        return Moment(tick, None)


@dataclass(frozen=True)
class View:
    """What the camera sees at a moment. The world's unit is the shorter side of the picture without zoom.

    Args:
        centre: Point of the world in the middle of the picture, (2,).
        zoom: Factor.
        speed: Change of ``centre`` a tick, (2,).
        zoom_speed: Change of the logarithm of ``zoom`` a tick.
    """

    centre: np.ndarray
    zoom: float
    speed: np.ndarray
    zoom_speed: float

    def project(self, point: np.ndarray) -> np.ndarray:
        """Where a point of the world is in the picture, from its middle, in shorter sides, (2,)."""
        return (point - self.centre) * self.zoom

    def motion(self, point: np.ndarray, speed: np.ndarray) -> np.ndarray:
        """How far that moves in a tick if the point moves with ``speed`` in the world, (2,)."""
        return (speed - self.speed + (point - self.centre) * self.zoom_speed) * self.zoom


class Camera:
    """Pans and zooms from one view to the next, at times all of a sudden.

    Args:
        half: Half the picture's width and height, in shorter sides.
        difficulty: How far and how fast.
        seed: Of everything.
    """

    def __init__(self, half: np.ndarray, difficulty: Difficulty, seed: np.random.SeedSequence) -> None:
        self._half = half
        self._difficulty = difficulty
        self._random = np.random.default_rng(seed)
        self._path = Path(self._next_knot)

    def steady(self, tick: float) -> View:
        """The view while nothing shakes the camera."""
        known = self._path.at(tick)
        assert known is not None, "there are no gaps in the path of a camera"
        (x, y, zoom), (x_speed, y_speed, zoom_speed) = known
        return View(np.array([x, y]), float(np.exp(zoom)), np.array([x_speed, y_speed]), float(zoom_speed))

    def at(self, moment: Moment) -> View:
        """The view of a frame."""
        view, burst = self.steady(moment.tick), moment.burst
        if not isinstance(burst, Shake):
            return view
        centre, speed = view.centre + burst.offset(moment.tick), view.speed + burst.speed(moment.tick)
        return View(centre, view.zoom, speed, view.zoom_speed)

    @property
    def reach(self) -> np.ndarray:
        """Farthest that can be seen from the middle of the world, along x and y (2,).

        A Catmull-Rom cubic leaves the range of its knots, [-L, L], by at most L / 2.
        """
        difficulty = self._difficulty
        zoomed_out = np.exp(1.5 * difficulty.zoom)
        return self._half * (zoomed_out + 1.5 * difficulty.pan) + difficulty.shake

    def _next_knot(self, previous: Knot | None) -> Knot:
        difficulty, random = self._difficulty, self._random
        quick = random.random() < difficulty.whips and previous is not None and previous.time > 0  # begin calmly
        pause = random.uniform(2, 4) if quick else random.uniform(20, 45)
        limits = np.array([*(difficulty.pan * self._half), difficulty.zoom])
        value = random.uniform(-limits, limits)
        return Knot(-pause if previous is None else previous.time + pause, value)


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
