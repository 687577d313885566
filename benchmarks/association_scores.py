"""Scores of track ids that a tracker gave to detections: HOTA, CLEAR and IDF1, and re-identification after absences.

For re-identification each detection belongs to one true object or is false (:func:`true_objects`), and has one track id
or none. An absence is a run of 5 to 60 frames without a detection; longer ones are not judged. :data:`BINS` groups
absences by length.

recall     Share of the absences of true objects after which the object has its id of before. The id before is the last
           one shown since the previous absence, the id after is the first one shown until the next absence. A tracker
           may thus delay an id, and need not show it to the end. An absence of more than 60 frames also ends these
           stretches. An object without an id on either side counts as wrong.
precision  Share of the absences of track ids with the same true object in the last detection before and the first one
           after. False detections belong to no object.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Rows
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from benchmarks.association_groups import Group, Sequence
from tltm_graph.metrics import Clear, Hota, IdentityF1
from tltm_graph.metrics.benchmark_rules import bdd100k_frames
from tltm_graph.metrics.matching import match_overlap
from tltm_graph.metrics.metric import update_together
from tltm_graph.metrics.overlap import pairwise_iou
from tltm_graph.structures import Tracks

Metrics = tuple[Hota, Clear, IdentityF1]


def score_sequence(sequence: Sequence, predicted: Tracks) -> Metrics:
    """Count one sequence, for :func:`joint_scores`.

    Raises:
        ValueError: If the tracks do not belong to the video.
    """
    metrics = Hota(), Clear(), IdentityF1()
    for label in sorted(_labels(sequence.truth) | _labels(predicted)) if sequence.by_class else [None]:
        frames = bdd100k_frames(sequence.truth, predicted, sequence.on, label)
        update_together(metrics, f"{sequence.name}, class {label}", frames)
    return metrics


def joint_scores(sequences: Iterable[Metrics]) -> dict[str, float]:
    """HOTA, AssA, DetA, IDF1 and MOTA in percent, and ID switches, over all sequences and classes.

    Counts are added before they are divided, as in TrackEval's combined sequence.
    """
    hota, clear, identity = Hota(), Clear(), IdentityF1()
    for part in sequences:
        hota.merge(part[0])
        clear.merge(part[1])
        identity.merge(part[2])
    named = hota.compute().named() | clear.compute().named() | identity.compute().named()
    return {name: 100 * named[name] for name in ("HOTA", "AssA", "DetA", "IDF1", "MOTA")} | {"IDSW": named["IDSW"]}


def score_group(group: Group, predicted: Mapping[str, Tracks]) -> dict[str, float]:
    """Score a group, see :func:`joint_scores`.

    Args:
        group: Group with ground truth.
        predicted: Tracks of each sequence, by its name.

    Raises:
        ValueError: If the names are not those of the group, or tracks do not belong to their video.
    """
    names = {sequence.name for sequence in group.sequences}
    if set(predicted) != names:
        raise ValueError(f"Expected tracks of the sequences {sorted(names)}, got those of {sorted(predicted)}")
    return joint_scores(score_sequence(sequence, predicted[sequence.name]) for sequence in group.sequences)


def true_objects(sequence: Sequence) -> list[list[int]]:
    """Id of the true object of each detection of each frame, -1 for false detections.

    Matching maximises the sum of IoU in each frame over pairs of at least 0.5, of the same class if there are classes.
    """
    objects = []
    for (_, present), detected in zip(sequence.truth.observations(), sequence.detected, strict=True):
        true = [row for row in present if not row.crowd]
        iou = pairwise_iou(true, list(detected), sequence.on)
        if sequence.by_class:
            labels, others = (np.array([row.label for row in rows], dtype=np.int64) for rows in (true, detected))
            iou = iou * (labels[:, None] == others)
        ids = np.full(len(detected), -1)
        rows, columns = match_overlap(iou)
        ids[columns] = np.array([row.id for row in true], dtype=np.int64)[rows]
        objects.append(ids.tolist())
    return objects


def _labels(tracks: Tracks) -> set[int]:
    return {label for track in tracks.values() for label in track.labels}


BINS = ((5, 15), (16, 30), (31, 60))
"""Shortest and longest absence of each bin, in frames."""

Ids = Rows[Rows[int]]
"""Id of each detection of each frame, -1 for none."""


@dataclass(frozen=True, eq=False)
class Reentries:
    """Counts of absences by :data:`BINS`, int64 (3,) each.

    Args:
        returns: Absences of true objects that ended.
        kept: Those of them after which the object had its id of before.
        links: Absences of track ids that ended.
        right: Those of them with the same true object on both sides.
    """

    returns: np.ndarray
    kept: np.ndarray
    links: np.ndarray
    right: np.ndarray

    @classmethod
    def none(cls) -> "Reentries":
        """Counts of zero."""
        return cls(*np.zeros((4, len(BINS)), dtype=np.int64))

    def __add__(self, other: "Reentries") -> "Reentries":
        return Reentries(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


def reentries(objects: Ids, ids: Ids) -> Reentries:
    """Count the absences of one video.

    Args:
        objects: True object of each detection, -1 for false ones.
        ids: Track of each detection, -1 where none is shown.
    """
    counts = Reentries.none()
    for stretch in _by_id(objects, ids).values():
        for before, after, gap in _absences(stretch):
            if (bin_ := _bin(gap)) is not None:
                last = next((track for _, track in reversed(before) if track >= 0), None)
                first = next((track for _, track in after if track >= 0), None)
                counts.returns[bin_] += 1
                counts.kept[bin_] += last is not None and last == first
    for stretch in _by_id(ids, objects).values():
        for (frame, last), (next_frame, first) in pairwise(stretch):
            if (bin_ := _bin(next_frame - frame - 1)) is not None:
                counts.links[bin_] += 1
                counts.right[bin_] += last >= 0 and last == first
    return counts


Stretch = list[tuple[int, int]]
"""Frames, each with the id of the same detection on the other side."""


def _by_id(ids: Ids, others: Ids) -> dict[int, Stretch]:
    stretches: dict[int, Stretch] = {}
    for frame, rows in enumerate(zip(ids, others, strict=True)):
        for number, other in zip(*rows, strict=True):
            if number >= 0:
                stretches.setdefault(number, []).append((frame, other))
    return stretches


def _absences(stretch: Stretch) -> Iterator[tuple[Stretch, Stretch, int]]:
    """Stretches before and after each absence of at least the shortest length, with its length."""
    parts = [stretch[:1]]
    for observation in stretch[1:]:
        if observation[0] - parts[-1][-1][0] > BINS[0][0]:
            parts.append([])
        parts[-1].append(observation)
    for before, after in pairwise(parts):
        yield before, after, after[0][0] - before[-1][0] - 1


def _bin(gap: int) -> int | None:
    return next((number for number, (least, most) in enumerate(BINS) if least <= gap <= most), None)


def total(parts: Iterable[Reentries]) -> Reentries:
    """Add the counts of several videos."""
    return sum(parts, Reentries.none())
