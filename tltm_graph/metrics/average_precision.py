import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""IoU thresholds of a match."""
RECALLS = np.linspace(0, 1, 101)
"""Recalls at which precision is sampled."""
AREAS = np.array([(0, 1e10), (0, 128.0**2), (128.0**2, 256.0**2), (256.0**2, 1e10)])
"""Range of the mean area of all, small, medium and large tracks, in pixels, both ends included."""
MAX_PREDICTIONS = (1, 10, 100)
"""Numbers of predictions of a video and class that are scored, the most confident first."""

_ALL, _SMALL, _MEDIUM, _LARGE = range(len(AREAS))
_AT_50, _AT_75 = 0, 5  # indices of the thresholds 0.5 and 0.75


@dataclass(frozen=True, eq=False)
class VideoMatches:
    """Matches of the predictions of one video, for A = 4 ranges of area and T = 10 thresholds.

    Args:
        labels: Class of each prediction, int64 (P,).
        scores: Confidence of each prediction, float64 (P,), descending within a class.
        ranks: Index of each prediction within its class, int64 (P,).
        true_positive: Predictions matched to a scored true object, bool (P, A, T).
        false_positive: Scored predictions without a match, bool (P, A, T). Ignored predictions are neither.
        truth_labels: Class of each true object, int64 (G,).
        truth_scored: True objects that are scored, bool (G, A).
    """

    labels: np.ndarray
    scores: np.ndarray
    ranks: np.ndarray
    true_positive: np.ndarray
    false_positive: np.ndarray
    truth_labels: np.ndarray
    truth_scored: np.ndarray


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """Precision and recall of each of C classes; -1 without a scored true object.

    Args:
        precision: Precision at each of the :data:`RECALLS` with 100 predictions, float64 (T, 101, C, A).
        recall: Recall with 1, 10 and 100 predictions, float64 (T, C, A, 3).
    """

    precision: np.ndarray
    recall: np.ndarray


@dataclass(frozen=True)
class ClassAP:
    """Average precision and recall of one class, in [0, 1]; nan if the class has no true object.

    Args:
        AP: Average precision, averaged over the IoU thresholds 0.5, 0.55, …, 0.95.
        AP50: Average precision at IoU 0.5.
        AP75: Average precision at IoU 0.75.
        AR1: Recall with the best prediction of each video, averaged over the thresholds.
        AR10: Recall with the best 10.
        AR100: Recall with the best 100.
        truths: Number of true objects, without crowds.
        predictions: Number of predictions, including those beyond the best 100 of a video.
    """

    AP: float
    AP50: float
    AP75: float
    AR1: float
    AR10: float
    AR100: float
    truths: int
    predictions: int


@dataclass(frozen=True)
class VideoAPScores:
    """The twelve numbers of YouTube-VIS, in [0, 1]: means over the classes with a true object; nan without any.

    Args:
        AP: Average precision, averaged over the IoU thresholds 0.5, 0.55, …, 0.95.
        AP50: Average precision at IoU 0.5.
        AP75: Average precision at IoU 0.75.
        APs: Average precision of small objects, with a mean area of at most 128² pixels.
        APm: Average precision of medium objects, 128² to 256² pixels.
        APl: Average precision of large objects, at least 256² pixels.
        AR1: Recall with the best prediction of each video and class, averaged over the thresholds.
        AR10: Recall with the best 10.
        AR100: Recall with the best 100, the number that AP uses.
        ARs: AR100 of small objects.
        ARm: AR100 of medium objects.
        ARl: AR100 of large objects.
        per_class: Scores of each class by label, including those without a true object.
        ignored_classes: Number of predictions by label, for labels outside the classes. Nothing else counts them.
    """

    AP: float
    AP50: float
    AP75: float
    APs: float
    APm: float
    APl: float
    AR1: float
    AR10: float
    AR100: float
    ARs: float
    ARm: float
    ARl: float
    per_class: dict[int, ClassAP]
    ignored_classes: dict[int, int]

    def stats(self) -> np.ndarray:
        """Return the twelve numbers in the order above, float64 (12,), with -1 for nan like the official code."""
        numbers = np.array([getattr(self, name) for name in list(self.__dataclass_fields__)[:12]])
        return np.where(np.isnan(numbers), -1.0, numbers)


def match_predictions(iou: np.ndarray, truth_scored: np.ndarray, crowd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Match predictions, the most confident first, each to the free true object with the greatest IoU.

    The IoU must reach the threshold. Of equal IoUs the last wins. An object that is not scored is matched only if no
    scored one can be. A crowd can be matched any number of times.

    Args:
        iou: IoU of the predictions, by descending score, with the true objects of one class, float64 (P, G).
        truth_scored: True objects that are scored, bool (G, A).
        crowd: True objects that are a crowd, bool (G,).

    Returns:
        Two bool arrays (P, A, T): the predictions with a match, and those matched to a scored object.
    """
    num_areas = truth_scored.shape[1]
    matched = np.zeros((len(iou), num_areas, len(THRESHOLDS)), dtype=bool)
    matched_scored = np.zeros_like(matched)
    used = np.zeros((num_areas, len(THRESHOLDS), iou.shape[1]), dtype=bool)
    near = iou >= THRESHOLDS[0]
    for p in near.any(axis=1).nonzero()[0]:
        candidates = near[p].nonzero()[0]
        candidates = candidates[np.argsort(iou[p, candidates], kind="stable")]  # the last one is the best
        scored = truth_scored[candidates].T[:, None]  # (A, 1, candidates)
        free = (iou[p, candidates] >= THRESHOLDS[:, None]) & (~used[..., candidates] | crowd[candidates])
        preference = np.where(free, np.arange(1, len(candidates) + 1) + len(candidates) * scored, 0)
        best = preference.argmax(axis=2)
        matched[p] = np.take_along_axis(free, best[..., None], axis=2)[..., 0]
        matched_scored[p] = matched[p] & truth_scored.T[np.arange(num_areas)[:, None], candidates[best]]
        area, threshold = matched[p].nonzero()
        used[area, threshold, candidates[best[area, threshold]]] = True
    return matched, matched_scored


def in_range(areas: np.ndarray) -> np.ndarray:
    """Test which of the :data:`AREAS` each mean area is in, bool (N, A)."""
    return (areas[:, None] >= AREAS[:, 0]) & (areas[:, None] <= AREAS[:, 1])


def precision_recall(videos: Sequence[VideoMatches], num_classes: int) -> PrecisionRecall:
    """Compute precision and recall over all videos. Equal scores are ordered by video, then by row."""
    precision = np.full((len(THRESHOLDS), len(RECALLS), num_classes, len(AREAS)), -1.0)
    recall = np.full((len(THRESHOLDS), num_classes, len(AREAS), len(MAX_PREDICTIONS)), -1.0)
    if not videos:
        return PrecisionRecall(precision, recall)
    labels, scores, ranks, true_positive, false_positive, truth_labels, truth_scored = (
        np.concatenate([getattr(video, name) for video in videos]) for name in VideoMatches.__dataclass_fields__
    )
    order = np.lexsort((-scores, labels))  # stable
    starts, ends = (np.searchsorted(labels[order], np.arange(num_classes), side=side) for side in ("left", "right"))
    for label in np.unique(truth_labels):
        rows = order[starts[label] : ends[label]]
        truths = truth_scored[truth_labels == label].sum(axis=0)  # (A,)
        for m, max_predictions in enumerate(MAX_PREDICTIONS):
            hits = true_positive[rows[ranks[rows] < max_predictions]].sum(axis=0)  # (A, T)
            recall[:, label, :, m] = np.where(truths > 0, hits.T / np.maximum(truths, 1), -1.0)
        hits, misses = true_positive[rows].cumsum(axis=0), false_positive[rows].cumsum(axis=0)  # (P, A, T)
        exact = hits / (misses + hits + np.spacing(1))
        best_after = np.maximum.accumulate(exact[::-1], axis=0)[::-1]
        for a in truths.nonzero()[0]:
            for t in range(len(THRESHOLDS)):
                place = np.searchsorted(hits[:, a, t] / truths[a], RECALLS, side="left")
                reached = place < len(rows)
                precision[t, :, label, a] = 0.0
                precision[t, reached, label, a] = best_after[place[reached], a, t]
    return PrecisionRecall(precision, recall)


def video_ap_scores(
    curves: PrecisionRecall, truths: Mapping[int, int], predictions: Mapping[int, int]
) -> VideoAPScores:
    """Average precision and recall into the scores.

    Args:
        curves: Precision and recall of each class.
        truths: Number of true objects by label, without crowds. Labels without any may be missing.
        predictions: Number of predictions by label, including labels outside the classes.
    """
    precision, recall = curves.precision, curves.recall
    classes = range(precision.shape[2])
    return VideoAPScores(
        **_ap_and_ar(precision[..., _ALL], recall[:, :, _ALL]),
        APs=_mean(precision[..., _SMALL]),
        APm=_mean(precision[..., _MEDIUM]),
        APl=_mean(precision[..., _LARGE]),
        ARs=_mean(recall[:, :, _SMALL, 2]),
        ARm=_mean(recall[:, :, _MEDIUM, 2]),
        ARl=_mean(recall[:, :, _LARGE, 2]),
        per_class={
            label: ClassAP(
                **_ap_and_ar(precision[:, :, label, _ALL], recall[:, label, _ALL]),
                truths=truths.get(label, 0),
                predictions=predictions.get(label, 0),
            )
            for label in classes
        },
        ignored_classes={label: n for label, n in sorted(predictions.items()) if label not in classes},
    )


def _ap_and_ar(precision: np.ndarray, recall: np.ndarray) -> dict[str, float]:
    """Average precision (T, 101, …) and recall (T, …, 3)."""
    numbers = {"AP": precision, "AP50": precision[_AT_50], "AP75": precision[_AT_75]}
    numbers |= {f"AR{n}": recall[..., m] for m, n in enumerate(MAX_PREDICTIONS)}
    return {name: _mean(values) for name, values in numbers.items()}


def _mean(values: np.ndarray) -> float:
    values = values[values > -1]
    return float(values.mean()) if values.size else math.nan
