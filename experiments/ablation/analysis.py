"""Means, standard errors, and differences between rows, taken pair by pair before they are averaged."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.ablation.results import Result


@dataclass(frozen=True)
class Mean:
    """A mean and its standard error.

    Args:
        value: The mean, NaN of nothing.
        error: Its standard error, NaN of fewer than two values.
        count: How many values.
    """

    value: float
    error: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """The mean of what is a number."""
        known = np.array([value for value in values if not math.isnan(value)])
        error = float(known.std(ddof=1) / math.sqrt(len(known))) if len(known) > 1 else math.nan
        return cls(float(known.mean()) if len(known) else math.nan, error, len(known))

    @property
    def is_beyond(self) -> bool:
        """Whether it is more than two standard errors away from 0. Equal values have no error: any but 0 is beyond."""
        return abs(self.value) > 2 * self.error


@dataclass(frozen=True)
class Difference:
    """How much better one row is than another, in one metric.

    Args:
        seeds: Mean of the overall scores' differences, seed by seed.
        scenes: Mean of the single scenes' differences, scene by scene, each a mean over the seeds. Not the same number:
            a score of all scenes together is not the mean of theirs.
    """

    seeds: Mean
    scenes: Mean

    @property
    def verdict(self) -> str:
        """Beyond two standard errors over what: "seeds and scenes", "seeds", "scenes" or "neither"; "mixed" if both,
        but in different directions."""
        beyond = [name for name in ("seeds", "scenes") if getattr(self, name).is_beyond]
        if len(beyond) == 2 and self.seeds.value * self.scenes.value < 0:
            return "mixed"
        return " and ".join(beyond) or "neither"


def mean_of(results: Mapping[int, Result], metric: str) -> Mean:
    """Mean over the seeds."""
    return Mean.of([result.scores.overall[metric] for result in results.values()])


def difference(results: Mapping[int, Result], reference: Mapping[int, Result], metric: str) -> Difference:
    """How much better ``results`` are, on the seeds and scenes that both have."""
    seeds = sorted(results.keys() & reference.keys())
    overall = [results[s].scores.overall[metric] - reference[s].scores.overall[metric] for s in seeds]
    by_scene: dict[str, list[float]] = {}
    for seed in seeds:
        ours, theirs = results[seed].scores.scenes, reference[seed].scores.scenes
        for name in ours.keys() & theirs.keys():
            by_scene.setdefault(name, []).append(ours[name][metric] - theirs[name][metric])
    return Difference(Mean.of(overall), Mean.of([Mean.of(by_scene[name]).value for name in sorted(by_scene)]))
