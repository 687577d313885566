"""Boxes that belong to more than one object, to a part of one, or to one that has a box already."""

from dataclasses import replace

import numpy as np
from scipy.stats import beta, norm

from tltm_graph.data.simulated_motion.boxes import displace, overlapping_iou
from tltm_graph.data.simulated_motion.found import FALSE, Found
from tltm_graph.data.simulated_motion.processes import ornstein_uhlenbeck


def merge_overlapping(rng: np.random.Generator, found: Found, probability: float, memory: float) -> Found:
    """Two boxes of objects that overlap with an IoU above 0.25 become one, for a few frames in a row.

    In three of ten cases that is the box around both, otherwise one in between, mostly near to one of them. It keeps
    the id of the nearer one; :func:`reidentified` tells what it shows.

    Args:
        rng: Of everything.
        found: Detections of objects.
        probability: That two that overlap are one in a frame.
        memory: How long it goes on, in frames.
    """
    one, other, iou = overlapping_iou(found.frames, found.boxes)
    close = iou > 0.25
    one, other = one[close], other[close]
    ids = np.sort(np.stack([found.ids[one], found.ids[other]]), axis=0)
    _, pair = np.unique(ids[0] * (found.ids.max(initial=0) + 1) + ids[1], return_inverse=True)
    shape = int(found.frames.max(initial=-1)) + 1, int(pair.max(initial=-1)) + 1
    rank, around, nearness = (
        norm.cdf(ornstein_uhlenbeck(rng, shape, memory, 1.0))[found.frames[one], pair] for _ in range(3)
    )
    flipped = found.ids[one] > found.ids[other]
    weights = beta.ppf(np.where(flipped, 1 - nearness, nearness), 0.7, 0.7)
    boxes, kept_ids, left = found.boxes.copy(), found.ids.copy(), np.ones(len(found), dtype=bool)
    for row in np.flatnonzero(rank < probability).tolist():
        kept, lost, weight = one[row], other[row], weights[row]
        if not (left[kept] and left[lost]):
            continue  # an earlier pair has taken one of them
        left[lost] = False
        kept_ids[kept] = found.ids[kept if weight > 0.5 else lost]
        if around[row] < 0.3:
            np.minimum(boxes[kept, :2], boxes[lost, :2], out=boxes[kept, :2])
            np.maximum(boxes[kept, 2:], boxes[lost, 2:], out=boxes[kept, 2:])
        else:
            boxes[kept] = weight * boxes[kept] + (1 - weight) * boxes[lost]
    return replace(found, boxes=boxes, ids=kept_ids).take(left)


def partial_boxes(rng: np.random.Generator, found: Found, probability: float, memory: float) -> Found:
    """Boxes around 40 to 70 of 100 of the width and height of some of the others, with half of their score or more.

    Those of an object come for a few frames in a row, around much the same part of it; see :func:`merge_overlapping`.
    """
    rank, *where = _drawn(rng, found, memory, 5)
    chosen = rank < probability
    parts = found.take(chosen)
    begin, share = (np.stack(pair, axis=1)[chosen] for pair in (where[:2], where[2:]))
    sizes = parts.boxes[:, 2:] - parts.boxes[:, :2]
    begin, end = 0.5 * begin, np.minimum(0.5 * begin + 0.4 + 0.3 * share, 1.1)
    boxes = np.concatenate([parts.boxes[:, :2] + begin * sizes, parts.boxes[:, :2] + end * sizes], axis=1)
    return _false(parts, boxes, rng.uniform(0.5, 1, len(parts)))


def duplicates(rng: np.random.Generator, found: Found, probability: float, memory: float) -> Found:
    """Second boxes of some of the others, a fifth of a box away, with 0.4 of their score or more.

    Those of an object come for a few frames in a row, in much the same place; see :func:`merge_overlapping`.
    """
    rank, *away = _drawn(rng, found, memory, 5)
    chosen = rank < probability
    copies = found.take(chosen)
    boxes = displace(copies.boxes, 0.2 * norm.ppf(np.stack(away, axis=1)[chosen]))
    return _false(copies, boxes, rng.uniform(0.4, 1, len(copies)))


def _drawn(rng: np.random.Generator, found: Found, memory: float, count: int) -> list[np.ndarray]:
    """So many numbers from 0 to 1 for each detection (R,), which change slowly for those of one id."""
    shape = int(found.frames.max(initial=-1)) + 1, int(found.ids.max(initial=-1)) + 1
    return [norm.cdf(ornstein_uhlenbeck(rng, shape, memory, 1.0))[found.frames, found.ids] for _ in range(count)]


def _false(found: Found, boxes: np.ndarray, sureness: np.ndarray) -> Found:
    return Found(found.frames, boxes, found.scores * sureness, found.labels, np.full(len(found), FALSE))
