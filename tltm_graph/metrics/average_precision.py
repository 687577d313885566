from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Least IoUs of a match."""
RECALLS = np.linspace(0, 1, 101)
"""Where precision is sampled."""
AREAS = np.array([(0, 1e10), (0, 128.0**2), (128.0**2, 256.0**2), (256.0**2, 1e10)])
"""Least and largest mean area of all, small, medium and large tracks in pixels; both ends belong to the range."""
MAX_PREDICTIONS = (1, 10, 100)
"""Predictions of a video and class that count, the best first."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What became of the predictions of one video. A = 4 ranges of area, T = 10 thresholds.

    Args:
        labels: Class of each prediction, int64 (P,).
        scores: Its confidence, float64 (P,); falling within a class.
        ranks: Its place among those of its class, from 0, int64 (P,).
        found: Whether it found a true object that counts, bool (P, A, T).
        wrong: Whether it found nothing and counts, bool (P, A, T); neither is set for what is ignored.
        truth_labels: Class of each true object, int64 (G,).
        truth_counts: Whether it counts, bool (G, A).
    """

    labels: np.ndarray
    scores: np.ndarray
    ranks: np.ndarray
    found: np.ndarray
    wrong: np.ndarray
    truth_labels: np.ndarray
    truth_counts: np.ndarray


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """Precision and recall of each class. -1 where there is no true object that counts.

    Args:
        precision: At each of the :data:`RECALLS` with 100 predictions, float64 (T, 101, C, A).
        recall: Of all predictions that count, float64 (T, C, A, 3) with 1, 10 and 100 predictions.
    """

    precision: np.ndarray
    recall: np.ndarray


def match(iou: np.ndarray, truth_counts: np.ndarray, crowd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matches predictions, the most confident first, each to the free true object it overlaps most.

    It must overlap by at least the threshold; of equal overlaps the last wins. An object that does not count is taken
    only if none that counts can be; a crowd can be taken any number of times.

    Args:
        iou: Of predictions by falling score and true objects of one class, float64 (P, G).
        truth_counts: Whether a true object counts, bool (G, A).
        crowd: Whether it is a crowd, bool (G,).

    Returns:
        For each prediction, range of area and threshold, whether it took an object, and one that counts:
        two bool arrays (P, A, T).
    """
    num_areas = truth_counts.shape[1]
    taken = np.zeros((len(iou), num_areas, len(THRESHOLDS)), dtype=bool)
    counted = np.zeros_like(taken)
    used = np.zeros((num_areas, len(THRESHOLDS), iou.shape[1]), dtype=bool)
    near = iou >= THRESHOLDS[0]
    for p in near.any(axis=1).nonzero()[0]:
        candidates = near[p].nonzero()[0]
        candidates = candidates[np.argsort(iou[p, candidates], kind="stable")]  # the last one is the best
        counts = truth_counts[candidates].T[:, None]  # (A, 1, candidates)
        free = (iou[p, candidates] >= THRESHOLDS[:, None]) & (~used[..., candidates] | crowd[candidates])
        preference = np.where(free, np.arange(1, len(candidates) + 1) + len(candidates) * counts, 0)
        best = preference.argmax(axis=2)
        taken[p] = np.take_along_axis(free, best[..., None], axis=2)[..., 0]
        counted[p] = taken[p] & truth_counts.T[np.arange(num_areas)[:, None], candidates[best]]
        area, threshold = taken[p].nonzero()
        used[area, threshold, candidates[best[area, threshold]]] = True
    return taken, counted


def in_range(areas: np.ndarray) -> np.ndarray:
    """Which of the :data:`AREAS` a mean area belongs to, bool (N, A)."""
    return (areas[:, None] >= AREAS[:, 0]) & (areas[:, None] <= AREAS[:, 1])


def accumulate(videos: Sequence[Judgement], num_classes: int) -> PrecisionRecall:
    """Precision and recall over all videos; of equal scores, the earlier video and then the earlier row comes first."""
    precision = np.full((len(THRESHOLDS), len(RECALLS), num_classes, len(AREAS)), -1.0)
    recall = np.full((len(THRESHOLDS), num_classes, len(AREAS), len(MAX_PREDICTIONS)), -1.0)
    if not videos:
        return PrecisionRecall(precision, recall)
    labels, scores, ranks, found, wrong, truth_labels, truth_counts = (
        np.concatenate([getattr(video, name) for video in videos]) for name in Judgement.__dataclass_fields__
    )
    order = np.lexsort((-scores, labels))  # stable
    begins, ends = (np.searchsorted(labels[order], np.arange(num_classes), side=side) for side in ("left", "right"))
    for label in np.unique(truth_labels):
        rows = order[begins[label] : ends[label]]
        truths = truth_counts[truth_labels == label].sum(axis=0)  # (A,)
        for m, most in enumerate(MAX_PREDICTIONS):
            hits = found[rows[ranks[rows] < most]].sum(axis=0)  # (A, T)
            recall[:, label, :, m] = np.where(truths > 0, hits.T / np.maximum(truths, 1), -1.0)
        hits, misses = found[rows].cumsum(axis=0), wrong[rows].cumsum(axis=0)  # (P, A, T)
        exact = hits / (misses + hits + np.spacing(1))
        best_after = np.maximum.accumulate(exact[::-1], axis=0)[::-1]
        for a in truths.nonzero()[0]:
            for t in range(len(THRESHOLDS)):
                place = np.searchsorted(hits[:, a, t] / truths[a], RECALLS, side="left")
                reached = place < len(rows)
                precision[t, :, label, a] = 0.0
                precision[t, reached, label, a] = best_after[place[reached], a, t]
    return PrecisionRecall(precision, recall)
