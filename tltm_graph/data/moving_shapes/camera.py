from dataclasses import dataclass

import numpy as np

from tltm_graph.data.moving_shapes.bursts import Shake
from tltm_graph.data.moving_shapes.difficulty import Difficulty
from tltm_graph.data.moving_shapes.paths import Knot, Path
from tltm_graph.data.moving_shapes.timeline import Moment


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
