from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class DavisStatistics(NamedTuple):
    """What DAVIS tells of an object's values over the frames of a video.

    Args:
        mean: Over the frames.
        recall: Share of the frames with a value above 0.5.
        decay: Mean over the first quarter minus mean over the last; below 0 if it gets better.
    """

    mean: float
    recall: float
    decay: float


def davis_statistics(values: np.ndarray) -> DavisStatistics:
    """Mean, recall and decay of values (T,), as the official code defines them; all NaN without frames.

    Frames fall into four bins with the limits round(linspace(1, T, 5)) - 1; a limit belongs to both bins beside it, and
    halves are rounded up. NaN counts as not above 0.5 and is left out of means. The official code keeps limits in
    8 bits, so its decay is wrong from 257 frames on; this one is not.

    Source: "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation" (Perazzi et al. 2016) and its
    code for DAVIS 2017.
    """
    if len(values) == 0:
        return DavisStatistics(np.nan, np.nan, np.nan)
    limits = (np.round(np.linspace(1, len(values), 5) + 1e-10) - 1).astype(np.int64)  # 1e-10: round is half to even
    first, last = values[: limits[1] + 1], values[limits[3] :]
    return DavisStatistics(_mean(values), float(np.mean(values > 0.5)), _mean(first) - _mean(last))


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


@dataclass(frozen=True)
class RegionBoundaryScores:
    """The six numbers of a DAVIS table, and the one that methods are ranked by; NaN where nothing was scored.

    Args:
        J_mean: Region similarity, in [0, 1].
        J_recall: Share of frames with J above 0.5.
        J_decay: Loss of J from the first to the last quarter of a video.
        F_mean: The same of the boundary measure.
        F_recall: The same of the boundary measure.
        F_decay: The same of the boundary measure.

    Attributes:
        JF_mean: Mean of ``J_mean`` and ``F_mean``, "J&F".
    """

    J_mean: float
    J_recall: float
    J_decay: float
    F_mean: float
    F_recall: float
    F_decay: float
    JF_mean: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "JF_mean", (self.J_mean + self.F_mean) / 2)


@dataclass(frozen=True, eq=False)
class DavisObjectScores(RegionBoundaryScores):
    """How well one object of one video was segmented.

    Args:
        J: Region similarity in each scored frame, float64 (T,).
        F: Boundary measure in each scored frame, float64 (T,).
        predicted_id: Id of the prediction that was compared with it, None if there was none to compare.
        num_shown: Scored frames in which the truth shows the object. In the others it is right to predict nothing, and
            gives J = F = 1.
    """

    J: np.ndarray
    F: np.ndarray
    predicted_id: int | None
    num_shown: int


@dataclass(frozen=True, eq=False)
class DavisScores(RegionBoundaryScores):
    """The scores of a data set: means over all objects of all videos, each object counting the same.

    Args:
        per_object: Scores of each object, by video and id.
        left_out: By video, true objects that do not count because the first frame has no id as high as theirs.
        not_scored: Videos without an object or without a frame to score; they are in no mean.
        never_shown: Objects that count although no scored frame shows them, by video and id: ids below the highest of
            the first frame that the truth does not use, or that it shows in frames that are not scored. Predicting
            nothing gives them 1 in every frame, as in the official code.
    """

    per_object: dict[tuple[str, int], DavisObjectScores]
    left_out: dict[str, tuple[int, ...]]
    not_scored: tuple[str, ...]
    never_shown: tuple[tuple[str, int], ...]

    def per_video(self) -> dict[str, RegionBoundaryScores]:
        """Means over the objects of each video that has some."""
        by_video: dict[str, list[DavisObjectScores]] = {}
        for (video, _), scores in self.per_object.items():
            by_video.setdefault(video, []).append(scores)
        return {video: RegionBoundaryScores(*mean_scores(scores)) for video, scores in by_video.items()}


def mean_scores(scores: Iterable[RegionBoundaryScores]) -> tuple[float, float, float, float, float, float]:
    """The means of the six numbers, in the order of :class:`RegionBoundaryScores`; NaN of nothing."""
    rows = [(s.J_mean, s.J_recall, s.J_decay, s.F_mean, s.F_recall, s.F_decay) for s in scores]
    if not rows:
        return (np.nan,) * 6
    j_mean, j_recall, j_decay, f_mean, f_recall, f_decay = np.mean(rows, axis=0).tolist()
    return j_mean, j_recall, j_decay, f_mean, f_recall, f_decay
