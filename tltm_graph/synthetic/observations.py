"""Rows of boxes over all frames of a video: their overlaps, the visible objects, and the object of each detection."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np

from tltm_graph.synthetic.worlds import World

NO_OBJECT = -1
"""Id of a detection that shows no object and has no id of its own yet."""

_MATCH_IOU = 0.5  # of a detection and the object that it shows
_POOR_MATCH_IOU = 0.3  # of a poor detection and the object that it was made from


def areas(boxes: np.ndarray) -> np.ndarray:
    """Compute the areas of boxes (…, 4) in square pixels; inverted boxes have area 0."""
    return np.maximum(boxes[..., 2:] - boxes[..., :2], 0).prod(axis=-1)


def intersections(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute the shared areas of boxes (…, 4) and other boxes (…, 4), element by element."""
    begin, end = np.maximum(boxes[..., :2], others[..., :2]), np.minimum(boxes[..., 2:], others[..., 2:])
    return areas(np.concatenate([begin, end], axis=-1))


def overlapping_pairs(frames: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find all pairs of boxes of the same frame that overlap.

    A sweep from left to right over all frames at once compares only boxes that share a column.

    Args:
        frames: Frame of each box, int (R,).
        boxes: Corners, (R, 4).

    Returns:
        Rows of the first and of the second boxes, each pair once, and the shared areas; each (P,).
    """
    if len(boxes) == 0:
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0)
    width = boxes[:, 2].max() - boxes[:, 0].min() + 1
    left, right = boxes[:, 0] + frames * width, boxes[:, 2] + frames * width  # frames side by side
    order = np.argsort(left, kind="stable")
    reach = np.searchsorted(left[order], right[order], side="left")  # order[:reach] begin before this box ends
    count = np.maximum(reach - np.arange(len(order)) - 1, 0)
    first = np.repeat(np.arange(len(order)), count)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    first, second = order[first], order[second]
    shared = intersections(boxes[first], boxes[second])
    overlap = shared > 0
    return first[overlap], second[overlap], shared[overlap]


def overlapping_iou(frames: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find all pairs as :func:`overlapping_pairs` does, with their IoU instead of the shared area."""
    first, second, shared = overlapping_pairs(frames, boxes)
    area = areas(boxes)
    return first, second, shared / (area[first] + area[second] - shared)


def non_maximum_suppression(frames: np.ndarray, boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Keep boxes from the highest score down unless they overlap a kept box of their frame too much.

    The result is that of :func:`torchvision.ops.batched_nms`, for all frames at once. Of equal scores the first wins.

    Args:
        frames: Frame of each box, int (R,).
        boxes: Corners, (R, 4).
        scores: Scores, (R,).
        threshold: Maximum IoU with a kept box.

    Returns:
        Which boxes are kept, bool (R,).
    """
    first, second, iou = overlapping_iou(frames, boxes)
    rank = np.empty(len(boxes), dtype=int)
    rank[np.argsort(-scores, kind="stable")] = np.arange(len(boxes))
    ranks = np.sort(np.stack([rank[first], rank[second]])[:, iou > threshold], axis=0)  # (winner, loser)
    kept = [True] * len(boxes)  # by rank
    for winner, loser in ranks[:, np.argsort(ranks[0], kind="stable")].T.tolist():
        kept[loser] &= not kept[winner]  # whether the winner is kept is already decided
    return np.array(kept, dtype=bool)[rank]


@dataclass(frozen=True, eq=False)
class Observations:
    """Every object in every frame in which it is present, one row each, ordered by frame.

    Args:
        frames: Frame of each row, int (R,).
        objects: Object of each row, int (R,).
        boxes: Whole objects as corners in pixels (R, 4).
        clipped: Parts of the boxes in the picture (R, 4).
        inside: Fractions of their areas in the picture (R,).
        visible: Visible fractions (R,): the product of the fractions that each nearer thing leaves free, times
            1.3 ``inside`` (at most 1).
    """

    frames: np.ndarray
    objects: np.ndarray
    boxes: np.ndarray
    clipped: np.ndarray
    inside: np.ndarray
    visible: np.ndarray

    @classmethod
    def of(cls, world: World) -> Self:
        """Compute the observations of a world."""
        frames, objects = np.nonzero(world.present)
        boxes, depths = world.boxes[frames, objects], world.depths[frames, objects]
        height, width = world.size
        clipped = np.clip(boxes, 0, [width, height, width, height])
        area = np.maximum(areas(clipped), 1e-6)
        inside = areas(clipped) / np.maximum(areas(boxes), 1e-6)

        first, second, shared = overlapping_pairs(frames, clipped)
        occludes = depths[first] != depths[second]
        behind = np.where(depths[first] > depths[second], first, second)[occludes]
        visible = np.ones(len(boxes))
        np.multiply.at(visible, behind, 1 - shared[occludes] / area[behind])
        nearer = world.occluder_depths[frames] < depths[:, None]  # (R, K)
        hidden = intersections(clipped[:, None], world.occluders[frames]) / area[:, None]
        visible *= np.where(nearer, 1 - hidden, 1).prod(axis=1)
        return cls(frames, objects, boxes, clipped, inside, visible * np.minimum(1.3 * inside, 1))


@dataclass(frozen=True, eq=False)
class DetectionRows:
    """Detections of all frames, one row each.

    Args:
        frames: Frame of each row, int (R,).
        boxes: Corners in pixels (R, 4).
        scores: Scores in [0, 1] (R,).
        labels: Classes, int (R,).
        ids: Object of each detection, int (R,); :data:`NO_OBJECT` for none.
    """

    frames: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def take(self, rows: np.ndarray) -> Self:
        """Select rows by a bool mask or indices."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """Concatenate the rows of several parts, in order."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def assign_ids(detections: DetectionRows, observations: Observations, whole: bool, num_objects: int) -> DetectionRows:
    """Give detections the ids of the objects that they show, by the overlap rule of benchmarks.

    In each frame detections and objects are matched one to one, the greatest IoU first, down to 0.5. An unmatched
    detection keeps its id if no matched detection of its frame has that id, and if it overlaps its object by an IoU of
    0.3 or is a false positive with an id of ``num_objects`` or more. All others show no object. Two of them in
    neighbouring frames get the same id if their IoU is at least 0.5, again the greatest IoU first.

    Args:
        detections: Detections of all frames, with ids of objects or false positives, or :data:`NO_OBJECT`.
        observations: Objects of all frames.
        whole: Whether boxes of objects are :attr:`Observations.boxes`; otherwise :attr:`Observations.clipped`.
        num_objects: Smallest id of a false positive.
    """
    frames, objects = observations.frames, observations.objects
    true_boxes = observations.boxes if whole else observations.clipped
    n = len(detections)
    first, second, iou = overlapping_iou(
        np.concatenate([detections.frames, frames]), np.concatenate([detections.boxes, true_boxes])
    )
    row, column = np.minimum(first, second), np.maximum(first, second) - n
    mixed = (row < n) & (column >= 0)  # pairs of a detection and an object
    row, column, iou = row[mixed], column[mixed], iou[mixed]

    order = np.argsort(-iou, kind="stable")
    order = order[iou[order] >= _MATCH_IOU]
    ids, matched, taken = detections.ids.copy(), np.zeros(n, dtype=bool), np.zeros(len(true_boxes), dtype=bool)
    for i, j in zip(row[order].tolist(), column[order].tolist(), strict=True):
        if not (matched[i] or taken[j]):
            matched[i], taken[j], ids[i] = True, True, objects[j]

    own = objects[column] == detections.ids[row]
    poor = np.zeros(n, dtype=bool)
    poor[row[own & (iou >= _POOR_MATCH_IOU)]] = True
    of_object = np.isin(detections.ids, observations.objects)
    keeps = matched | (poor & of_object) | (~of_object & (detections.ids != NO_OBJECT))
    ids = np.where(keeps, ids, NO_OBJECT)
    key = detections.frames * (int(ids.max(initial=0)) + 2) + ids
    rank = np.lexsort((~matched, key))  # matched detections first among those of one id and frame
    repeated = np.zeros(n, dtype=bool)
    repeated[rank[1:]] = key[rank[1:]] == key[rank[:-1]]
    detections = replace(detections, ids=np.where(repeated & (ids != NO_OBJECT), NO_OBJECT, ids))
    return _link_false_positives(detections, max(num_objects, int(detections.ids.max(initial=-1)) + 1))


def _link_false_positives(detections: DetectionRows, free_id: int) -> DetectionRows:
    """Give ids from ``free_id`` on to chains of detections without object in neighbouring frames."""
    rows = np.flatnonzero(detections.ids == NO_OBJECT)
    frames, boxes = detections.frames[rows], detections.boxes[rows]
    # A copy of each box one frame later makes boxes of neighbouring frames comparable.
    first, second, iou = overlapping_iou(np.concatenate([frames, frames + 1]), np.concatenate([boxes, boxes]))
    current, previous = np.minimum(first, second), np.maximum(first, second) - len(rows)
    linked = (current < len(rows)) & (previous >= 0) & (iou >= _MATCH_IOU)
    current, previous, iou = current[linked], previous[linked], iou[linked]
    predecessor, has_successor = np.full(len(rows), -1), np.zeros(len(rows), dtype=bool)
    order = np.argsort(-iou, kind="stable")
    for i, j in zip(current[order].tolist(), previous[order].tolist(), strict=True):
        if predecessor[i] < 0 and not has_successor[j]:
            predecessor[i], has_successor[j] = j, True
    ids = detections.ids.copy()
    for i in np.argsort(frames, kind="stable").tolist():
        if predecessor[i] >= 0:
            ids[rows[i]] = ids[rows[predecessor[i]]]
        elif has_successor[i]:
            ids[rows[i]], free_id = free_id, free_id + 1
    return replace(detections, ids=ids)
