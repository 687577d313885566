from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from tltm_graph.data.simulated_motion.draws import logistic


class Scoring(Protocol):
    """How sure a detector says it is."""

    def of_objects(self, rng: np.random.Generator, logits: np.ndarray) -> np.ndarray:
        """Scores (S,) of objects that are found with these log-odds (S,)."""

    def of_nothing(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Scores (F,) of false positives."""


@dataclass(frozen=True)
class ConstantScores:
    """All scores are 1: those of files that have none."""

    def of_objects(self, rng: np.random.Generator, logits: np.ndarray) -> np.ndarray:
        return np.ones(len(logits))

    def of_nothing(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return np.ones(count)


@dataclass(frozen=True)
class InformativeScores:
    r"""Higher for what is easier to find: :math:`\sigma(a \ell - b + 0.7 \varepsilon)`.

    False positives get :math:`\sigma(1.2 \varepsilon)`.

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

    def of_objects(self, rng: np.random.Generator, logits: np.ndarray) -> np.ndarray:
        return logistic(self.slope * logits - self.offset + 0.7 * rng.normal(size=len(logits)))

    def of_nothing(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return logistic(1.2 * rng.normal(size=count))
