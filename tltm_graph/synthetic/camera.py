"""The camera of a rendered scene: when it takes frames, what degrades them, and where it looks.

The world's unit of length is the shorter side of the picture without zoom; its origin is the middle of the world.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tltm_graph.synthetic.difficulty import Difficulty

_MIN_CLEAN_FRAMES = 3  # between two bursts
_MAX_BURST_FRAMES = 3
_SHAKE_SPEED = 2.3  # radians per tick: two frames in a row land far apart


@dataclass(frozen=True)
class Shake:
    """Knocked camera that moves on a circle: the picture jumps and smears.

    Args:
        radius: Radius of the circle, as a fraction of the shorter side.
        phase: Angle at tick 0, in radians.
    """

    radius: float
    phase: float

    def offset(self, tick: float) -> np.ndarray:
        """Compute the displacement of the camera, (2,)."""
        angle = _SHAKE_SPEED * tick + self.phase
        return self.radius * np.array([np.cos(angle), np.sin(angle)])

    def speed(self, tick: float) -> np.ndarray:
        """Compute the change of :meth:`offset` per tick, (2,)."""
        angle = _SHAKE_SPEED * tick + self.phase
        return _SHAKE_SPEED * self.radius * np.array([-np.sin(angle), np.cos(angle)])


@dataclass(frozen=True)
class Defocus:
    """Picture out of focus; ``deviation`` of the blur is a fraction of the shorter side."""

    deviation: float


@dataclass(frozen=True)
class Noise:
    """Sensor noise in poor light; its standard ``deviation`` is in grey levels."""

    deviation: float


@dataclass(frozen=True)
class Lighting:
    """Coloured flash or shadow from one side.

    Args:
        gain: Logarithm of the factor of each channel, (3,).
        slope: Change of the logarithm from the middle to the edge, along x and y (2,).
    """

    gain: tuple[float, float, float]
    slope: tuple[float, float]


Burst = Shake | Defocus | Noise | Lighting


def draw_burst(difficulty: Difficulty, rng: np.random.Generator) -> Burst:
    """Draw one of the four kinds, at 60 to 100 % of its full strength."""
    strength = rng.uniform(0.6, 1.0)
    kind = rng.integers(4)
    if kind == 0:
        return Shake(strength * difficulty.shake, rng.uniform(0, 2 * np.pi))
    if kind == 1:
        return Defocus(strength * difficulty.defocus)
    if kind == 2:
        return Noise(strength * difficulty.noise)
    light = strength * difficulty.lighting
    gain = light * rng.choice([-1.0, 0.8]) + light * rng.uniform(-0.2, 0.2, 3)
    slope = light * rng.uniform(-0.6, 0.6, 2)
    return Lighting(tuple(gain.tolist()), tuple(slope.tolist()))


@dataclass(frozen=True)
class Moment:
    """Time of a frame and its degradation.

    Args:
        tick: Tick of the camera, which also counts dropped frames.
        burst: Burst that the frame belongs to, None for a clean frame.
    """

    tick: int
    burst: Burst | None


class Timeline:
    """Moments of the frames of an endless video, with dropped frames and bursts of one to three degraded frames."""

    def __init__(self, difficulty: Difficulty, seed: np.random.SeedSequence) -> None:
        self._difficulty = difficulty
        self._rng = np.random.default_rng(seed)
        self._moments = [Moment(0, None)]
        self._clean_frames, self._burst_frames_left = 1, 0

    def at(self, index: int) -> Moment:
        """Return the moment of a frame."""
        while len(self._moments) <= index:
            self._moments.append(self._next(self._moments[-1]))
        return self._moments[index]

    def _next(self, previous: Moment) -> Moment:
        difficulty, rng = self._difficulty, self._rng
        dropped = rng.random() < difficulty.drops
        tick = previous.tick + 1 + (int(rng.integers(1, difficulty.longest_drop + 1)) if dropped else 0)
        if self._burst_frames_left:
            self._burst_frames_left -= 1
            return Moment(tick, previous.burst)
        if self._clean_frames >= _MIN_CLEAN_FRAMES and rng.random() < difficulty.bursts:
            self._clean_frames, self._burst_frames_left = 0, int(rng.integers(_MAX_BURST_FRAMES))
            return Moment(tick, draw_burst(difficulty, rng))
        self._clean_frames += 1
        return Moment(tick, None)


class Knot(NamedTuple):
    """Point that a spline passes through.

    Args:
        time: Time of the point, in ticks.
        value: Value of the spline at that time, (D,).
        begins: Whether a new piece begins here, so that the spline has a gap before this knot.
    """

    time: float
    value: np.ndarray
    begins: bool = False


class Spline:
    r"""Endless smooth path through knots that are drawn when they are needed.

    Between two knots it is the cubic with their values and tangents. The tangent of a knot is the slope from the
    previous to the next knot (Catmull and Rom, "A class of local interpolating splines", 1974):

    .. math:: m_k = (p_{k+1} - p_{k-1}) / (t_{k+1} - t_{k-1})

    A piece depends on four knots only, so its values depend neither on earlier calls nor on the length of a video.

    Args:
        next_knot: Draws the knot after the given one. For None it draws the first knot, at a time of at most 0.
    """

    def __init__(self, next_knot: Callable[[Knot | None], Knot]) -> None:
        self._next_knot = next_knot
        self._knots = [next_knot(None)]
        self._times = [self._knots[0].time]

    def at(self, time: float) -> tuple[np.ndarray, np.ndarray] | None:
        """Compute value and rate of change per tick, both (D,), at a time of at least 0; None in a gap."""
        while len(self._knots) < 3 or self._times[-2] <= time:
            self._knots.append(self._next_knot(self._knots[-1]))
            self._times.append(self._knots[-1].time)
        k = bisect_right(self._times, time) - 1
        begin, end = self._knots[k], self._knots[k + 1]
        if end.begins:
            return None
        span = end.time - begin.time
        s = (time - begin.time) / span
        p, q = begin.value, end.value
        m, n = span * self._tangent(k), span * self._tangent(k + 1)
        a, b = 2 * (p - q) + m + n, 3 * (q - p) - 2 * m - n
        return p + s * (m + s * (b + s * a)), (m + s * (2 * b + 3 * s * a)) / span

    def _tangent(self, k: int) -> np.ndarray:
        before = self._knots[k if k == 0 or self._knots[k].begins else k - 1]
        after = self._knots[k if self._knots[k + 1].begins else k + 1]
        return (after.value - before.value) / (after.time - before.time)


@dataclass(frozen=True)
class View:
    """View of the camera at one moment.

    Args:
        centre: Point of the world in the middle of the picture, (2,).
        zoom: Magnification.
        speed: Change of ``centre`` per tick, (2,).
        zoom_speed: Change of the logarithm of ``zoom`` per tick.
    """

    centre: np.ndarray
    zoom: float
    speed: np.ndarray
    zoom_speed: float

    def project(self, point: np.ndarray) -> np.ndarray:
        """Map a point of the world to the picture: from its middle, in shorter sides, (2,)."""
        return (point - self.centre) * self.zoom

    def motion(self, point: np.ndarray, speed: np.ndarray) -> np.ndarray:
        """Compute the motion per tick in the picture, (2,), of a point that moves with ``speed`` in the world."""
        return (speed - self.speed + (point - self.centre) * self.zoom_speed) * self.zoom


class Camera:
    """Camera that pans and zooms from one view to the next, sometimes within a few ticks.

    Args:
        half: Half the width and height of the picture, in shorter sides (2,).
        difficulty: Range and speed of the moves.
        seed: Seed of all random draws.
    """

    def __init__(self, half: np.ndarray, difficulty: Difficulty, seed: np.random.SeedSequence) -> None:
        self._half = half
        self._difficulty = difficulty
        self._rng = np.random.default_rng(seed)
        self._path = Spline(self._next_knot)

    def steady(self, tick: float) -> View:
        """Return the view without shake."""
        state = self._path.at(tick)
        assert state is not None, "the path of a camera has no gaps"
        (x, y, zoom), (x_speed, y_speed, zoom_speed) = state
        return View(np.array([x, y]), float(np.exp(zoom)), np.array([x_speed, y_speed]), float(zoom_speed))

    def at(self, moment: Moment) -> View:
        """Return the view of a frame."""
        view, burst = self.steady(moment.tick), moment.burst
        if not isinstance(burst, Shake):
            return view
        centre, speed = view.centre + burst.offset(moment.tick), view.speed + burst.speed(moment.tick)
        return View(centre, view.zoom, speed, view.zoom_speed)

    @property
    def reach(self) -> np.ndarray:
        """Maximum visible distance from the middle of the world, along x and y (2,).

        A Catmull-Rom cubic leaves the range of its knots, [-L, L], by at most L / 2.
        """
        difficulty = self._difficulty
        zoomed_out = np.exp(1.5 * difficulty.zoom)
        return self._half * (zoomed_out + 1.5 * difficulty.pan) + difficulty.shake

    def _next_knot(self, previous: Knot | None) -> Knot:
        difficulty, rng = self._difficulty, self._rng
        quick = rng.random() < difficulty.whips and previous is not None and previous.time > 0  # begin calmly
        pause = rng.uniform(2, 4) if quick else rng.uniform(20, 45)
        limits = np.array([*(difficulty.pan * self._half), difficulty.zoom])
        value = rng.uniform(-limits, limits)
        return Knot(-pause if previous is None else previous.time + pause, value)
