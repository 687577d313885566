from dataclasses import dataclass

import numpy as np

from tltm_graph.data.moving_shapes.bursts import Burst, draw_burst
from tltm_graph.data.moving_shapes.difficulty import Difficulty

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
