from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_iou

from tltm_graph.association import Decision
from tltm_graph.explanation.saved_graph import SavedGraph
from tltm_graph.structures import Detections


@dataclass(frozen=True)
class Choice:
    """What one run decided on an object.

    Args:
        row: Of the object.
        track: The track it became, -1 for none.
        before: The last object of this track, frame and row; None for the first of a track, and of no track.
        margin: By how much the decision was better than the next best.
    """

    row: int
    track: int
    before: tuple[int, int] | None
    margin: float

    def text(self) -> str:
        """The same in words."""
        if self.track < 0:
            return "no track"
        if self.before is None:
            return f"new, track {self.track}"
        return f"track {self.track}, object {self.before[1]} of frame {self.before[0]}"


@dataclass(frozen=True)
class Difference:
    """An object on which two runs decided otherwise.

    Args:
        frame: Index of the frame.
        label: Its class.
        first: What the first run decided; None if it did not find the object.
        second: What the second did.
    """

    frame: int
    label: int
    first: Choice | None
    second: Choice | None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return asdict(self)


def differences(first: SavedGraph, second: SavedGraph) -> Iterator[Difference]:
    """The decisions that two runs on one video took differently, in the order of frames.

    Two objects are the same if they are of the same frame and have the same box, or the best overlap (an IoU of at
    least 0.5). A decision is the same if both runs take the object to go on the same earlier object, or to be new, or
    to be of no track: ids do not matter.

    Raises:
        ValueError: If the runs are of frames of different sizes or numbers.
    """
    if first.size != second.size:
        raise ValueError(
            f"Expected two runs on one video, got frames of {first.size} and of {second.size} pixels (H, W) in "
            f"'{first.path}' and '{second.path}'"
        )
    if first.frames != second.frames:
        raise ValueError(
            f"Expected two runs on the same frames, got {len(first)} in '{first.path}' and {len(second)} in "
            f"'{second.path}': give both runs the same --max-frames"
        )
    same: dict[tuple[int, int], tuple[int, int]] = {}  # object of the second run -> that of the first
    last: tuple[dict[int, tuple[int, int]], ...] = ({}, {})  # of each run: track -> its last object
    for one, other in zip(first, second, strict=True):
        pairs = _pairs(one.current, other.current)
        choices = [_choices(decision, seen) for decision, seen in zip((one, other), last, strict=True)]
        for row in range(len(one.current)):
            partner = pairs.get(row)
            mine, theirs = choices[0][row], None if partner is None else choices[1][partner]
            if theirs is None or _earlier(mine, {}) != _earlier(theirs, same):
                yield Difference(one.frame, int(one.current.labels[row]), mine, theirs)
        for row in sorted(set(range(len(other.current))) - set(pairs.values())):
            yield Difference(other.frame, int(other.current.labels[row]), None, choices[1][row])
        same |= {(other.frame, theirs): (one.frame, mine) for mine, theirs in pairs.items()}
        _forget(same, last[1])


def _earlier(choice: Choice, same: dict[tuple[int, int], tuple[int, int]]) -> object:
    """What a choice comes down to, in terms of the first run's objects."""
    if choice.track < 0:
        return "none"
    return "new" if choice.before is None else same.get(choice.before, choice.before)


def _choices(decision: Decision, last: dict[int, tuple[int, int]]) -> list[Choice]:
    """What was decided on each object; ``last`` then has the objects of this frame."""
    found = []
    for row, (track, margin) in enumerate(zip(decision.tracks.tolist(), decision.margins.tolist(), strict=True)):
        found.append(Choice(row, track, last.get(track), margin))
        if track >= 0:
            last[track] = decision.frame, row
    return found


def _forget(same: dict[tuple[int, int], tuple[int, int]], last: dict[int, tuple[int, int]]) -> None:
    """What is the last of no track is not asked for again."""
    needed = set(last.values())
    for node in [node for node in same if node not in needed]:
        del same[node]


def _pairs(first: Detections, second: Detections) -> dict[int, int]:
    """Rows of the first to rows of the second that are the same object."""
    if len(first) == len(second) and torch.equal(first.boxes, second.boxes):
        return {row: row for row in range(len(first))}
    overlap = box_iou(first.boxes, second.boxes).numpy()
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    good = overlap[rows, columns] >= 0.5
    return dict(zip(rows[good].tolist(), columns[good].tolist(), strict=True))
