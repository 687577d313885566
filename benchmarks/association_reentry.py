"""How well trackers know again what was away.

Both figures look at the detections alone. Each is of one true object or false (:func:`true_objects`), whatever a
tracker makes of it, and each has an id or none. An absence is a run of 5 to 60 frames in a row without a detection;
longer ones are not judged. :data:`BINS` divides them by length.

recall     Of all absences of true objects after which they are detected again: the share after which the id is that of
           before. The id of before is the last one shown since the absence before (or the beginning), the id of after
           the first one shown until the next absence, so that a tracker may take its time to show an id, and need not
           show it to the end. An absence of more than 60 frames begins and ends these stretches too. No id at all, on
           either side, is not the same.
precision  Of all absences of ids after which they are shown again: the share in which the last detection before and the
           first one after are of one true object. False ones are of none.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tltm_graph.metrics.metric import Sums

BINS = ((5, 15), (16, 30), (31, 60))
"""Shortest and longest absence of each bin, in frames."""

Ids = Sequence[Sequence[int]]
"""For each frame a number for each detection, -1 for none."""


@dataclass(frozen=True, eq=False)
class Reentries(Sums):
    """Counts by :data:`BINS`, int64 (3,) each.

    Args:
        returns: Absences of true objects that ended.
        kept: Those after which the id was that of before.
        links: Absences of ids that ended.
        right: Those that join one true object.
    """

    returns: np.ndarray
    kept: np.ndarray
    links: np.ndarray
    right: np.ndarray

    @classmethod
    def none(cls) -> "Reentries":
        """Of no video."""
        return cls(*np.zeros((4, len(BINS)), dtype=np.int64))


def reentries(objects: Ids, ids: Ids) -> Reentries:
    """The counts of one video.

    Args:
        objects: The true object of each detection, -1 for false ones.
        ids: The track of each detection, -1 where none is shown.
    """
    counts = Reentries.none()
    for observations in _by_number(objects, ids).values():
        for before, after, gap in _absences(observations):
            if (bin_ := _bin(gap)) is not None:
                last = next((track for _, track in reversed(before) if track >= 0), None)
                first = next((track for _, track in after if track >= 0), None)
                counts.returns[bin_] += 1
                counts.kept[bin_] += last is not None and last == first
    for observations in _by_number(ids, objects).values():
        for (frame, last), (next_frame, first) in pairwise(observations):
            if (bin_ := _bin(next_frame - frame - 1)) is not None:
                counts.links[bin_] += 1
                counts.right[bin_] += last >= 0 and last == first
    return counts


Stretch = list[tuple[int, int]]
"""Frames and the number of the other side in each."""


def _by_number(numbers: Ids, others: Ids) -> dict[int, Stretch]:
    """When each number from 0 on is there, and which number of the other side its detection has."""
    found: dict[int, Stretch] = {}
    for frame, rows in enumerate(zip(numbers, others, strict=True)):
        for number, other in zip(*rows, strict=True):
            if number >= 0:
                found.setdefault(number, []).append((frame, other))
    return found


def _absences(observations: Stretch) -> Iterator[tuple[Stretch, Stretch, int]]:
    """The stretches before and after each absence of at least the shortest length, and how long it was."""
    stretches = [observations[:1]]
    for observation in observations[1:]:
        if observation[0] - stretches[-1][-1][0] > BINS[0][0]:
            stretches.append([])
        stretches[-1].append(observation)
    for before, after in pairwise(stretches):
        yield before, after, after[0][0] - before[-1][0] - 1


def _bin(gap: int) -> int | None:
    return next((number for number, (least, most) in enumerate(BINS) if least <= gap <= most), None)


def total(parts: Iterable[Reentries]) -> Reentries:
    """The counts of several videos."""
    return sum(parts, Reentries.none())
