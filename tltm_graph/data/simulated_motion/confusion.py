"""Boxes that belong to more than one object, to a part of one, or to one that has a box already."""

import numpy as np

from tltm_graph.data.simulated_motion.boxes import displace, overlapping_iou
from tltm_graph.data.simulated_motion.found import FALSE, Found


def merge_overlapping(rng: np.random.Generator, found: Found, probability: float) -> Found:
    """Two boxes of objects that overlap with an IoU above 0.25 become one.

    In one of five cases that is the box around both, which is a false positive; otherwise one in between, mostly near
    to one of them, of which it then is a detection.
    """
    one, other, iou = overlapping_iou(found.frames, found.boxes)
    merged = (iou > 0.25) & (rng.random(len(iou)) < probability)
    pairs = np.stack([one, other], axis=1)[merged]
    union = rng.random(len(pairs)) < 0.2
    weights = rng.beta(0.7, 0.7, len(pairs))
    boxes, ids, left = found.boxes.copy(), found.ids.copy(), np.ones(len(found), dtype=bool)
    for (kept, lost), around, weight in zip(pairs.tolist(), union.tolist(), weights.tolist(), strict=True):
        if not (left[kept] and left[lost]) or FALSE in (ids[kept], ids[lost]):
            continue  # an earlier pair has taken one of them
        left[lost] = False
        if around:
            np.minimum(boxes[kept, :2], boxes[lost, :2], out=boxes[kept, :2])
            np.maximum(boxes[kept, 2:], boxes[lost, 2:], out=boxes[kept, 2:])
            ids[kept] = FALSE
        else:
            boxes[kept] = weight * boxes[kept] + (1 - weight) * boxes[lost]
            ids[kept] = ids[kept] if weight > 0.5 else ids[lost]
    return Found(found.frames, boxes, found.scores, found.labels, ids).take(left)


def partial_boxes(rng: np.random.Generator, found: Found, probability: float) -> Found:
    """Boxes around 40 to 70 of 100 of the width and height of some of the others, with half of their score or more."""
    parts = found.take(rng.random(len(found)) < probability)
    sizes = parts.boxes[:, 2:] - parts.boxes[:, :2]
    begin = rng.uniform(0, 0.5, sizes.shape)
    end = np.minimum(begin + rng.uniform(0.4, 0.7, sizes.shape), 1.1)
    boxes = np.concatenate([parts.boxes[:, :2] + begin * sizes, parts.boxes[:, :2] + end * sizes], axis=1)
    return _false(parts, boxes, rng.uniform(0.5, 1, len(parts)))


def duplicates(rng: np.random.Generator, found: Found, rate: float) -> Found:
    """So many more boxes for each of the others, on average, a fifth of a box away, with 0.4 of their score or more."""
    copies = found.take(np.repeat(np.arange(len(found)), rng.poisson(rate, len(found))))
    boxes = displace(copies.boxes, rng.normal(0, 0.2, copies.boxes.shape))
    return _false(copies, boxes, rng.uniform(0.4, 1, len(copies)))


def _false(found: Found, boxes: np.ndarray, sureness: np.ndarray) -> Found:
    return Found(found.frames, boxes, found.scores * sureness, found.labels, np.full(len(found), FALSE))
