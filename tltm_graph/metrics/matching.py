from collections.abc import Iterable, Iterator, Sequence
from itertools import count

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from tltm_graph.metrics.overlap import On, pairwise_iou, share_within
from tltm_graph.structures import Detections, Observation, Tracks
from tltm_graph.structures.tracks import observations_of

EPS = np.finfo(np.float64).eps
"""Tolerance of IoU thresholds, as in the official codes: an IoU this much below the threshold still passes."""

Matching = tuple[np.ndarray, np.ndarray]
"""Rows and columns of the matched pairs, int64 (K,) each, ordered by row."""

_MIN_REGION_SHARE = 0.5  # a detection is ignored if more of it lies on a region that is not scored
_MIN_REPEATED_IOU = 0.5  # of two false positives in consecutive frames with one id


def match_overlap(iou: np.ndarray, min_iou: float = 0.5) -> Matching:
    """Find the one-to-one matching with the greatest sum of IoU.

    Args:
        iou: IoU of each row with each column, float64 (N, M), in [0, 1].
        min_iou: Smallest IoU of a pair.
    """
    return assign(np.where(iou >= min_iou - EPS, iou, 0.0))


def match_pairs(iou: np.ndarray, min_iou: float = 0.5) -> Matching:
    """Find the one-to-one matching with the most pairs and, among those, the greatest sum of IoU.

    It differs from :func:`match_overlap` where one good pair excludes two pairs just above ``min_iou``.

    Args:
        iou: IoU of each row with each column, float64 (N, M), in [0, 1].
        min_iou: Smallest IoU of a pair.
    """
    return assign(np.where(iou >= min_iou - EPS, min(iou.shape) + iou, 0.0))


def assign(gain: np.ndarray) -> Matching:
    """Find the one-to-one matching with the greatest total gain, of pairs with a gain above 0.

    If no row and no column has two such pairs, all of them are matched without the solver. Otherwise the solver gets
    the whole matrix, so that it breaks ties like the official codes.

    Args:
        gain: Gain of each pair, at least 0, float64 (N, M).
    """
    rows, columns = nonzero(gain > EPS)
    if len(rows) and (len(set(rows.tolist())) < len(rows) or len(set(columns.tolist())) < len(columns)):
        rows, columns = linear_sum_assignment(gain, maximize=True)
        positive = gain[rows, columns] > EPS
        rows, columns = rows[positive], columns[positive]
    return rows, columns


def nonzero(mask: np.ndarray) -> Matching:
    """Return rows and columns of the true entries of a bool matrix (N, M), by row; much faster than ``np.nonzero``."""
    rows, columns = np.divmod(np.flatnonzero(mask), max(1, mask.shape[1]))
    return rows, columns


def match_to_ground_truth(
    detections: Iterable[Detections],
    truth: Tracks,
    min_iou: float = 0.5,
    max_false_positive_iou: float = 0.3,
    duplicates_are_false_positives: bool = True,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Match the detections of a video to the true objects, frame by frame.

    Each detection gets one of three labels:

    - *true positive* (1): it is matched to a true object. The matching is one-to-one, of pairs with an IoU of at least
      ``min_iou``, with the greatest sum of IoU in the frame. The detection gets the id of the object.
    - *false positive* (0): its IoU with every true object is below ``max_false_positive_iou``, or it is a duplicate. A
      duplicate is unmatched, and the object it overlaps most is matched to another detection. False positives are
      matched from frame to frame in the same way, with an IoU of at least 0.5. Each match keeps its id, all others get
      a new one.
    - *ignore* (-1): all other detections, with id -1. These are poor detections of objects without a good one, and
      unmatched detections of which more than half lies on a region that is not scored. Such a region is a true
      observation with ``crowd`` or, as in MOTChallenge, with score 0; it takes no part in the matching.

    Masks are compared in frames where all objects of both sides have one, otherwise boxes. Classes are not compared. A
    frame without true objects is a frame without objects: all its detections are false positives.

    Args:
        detections: Detections of each frame, from the first frame on. Iterated once, one frame at a time.
        truth: True tracks.
        min_iou: Smallest IoU of a match, in [0, 1].
        max_false_positive_iou: IoU with true objects below which a detection is a false positive, in [0, ``min_iou``].
            With 0 there are no false positives and no duplicates, for truth in which objects are missing.
        duplicates_are_false_positives: Label duplicates as false positives. If False they are labelled "ignore", for
            models that learn appearance.

    Yields:
        For each frame the ids, int64 (N,), and the labels, int8 (N,). Ids of false positives start above the greatest
        true id.

    Raises:
        ValueError: If not 0 <= ``max_false_positive_iou`` <= ``min_iou`` <= 1, if there are more frames than in the
            truth, or if masks differ in size.
    """
    if not 0 <= max_false_positive_iou <= min_iou <= 1:
        raise ValueError(
            "Expected 0 <= max_false_positive_iou <= min_iou <= 1, got "
            f"max_false_positive_iou={max_false_positive_iou} and min_iou={min_iou}"
        )
    new_ids, true_frames = count(1 + max(truth, default=-1)), truth.observations()
    false_positives: list[Observation] = []  # of the previous frame
    for index, frame in enumerate(detections):
        _, true_rows = next(true_frames, (index, None))
        if true_rows is None:
            raise ValueError(
                f"Expected detections of the {truth.num_frames} frames of the truth, got more: check that both are of "
                "the same video and count frames alike"
            )
        rows = observations_of(index, frame.replace(ids=torch.arange(len(frame))))
        ids, labels = _match_frame(rows, true_rows, min_iou, max_false_positive_iou, duplicates_are_false_positives)
        false_positives = _with_ids(false_positives, [row for row in rows if labels[row.id] == 0], new_ids)
        ids[labels == 0] = [row.id for row in false_positives]
        yield torch.from_numpy(ids), torch.from_numpy(labels)


def _match_frame(
    rows: list[Observation],
    true_rows: list[Observation],
    min_iou: float,
    max_false_positive_iou: float,
    duplicates_are_false_positives: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return ids (N,), -1 for false positives too, and labels (N,)."""
    regions = [row for row in true_rows if row.crowd or row.score == 0]
    objects = [row for row in true_rows if not (row.crowd or row.score == 0)]
    iou = pairwise_iou(objects, rows, _common_shape(objects, rows))  # (G, N)
    ids, labels = np.full(len(rows), -1), np.full(len(rows), -1, dtype=np.int8)
    matched_objects, matched = match_overlap(iou, min_iou)
    labels[iou.max(axis=0, initial=0) < max_false_positive_iou] = 0
    if duplicates_are_false_positives and max_false_positive_iou > 0 and objects:
        is_matched = np.isin(np.arange(len(objects)), matched_objects)
        labels[is_matched[iou.argmax(axis=0)] & (iou.max(axis=0) > 0)] = 0
    on_regions = share_within(rows, regions, _common_shape(rows, regions)).max(axis=1, initial=0)
    labels[on_regions > _MIN_REGION_SHARE] = -1
    ids[matched] = np.array([row.id for row in objects], dtype=np.int64)[matched_objects]
    labels[matched] = 1
    return ids, labels


def _with_ids(previous: list[Observation], current: list[Observation], new_ids: Iterator[int]) -> list[Observation]:
    """Give each current false positive the id of its match in the previous frame, or a new one."""
    iou = pairwise_iou(previous, current, _common_shape(previous, current))
    pairs = zip(*match_overlap(iou, _MIN_REPEATED_IOU), strict=True)
    kept_ids = {column: previous[row].id for row, column in pairs}
    return [row._replace(id=kept_ids[i] if i in kept_ids else next(new_ids)) for i, row in enumerate(current)]


def _common_shape(rows: Sequence[Observation], others: Sequence[Observation]) -> On:
    return "boxes" if any(row.mask is None for row in (*rows, *others)) else "masks"
