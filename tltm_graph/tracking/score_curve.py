"""Calibration of detection scores on the stream itself: how likely a detection of a score shows an object."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import logit
from torch import Tensor, from_numpy

UNKNOWN = -1.0
"""Score of a detection of unknown confidence, as in files of MOTChallenge."""

_WAIT = 10.0  # frames over which a new track is followed
_NUM_SEEN, _NUM_BIRTHS = 500, 300  # latest scores and births that are kept
_PRIOR = (np.arange(10) + 0.5) / 10  # scores of the prior; a track of score s is expected to live with probability s
_PRIOR_WEIGHT = 2.0  # births that each of them counts for
_LASTING = 0.9  # share of frames in which an object is detected, for the prior
_LASTING_WEIGHT = 2.0  # scores that it counts for
_ASSUMED = 0.8  # score, and probability, of detections whose score says nothing


@dataclass(frozen=True, eq=False)
class ScoreCurve:
    """Estimate of the probability that a detection of a score shows an object, from what new tracks became.

    What is an object is detected again. So the share of the next ten frames in which tracks that began with a score are
    observed, relative to that of the highest scores, estimates the share of true detections among those of this score.
    The estimate is monotone in the score. Until enough tracks have begun, it is close to the score itself.

    Scores outside [0, 1], such as logits, are replaced by their rank among the latest of the stream. Equal scores of
    all detections, and scores of -1, say nothing: such detections show an object with a probability of 0.8.

    Args:
        seen: Latest scores, without those of -1 (S,).
        births: First score, in [0, 1], of the latest new tracks, and the share of the next frames that observed them
            (B, 2).
        pending: Id, time, first score and number of later observations of tracks that are still followed (P, 4).
    """

    seen: np.ndarray
    births: np.ndarray
    pending: np.ndarray

    @classmethod
    def empty(cls) -> Self:
        """Curve before the first detection."""
        return cls(np.zeros(0), np.zeros((0, 2)), np.zeros((0, 4)))

    def observe(self, scores: np.ndarray) -> Self:
        """Add the scores (N,) of all detections of a frame."""
        known = scores[scores != UNKNOWN].astype(np.float64)
        return replace(self, seen=np.concatenate([self.seen, known])[-_NUM_SEEN:]) if len(known) else self

    def follow(self, time: float, observed: np.ndarray, born: np.ndarray, scores: np.ndarray) -> Self:
        """Note which tracks a frame observed, and those that began with it.

        Args:
            time: Time of the frame, in frames of the video's pace.
            observed: Ids of the observed tracks.
            born: Ids of the new tracks (B,).
            scores: Their detection scores (B,).
        """
        pending, births = self.pending, self.births
        if len(pending):
            pending = pending.copy()
            pending[:, 3] += np.isin(pending[:, 0], observed)
            over = pending[:, 1] + _WAIT <= time
            if over.any():
                ended = np.stack([pending[over, 2], np.minimum(pending[over, 3] / _WAIT, 1)], axis=1)
                births = np.concatenate([births, ended])[-_NUM_BIRTHS:]
                pending = pending[~over]
        if len(born):
            started = np.stack([born, np.full(len(born), time), self.nominal(scores), np.zeros(len(born))], axis=1)
            pending = np.concatenate([pending, started])
        return replace(self, births=births, pending=pending)

    def nominal(self, scores: np.ndarray) -> np.ndarray:
        """Bring scores (N,) of any scale to [0, 1]; those that are there already stay as they are. Keeps the type."""
        low, high = self._span
        if low >= 0 and high <= 1:
            values = scores
        else:
            values = (self._ordered.searchsorted(scores) + self._ordered.searchsorted(scores, "right")) / (
                2 * len(self._ordered)
            )
        return np.where(self._silent(scores), _ASSUMED, values).clip(0, 1).astype(scores.dtype)

    def probability(self, scores: np.ndarray) -> np.ndarray:
        """Estimate the probability that detections of these scores (N,) show an object."""
        return np.where(self._silent(scores), _ASSUMED, np.interp(self.nominal(scores), *self._points))

    def log_odds(self, scores: np.ndarray) -> np.ndarray:
        """Log-odds that detections of these scores (N,) show an object: the mean of the curve's and of the score's.

        The curve takes what is detected persistently but is no object for one; the detector's own word corrects it.
        """
        words = np.stack([self.probability(scores), self.nominal(scores)])
        return logit(words.clip(0.01, 0.99)).mean(axis=0).astype(scores.dtype)

    def _silent(self, scores: np.ndarray) -> np.ndarray:
        """Find the scores that say nothing (N,), bool: unknown ones, and all if the detector always gives the same."""
        low, high = self._span
        return (scores == UNKNOWN) | (low == high and len(self.seen) > 1)

    @cached_property
    def _span(self) -> tuple[float, float]:
        return (float(self.seen.min()), float(self.seen.max())) if len(self.seen) else (0.0, 1.0)

    @cached_property
    def _ordered(self) -> np.ndarray:
        return np.sort(self.seen)

    @cached_property
    def _points(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners of the curve: nominal scores, increasing, and probabilities."""
        scores = np.concatenate([_PRIOR, self.births[:, 0]])
        lived = np.concatenate([_LASTING * _PRIOR, self.births[:, 1]])
        weights = np.ones(len(scores))
        weights[: len(_PRIOR)] = _PRIOR_WEIGHT
        order = np.argsort(scores, kind="stable")
        scores, lived = scores[order], isotonic_regression(lived[order], weights=weights[order]).x
        usual = np.sort(self.nominal(self.seen)) if len(self.seen) else np.array([_ASSUMED])
        best = np.interp(usual[len(usual) * 3 // 4 :], scores, lived)
        lasting = (best.sum() + _LASTING_WEIGHT * _LASTING) / (len(best) + _LASTING_WEIGHT)
        return scores, np.minimum(lived / lasting, 1)

    def tensors(self) -> dict[str, Tensor]:
        """Name all tensors, for a file; :meth:`from_tensors` is the inverse."""
        return {name: from_numpy(value) for name, value in vars(self).items() if not name.startswith("_")}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Restore a curve from :meth:`tensors`; without any, an empty one."""
        return replace(cls.empty(), **{name: value.double().numpy() for name, value in tensors.items()})
