"""What a detection shows, told as benchmarks tell it: by its overlap with the objects of its frame."""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from tltm_graph.synthetic.boxes import non_maximum_suppression, overlapping_iou
from tltm_graph.synthetic.detector_noise import (
    ConstantScores,
    InformativeScores,
    Localization,
    Recall,
    Scoring,
    duplicates,
    false_positives,
    merge_overlapping,
    partial_boxes,
)
from tltm_graph.synthetic.observations import FALSE, Found, Observations
from tltm_graph.synthetic.processes import chance, mixture
from tltm_graph.synthetic.worlds import World

_SAME = 0.5  # IoU of a detection and the object that it shows
_BAD = 0.3  # of a bad detection and the object that it was meant to show


def reidentified(found: Found, observations: Observations, whole: bool, num_objects: int) -> Found:
    """The same detections with the ids of the objects that they show.

    In each frame detections and objects are paired, the greatest IoU first, down to 0.5. A detection that finds
    no partner keeps the id that it has if nothing else of its frame got that, and if it overlaps its object by 0.3 (or
    is a false positive, whose id is from the number of objects on); otherwise it shows nothing. What shows nothing is
    the same as what showed nothing in the frame before if they overlap by half, again the greatest IoU first.

    Args:
        found: Detections of all frames; ids of objects or false positives, or :data:`FALSE`.
        observations: The objects of all frames.
        num_objects: From which id on ids are of false positives.
        whole: Whether boxes of objects are those of :attr:`Observations.boxes`; otherwise of what is in the picture.
    """
    frames, objects = observations.frames, observations.objects
    true = observations.boxes if whole else observations.clipped
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
    of_object = np.isin(found.ids, observations.objects)
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


@dataclass(frozen=True)
class SimulatedDetector:
    """What a detector makes of a world. Without arguments it finds everything, and nothing else.

    Args:
        recall: Which objects it finds.
        localization: Where their boxes are.
        scoring: How sure it is.
        wrong_labels: Probability that a class is drawn at random.
        merging: Probability that boxes of objects that overlap become one (:func:`merge_overlapping`).
        parts: Probability that an object has one more box, around a part of it.
        duplicates: Probability that an object has a second box.
        memory: How long boxes stay merged, and objects have one box more, in frames.
        false_positives: Mean number of new boxes around nothing, for each object in the picture.
        nms: Greatest IoU of two detections; none have one above 1.
    """

    recall: Recall = field(default_factory=Recall)
    localization: Localization = field(default_factory=Localization)
    scoring: Scoring = field(default_factory=ConstantScores)
    wrong_labels: float = 0.0
    merging: float = 0.0
    parts: float = 0.0
    duplicates: float = 0.0
    memory: float = 1.0
    false_positives: float = 0.0
    nms: float = 1.0

    @classmethod
    def draw(cls, rng: np.random.Generator, picture_height: int) -> Self:
        """One at random, for pictures of so many pixels."""
        return cls(
            recall=Recall.draw(rng, picture_height),
            localization=Localization.draw(rng),
            scoring=ConstantScores() if chance(rng, 0.35) else InformativeScores.draw(rng),
            wrong_labels=mixture(rng, (0.5, 0, 0), (0.5, 0, 0.05)),
            merging=mixture(rng, (0.3, 0, 0), (0.7, 0, 0.9)),
            parts=mixture(rng, (0.5, 0, 0), (0.5, 0, 0.04)),
            duplicates=mixture(rng, (0.6, 0, 0), (0.4, 0, 0.05)),
            memory=rng.uniform(0.5, 12),
            false_positives=mixture(rng, (0.2, 0, 0), (0.5, 0, 0.06), (0.3, 0.05, 0.3)),
            nms=mixture(rng, (0.6, 0.4, 0.8), (0.4, 1, 1)),
        )

    def detect(self, rng: np.random.Generator, world: World) -> Found:
        """The detections of all frames of a world, in random order within a frame.

        Ids are those of the objects that they show (:func:`reidentified`), from 0; from their number on those of what
        is no object, each once in a frame.
        """
        observations = Observations.of(world)
        seen, logits = self.recall.find(rng, observations, world)
        frames, objects = observations.frames[seen], observations.objects[seen]
        boxes = self.localization.locate(rng, observations, seen, world)
        wrong = rng.random(len(frames)) < self.wrong_labels
        labels = np.where(wrong, rng.integers(0, world.num_labels, len(frames)), world.labels[objects])
        found = Found(frames, boxes, self.scoring.of_objects(rng, logits[seen]), labels, objects)

        found = merge_overlapping(rng, found, self.merging, self.memory)
        found = Found.cat([found, partial_boxes(rng, found, self.parts, self.memory)])
        found = Found.cat(
            [
                found,
                duplicates(rng, found, self.duplicates, self.memory),
                false_positives(rng, observations, world, self.false_positives, self.localization.noise, self.scoring),
            ]
        )
        found = found.take(non_maximum_suppression(found.frames, found.boxes, found.scores, self.nms))
        found = reidentified(found, observations, self.localization.whole, world.num_objects)
        found = found.take(np.lexsort((rng.random(len(found)), found.frames)))
        first_free = max(world.num_objects, int(found.ids.max(initial=FALSE)) + 1)
        once = found.ids == FALSE
        return replace(found, ids=np.where(once, first_free + np.cumsum(once) - 1, found.ids))
