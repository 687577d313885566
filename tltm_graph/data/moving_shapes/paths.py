from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


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
