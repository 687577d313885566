import numpy as np
from scipy.optimize import linear_sum_assignment

EPS = np.finfo(np.float64).eps
"""By how much an overlap may miss a threshold and still reach it, as in the official code of the benchmarks."""

Matching = tuple[np.ndarray, np.ndarray]
"""Rows and columns of pairs, int64 (K,) each, ordered by row."""


def match_overlap(iou: np.ndarray, least: float = 0.5) -> Matching:
    """The one-to-one matching with the greatest sum of overlap.

    Args:
        iou: Overlap of every row with every column, float64 (N, M), in [0, 1].
        least: Pairs below it are never matched.
    """
    return assign(np.where(iou >= least - EPS, iou, 0.0))


def match_pairs(iou: np.ndarray, least: float = 0.5) -> Matching:
    """The one-to-one matching of the most pairs and, among those, with the greatest sum of overlap.

    It differs from :func:`match_overlap` where one good pair stands against two just above ``least``.

    Args:
        iou: Overlap of every row with every column, float64 (N, M), in [0, 1].
        least: Pairs below it are never matched.
    """
    return assign(np.where(iou >= least - EPS, min(iou.shape) + iou, 0.0))


def assign(gain: np.ndarray) -> Matching:
    """The one-to-one matching with the greatest total gain; only pairs with a gain above 0 are in it.

    Where no row and no column has more than one such pair there is nothing to decide, and nothing is solved. All other
    frames go to the solver whole, so that it breaks ties as the official code has them broken.

    Args:
        gain: At least 0, float64 (N, M).
    """
    rows, columns = where(gain > EPS)
    if len(rows) and (len(set(rows.tolist())) < len(rows) or len(set(columns.tolist())) < len(columns)):
        rows, columns = linear_sum_assignment(gain, maximize=True)
        chosen = gain[rows, columns] > EPS
        rows, columns = rows[chosen], columns[chosen]
    return rows, columns


def where(mask: np.ndarray) -> Matching:
    """Rows and columns of the true entries of a bool table (N, M), by row; several times as fast as ``np.nonzero``."""
    rows, columns = np.divmod(np.flatnonzero(mask), max(1, mask.shape[1]))
    return rows, columns
