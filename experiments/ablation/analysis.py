"""Means, standard errors, and differences between rows, taken pair by pair before they are averaged."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.ablation.results import Result


@dataclass(frozen=True)
class Mean:
    """Mean and its standard error.

    Args:
        value: The mean, NaN of no values.
        error: Its standard error, NaN of fewer than two values.
        count: Number of values.
    """

    value: float
    error: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """Compute the mean of values, ignoring NaN."""
        numbers = np.array([value for value in values if not math.isnan(value)])
        error = float(numbers.std(ddof=1) / math.sqrt(len(numbers))) if len(numbers) > 1 else math.nan
        return cls(float(numbers.mean()) if len(numbers) else math.nan, error, len(numbers))

    @property
    def is_significant(self) -> bool:
        """True if the mean is more than two standard errors away from 0; False without an error."""
        return abs(self.value) > 2 * self.error


@dataclass(frozen=True)
class Difference:
    """Difference between two rows in one metric, positive if the first is better.

    Args:
        seeds: Mean over the seeds of the difference in the score of all scenes together.
        scenes: Mean over the scenes of the difference in the score of one scene, which is a mean over the seeds. The
            two means differ: the score of all scenes together is not the mean of theirs.
    """

    seeds: Mean
    scenes: Mean


def mean_of(results: Mapping[int, Result], metric: str) -> Mean:
    """Compute the mean of a metric over the seeds."""
    return Mean.of([result.scores.overall[metric] for result in results.values()])


def difference(results: Mapping[int, Result], reference: Mapping[int, Result], metric: str) -> Difference:
    """Compute the difference ``results`` − ``reference`` on the seeds and scenes that both have."""
    seeds = sorted(results.keys() & reference.keys())
    overall = [results[s].scores.overall[metric] - reference[s].scores.overall[metric] for s in seeds]
    by_scene: dict[str, list[float]] = {}
    for seed in seeds:
        scenes, reference_scenes = results[seed].scores.scenes, reference[seed].scores.scenes
        for name in scenes.keys() & reference_scenes.keys():
            by_scene.setdefault(name, []).append(scenes[name][metric] - reference_scenes[name][metric])
    return Difference(Mean.of(overall), Mean.of([Mean.of(by_scene[name]).value for name in sorted(by_scene)]))
