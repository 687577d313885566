from collections.abc import Iterable, Iterator, Sequence
from itertools import count

import numpy as np
import torch
from torch import Tensor

from tltm_graph.metrics.matching import match_overlap
from tltm_graph.metrics.overlap import On, mask_overlap, overlap
from tltm_graph.structures import Detections, Observation, Tracks, observations_of

_STAYS = 0.5  # IoU with a false positive of the frame before, to be the same


def match_to_ground_truth(
    detections: Iterable[Detections], truth: Tracks, same: float = 0.5, false: float = 0.3, second: bool = True
) -> Iterator[tuple[Tensor, Tensor]]:
    """Tells what each detection of a video shows, by its overlap with the true objects of its frame.

    Overlap is IoU, of masks in frames where all on both sides have one, else of boxes; classes do not matter. In each
    frame pairs have an overlap of at least ``same``, and the greatest sum of it. Detections that overlap no object by
    ``false`` are false positives, and so are duplicates, which overlap an object most that has another one: no
    track should go on them. One that overlaps a false positive of the frame before by half is the same thing, again one
    with one, for the greatest sum. Of all others nobody knows what they are: bad detections of an object that has no
    good one, and what lies by more than half on a region that is not to be scored (``crowd``, or a score of 0, as
    MOTChallenge marks it).

    A frame without true objects is taken for one that shows none.

    Args:
        detections: Of each frame from the first on. Frames are gone through one at a time.
        truth: The true tracks.
        same: See above.
        false: See above; at 0 there are no false positives of either kind: for truth that does not have all objects.
        second: Whether duplicates are false positives; else nobody knows what they are, for what learns looks.

    Yields:
        For each frame ids, int64 (N,): of the true object, from the greatest of these on of false positives, or -1; and
        whether it is an object, int8 (N,): 1, 0 for a false positive, -1 if nobody knows.

    Raises:
        ValueError: If ``false`` is above ``same``, there are more frames than the truth has, or masks are of different
            sizes.
    """
    if not 0 <= false <= same <= 1:
        raise ValueError(f"Expected overlaps with 0 <= false <= same <= 1, got false={false} and same={same}")
    new_ids, frames = count(1 + max(truth, default=-1)), truth.observations()
    before: list[Observation] = []  # the false positives of the frame before
    for index, seen in enumerate(detections):
        _, true = next(frames, (index, None))
        if true is None:
            raise ValueError(
                f"Expected detections of the {truth.num_frames} frames of the truth, got more: they are of another "
                "video, or count frames otherwise"
            )
        found = observations_of(index, seen.replace(ids=torch.arange(len(seen))))
        ids, objects = _compare(found, true, same, false, second)
        before = _linked(before, [row for row in found if objects[row.id] == 0], new_ids)
        ids[objects == 0] = [row.id for row in before]
        yield torch.from_numpy(ids), torch.from_numpy(objects)


def _compare(
    found: list[Observation], true: list[Observation], same: float, false: float, second: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Ids (N,) without those of false positives, and what is an object (N,)."""
    regions = [row for row in true if row.crowd or row.score == 0]
    true = [row for row in true if not (row.crowd or row.score == 0)]
    iou = overlap(true, found, _on(true, found))  # (G, N)
    ids, objects = np.full(len(found), -1), np.full(len(found), -1, dtype=np.int8)
    rows, columns = match_overlap(iou, same)
    objects[iou.max(axis=0, initial=0) < false] = 0
    if second and false > 0:
        objects[_second(iou, rows)] = 0
    objects[_share_within(found, regions).max(axis=1, initial=0) > 0.5] = -1
    ids[columns] = np.array([row.id for row in true], dtype=np.int64)[rows]
    objects[columns] = 1
    return ids, objects


def _second(iou: np.ndarray, matched: np.ndarray) -> np.ndarray:
    """Which columns overlap a row most that is matched (N,); those it is matched with are among them."""
    if len(iou) == 0:
        return np.zeros(iou.shape[1], dtype=bool)
    taken = np.isin(np.arange(len(iou)), matched)
    return taken[iou.argmax(axis=0)] & (iou.max(axis=0) > 0)


def _linked(before: list[Observation], now: list[Observation], new_ids: Iterator[int]) -> list[Observation]:
    """False positives with ids: that of one of the frame before, or a new one."""
    earlier, later = match_overlap(overlap(before, now, _on(before, now)), _STAYS)
    known = {row: before[old].id for old, row in zip(earlier.tolist(), later.tolist(), strict=True)}
    return [row._replace(id=known[i] if i in known else next(new_ids)) for i, row in enumerate(now)]


def _share_within(rows: list[Observation], regions: list[Observation]) -> np.ndarray:
    """The share of each row that lies on each region (N, K)."""
    if _on(rows, regions) == "masks":
        return mask_overlap(rows, regions, crowd=True)
    boxes, others = (np.array([row.box for row in side], dtype=np.float64).reshape(-1, 4) for side in (rows, regions))
    low, high = np.maximum(boxes[:, None, :2], others[None, :, :2]), np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return (high - low).clip(min=0).prod(axis=2) / np.maximum(area, 1e-6)[:, None]


def _on(rows: Sequence[Observation], others: Sequence[Observation]) -> On:
    return "boxes" if any(row.mask is None for row in (*rows, *others)) else "masks"
