"""Mistakes of track ids, judged by the truth: their number, and what the scores would be without one kind of them."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import astuple, dataclass

from benchmarks.association_groups import Sequence
from benchmarks.association_scores import Ids, true_objects
from tltm_graph.metrics.overlap import share_within

IGNORED = -2


def judged(sequence: Sequence) -> list[list[int]]:
    """True object of each detection of each frame; -1 for false ones, -2 for those on an ignore region."""
    objects = true_objects(sequence)
    for (_, rows), detected, ids in zip(sequence.truth.observations(), sequence.detected, objects, strict=True):
        regions = [row for row in rows if row.crowd]
        if regions and detected:
            share = share_within(list(detected), regions, sequence.on).max(axis=1)
            ids[:] = [IGNORED if i < 0 and part > 0.5 else i for i, part in zip(ids, share.tolist(), strict=True)]
    return objects


@dataclass(frozen=True)
class TrackCounts:
    """Counts of tracks of a tracker.

    Args:
        tracks: Tracks.
        false: Tracks that show no true object, most of them not on ignore regions.
        one_frame: Tracks of one frame.
    """

    tracks: int = 0
    false: int = 0
    one_frame: int = 0

    def __add__(self, other: "TrackCounts") -> "TrackCounts":
        return TrackCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def count_tracks(objects: Ids, ids: Ids) -> TrackCounts:
    """Count the tracks.

    Args:
        objects: True object of each detection: :func:`judged`.
        ids: Track of each detection, -1 for none.
    """
    shown = _objects_of_tracks(objects, ids)
    one_frame = sum(len(seen) == 1 for seen in shown.values())
    return TrackCounts(len(shown), len(_false_tracks(objects, ids)), one_frame)


def without_false_tracks(objects: Ids, ids: Ids) -> list[list[int]]:
    """Drop the tracks that show nothing real."""
    false = _false_tracks(objects, ids)
    return [[-1 if i in false else i for i in row] for row in ids]


def without_false_boxes(objects: Ids, ids: Ids) -> list[list[int]]:
    """Drop the false detections of the tracks that show something real."""
    false = _false_tracks(objects, ids)
    return [
        [-1 if true == -1 and i not in false else i for i, true in zip(row, of, strict=True)]
        for row, of in zip(ids, objects, strict=True)
    ]


def without_takeovers(objects: Ids, ids: Ids, after_gap: bool) -> list[list[int]]:
    """Give a track a new id where it goes on with another true object.

    Args:
        objects: True object of each detection.
        ids: Track of each detection.
        after_gap: True for takeovers after a frame without the track, False for those from one frame to the next.
    """
    new = max((i for row in ids for i in row), default=0) + 1
    last: dict[int, tuple[int, int]] = {}  # true object and frame
    renamed: dict[int, int] = {}
    mended = []
    for frame, (row, of) in enumerate(zip(ids, objects, strict=True)):
        result = []
        for i, true in zip(row, of, strict=True):
            if i >= 0 and true >= 0:
                before = last.get(i)
                if before is not None and before[0] != true and (frame - before[1] > 1) == after_gap:
                    renamed[i], new = new, new + 1
                last[i] = true, frame
            elif i in last:
                last[i] = last[i][0], frame
            result.append(renamed.get(i, i))
        mended.append(result)
    return mended


def without_single_frames(objects: Ids, ids: Ids) -> list[list[int]]:
    """Drop the tracks of one frame."""
    count = Counter(i for row in ids for i in row)
    return [[-1 if count[i] == 1 else i for i in row] for row in ids]


MENDED: dict[str, Callable[[Ids, Ids], list[list[int]]]] = {
    "false tracks": without_false_tracks,
    "false boxes of true tracks": without_false_boxes,
    "takeovers after a gap": lambda objects, ids: without_takeovers(objects, ids, True),
    "takeovers without a gap": lambda objects, ids: without_takeovers(objects, ids, False),
    "one-frame tracks": without_single_frames,
}
"""Functions that put one kind of mistake right."""


def _objects_of_tracks(objects: Ids, ids: Ids) -> dict[int, list[int]]:
    shown: dict[int, list[int]] = defaultdict(list)
    for row, of in zip(ids, objects, strict=True):
        for i, true in zip(row, of, strict=True):
            if i >= 0:
                shown[i].append(true)
    return shown


def _false_tracks(objects: Ids, ids: Ids) -> set[int]:
    shown = _objects_of_tracks(objects, ids)
    return {i for i, of in shown.items() if max(of) < 0 and of.count(-1) > of.count(IGNORED)}
