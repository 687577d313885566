from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from tltm_graph.data.simulated_motion.draws import logistic


class Scoring(Protocol):
    """How sure a detector says it is."""

    def __call__(self, rng: np.random.Generator, logits: np.ndarray) -> np.ndarray:
        """Scores (S,) of what it holds for an object with these log-odds (S,)."""


@dataclass(frozen=True)
class ConstantScores:
    """All scores are 1: those of files that have none."""

    def __call__(self, rng: np.random.Generator, logits: np.ndarray) -> np.ndarray:
        return np.ones(len(logits))


@dataclass(frozen=True)
class InformativeScores:
    r"""Higher for what is easier to find: :math:`\sigma(a \ell - b + 0.7 \varepsilon)`.

    Args:
        slope: :math:`a`.
        offset: :math:`b`.
    """

    slope: float
    offset: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """One at random."""
        return cls(slope=rng.uniform(0.5, 1.2), offset=rng.uniform(-1, 2))

    def __call__(self, rng: np.random.Generator, logits: np.ndarray) -> np.ndarray:
        return logistic(self.slope * logits - self.offset + 0.7 * rng.normal(size=len(logits)))
