"""Boxes of many frames in one array: moved, compared with those of the same frame, thinned out."""

import numpy as np


def areas(boxes: np.ndarray) -> np.ndarray:
    """Square pixels of boxes (…, 4); 0 of those turned inside out."""
    return np.maximum(boxes[..., 2:] - boxes[..., :2], 0).prod(axis=-1)


def intersections(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Square pixels that boxes (…, 4) share with others (…, 4), one with one."""
    begin, end = np.maximum(boxes[..., :2], others[..., :2]), np.minimum(boxes[..., 2:], others[..., 2:])
    return areas(np.concatenate([begin, end], axis=-1))


def stretch(boxes: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) with each side moved by so many boxes (N, 4), but never past where a third of it is left."""
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return boxes + np.clip(amounts, -1 / 3, 1 / 3) * size


def displace(boxes: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Boxes (R, 4) with other centres and sizes.

    Args:
        boxes: Corners (R, 4).
        by: What is added to x and y of the centre, in boxes, and to log width and log height (R, 4).
    """
    sizes = boxes[:, 2:] - boxes[:, :2]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 + sizes * by[:, :2]
    half = sizes * np.exp(by[:, 2:]) / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def overlapping_pairs(frames: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each two boxes of the same frame that overlap, once: rows of one (P,), rows of the other (P,), shared area (P,).

    A sweep from left to right over all frames at once: only boxes that share a column are looked at.

    Args:
        frames: Frame of each box (R,).
        boxes: Corners (R, 4).
    """
    if len(boxes) == 0:
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0)
    width = boxes[:, 2].max() - boxes[:, 0].min() + 1
    left, right = boxes[:, 0] + frames * width, boxes[:, 2] + frames * width  # frames side by side
    order = np.argsort(left, kind="stable")
    reach = np.searchsorted(left[order], right[order], side="left")  # begins before this box ends: order[:reach]
    count = np.maximum(reach - np.arange(len(order)) - 1, 0)
    one = np.repeat(np.arange(len(order)), count)
    other = one + 1 + np.arange(len(one)) - np.repeat(np.cumsum(count) - count, count)
    one, other = order[one], order[other]
    shared = intersections(boxes[one], boxes[other])
    overlap = shared > 0
    return one[overlap], other[overlap], shared[overlap]


def overlapping_iou(frames: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As :func:`overlapping_pairs`, with intersection over union instead of the shared area."""
    one, other, shared = overlapping_pairs(frames, boxes)
    area = areas(boxes)
    return one, other, shared / (area[one] + area[other] - shared)


def non_maximum_suppression(frames: np.ndarray, boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Which boxes are kept, bool (R,): from the highest score down, those that overlap no kept one too much.

    As :func:`torchvision.ops.batched_nms`, with all frames at once. Of equal scores the first row wins.

    Args:
        frames: Frame of each box (R,).
        boxes: Corners (R, 4).
        scores: (R,).
        threshold: Greatest IoU with a kept box.
    """
    one, other, iou = overlapping_iou(frames, boxes)
    rank = np.empty(len(boxes), dtype=int)
    rank[np.argsort(-scores, kind="stable")] = np.arange(len(boxes))
    ranks = np.sort(np.stack([rank[one], rank[other]])[:, iou > threshold], axis=0)  # (winner, loser)
    kept = [True] * len(boxes)  # by rank
    for winner, loser in ranks[:, np.argsort(ranks[0], kind="stable")].T.tolist():
        kept[loser] &= not kept[winner]  # whether the winner is kept was settled before
    return np.array(kept, dtype=bool)[rank]
