"""What a detection shows, told as benchmarks tell it: by its overlap with the objects of its frame."""

from dataclasses import replace

import numpy as np

from tltm_graph.data.simulated_motion.boxes import overlapping_iou
from tltm_graph.data.simulated_motion.found import FALSE, Found
from tltm_graph.data.simulated_motion.sightings import Sightings

_SAME = 0.5  # IoU of a detection and the object that it shows
_BAD = 0.3  # of a bad detection and the object that it was meant to show


def reidentified(found: Found, sightings: Sightings, whole: bool, num_objects: int) -> Found:
    """The same detections with the ids of the objects that they show.

    In each frame detections and objects are paired, the greatest IoU first, down to 0.5. A detection that finds
    no partner keeps the id that it has if nothing else of its frame got that, and if it overlaps its object by 0.3 (or
    is a false positive, whose id is from the number of objects on); otherwise it shows nothing. What shows nothing is
    the same as what showed nothing in the frame before if they overlap by half, again the greatest IoU first.

    Args:
        found: Detections of all frames; ids of objects or false positives, or :data:`FALSE`.
        sightings: The objects of all frames.
        num_objects: From which id on ids are of false positives.
        whole: Whether boxes of objects are those of :attr:`Sightings.boxes`; otherwise of what is in the picture.
    """
    frames, objects = sightings.frames, sightings.objects
    true = sightings.boxes if whole else sightings.clipped
    n = len(found)
    one, other, iou = overlapping_iou(np.concatenate([found.frames, frames]), np.concatenate([found.boxes, true]))
    row, column = np.minimum(one, other), np.maximum(one, other) - n
    mixed = (row < n) & (column >= 0)
    row, column, iou = row[mixed], column[mixed], iou[mixed]

    order = np.argsort(-iou, kind="stable")
    order = order[iou[order] >= _SAME]
    ids, paired, taken = found.ids.copy(), np.zeros(n, dtype=bool), np.zeros(len(true), dtype=bool)
    for i, j in zip(row[order].tolist(), column[order].tolist(), strict=True):
        if not (paired[i] or taken[j]):
            paired[i], taken[j], ids[i] = True, True, objects[j]

    own = objects[column] == found.ids[row]
    bad = np.zeros(n, dtype=bool)
    bad[row[own & (iou >= _BAD)]] = True
    of_object = np.isin(found.ids, sightings.objects)
    keeps = paired | (bad & of_object) | (~of_object & (found.ids != FALSE))
    ids = np.where(keeps, ids, FALSE)
    key = found.frames * (int(ids.max(initial=0)) + 2) + ids
    rank = np.lexsort((~paired, key))  # the paired ones first among those of one id and frame
    again = np.zeros(n, dtype=bool)
    again[rank[1:]] = key[rank[1:]] == key[rank[:-1]]
    found = replace(found, ids=np.where(again & (ids != FALSE), FALSE, ids))
    return _linked(found, max(num_objects, int(found.ids.max(initial=-1)) + 1))


def _linked(found: Found, free: int) -> Found:
    """Gives ids from ``free`` on to those that show nothing in two frames or more."""
    rows = np.flatnonzero(found.ids == FALSE)
    frames, boxes = found.frames[rows], found.boxes[rows]
    # Each once at its own time and once a frame later, so that those of neighbouring frames meet.
    one, other, iou = overlapping_iou(np.concatenate([frames, frames + 1]), np.concatenate([boxes, boxes]))
    now, before = np.minimum(one, other), np.maximum(one, other) - len(rows)
    meet = (now < len(rows)) & (before >= 0) & (iou >= _SAME)
    now, before, iou = now[meet], before[meet], iou[meet]
    follows, followed = np.full(len(rows), -1), np.zeros(len(rows), dtype=bool)
    for i, j in zip(*(side[np.argsort(-iou, kind="stable")].tolist() for side in (now, before)), strict=True):
        if follows[i] < 0 and not followed[j]:
            follows[i], followed[j] = j, True
    ids = found.ids.copy()
    for i in np.argsort(frames, kind="stable").tolist():
        if follows[i] >= 0:
            ids[rows[i]] = ids[rows[follows[i]]]
        elif followed[i]:
            ids[rows[i]], free = free, free + 1
    return replace(found, ids=ids)
