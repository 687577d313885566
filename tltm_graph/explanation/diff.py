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
    """Decision of one run on a detection.

    Args:
        row: Row of the detection.
        track: Track of the detection, -1 for none.
        before: Frame and row of the track's last detection; None at the start of a track, and without a track.
        margin: Margin of the decision over the next best.
    """

    row: int
    track: int
    before: tuple[int, int] | None
    margin: float

    def text(self) -> str:
        """Format as text."""
        if self.track < 0:
            return "no track"
        if self.before is None:
            return f"new, track {self.track}"
        return f"track {self.track}, object {self.before[1]} of frame {self.before[0]}"


@dataclass(frozen=True)
class Difference:
    """Detection on which two runs decided differently.

    Args:
        frame: Index of the frame.
        label: Class index of the detection.
        first: Decision of the first run; None if it has no such detection.
        second: Decision of the second run; None if it has no such detection.
    """

    frame: int
    label: int
    first: Choice | None
    second: Choice | None

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain data, for JSON."""
        return asdict(self)


def differences(first: SavedGraph, second: SavedGraph) -> Iterator[Difference]:
    """Yield the decisions that differ between two runs on one video, in the order of frames.

    Two detections of a frame correspond if all boxes are equal, or by the best overlap, with an IoU of at least 0.5.
    Decisions are equal if both runs continue the same earlier detection, start a track, or assign no track. Ids do not
    matter.

    Raises:
        ValueError: If the runs have frames of different sizes or numbers.
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
    same: dict[tuple[int, int], tuple[int, int]] = {}  # detection of the second run -> that of the first
    last: tuple[dict[int, tuple[int, int]], ...] = ({}, {})  # for each run: track -> its last detection
    for decision, other in zip(first, second, strict=True):
        pairs = _pairs(decision.current, other.current)
        choices = [_choices(run, latest) for run, latest in zip((decision, other), last, strict=True)]
        for row in range(len(decision.current)):
            partner = pairs.get(row)
            choice, other_choice = choices[0][row], None if partner is None else choices[1][partner]
            if other_choice is None or _outcome(choice, {}) != _outcome(other_choice, same):
                yield Difference(decision.frame, int(decision.current.labels[row]), choice, other_choice)
        for row in sorted(set(range(len(other.current))) - set(pairs.values())):
            yield Difference(other.frame, int(other.current.labels[row]), None, choices[1][row])
        same |= {(other.frame, column): (decision.frame, row) for row, column in pairs.items()}
        _keep_latest(same, last[1])


def _outcome(choice: Choice, same: dict[tuple[int, int], tuple[int, int]]) -> object:
    """Outcome of a choice, in terms of the first run's detections."""
    if choice.track < 0:
        return "none"
    return "new" if choice.before is None else same.get(choice.before, choice.before)


def _choices(decision: Decision, last: dict[int, tuple[int, int]]) -> list[Choice]:
    """List the decisions of a frame, and enter its detections into ``last``."""
    choices = []
    for row, (track, margin) in enumerate(zip(decision.tracks.tolist(), decision.margins.tolist(), strict=True)):
        choices.append(Choice(row, track, last.get(track), margin))
        if track >= 0:
            last[track] = decision.frame, row
    return choices


def _keep_latest(same: dict[tuple[int, int], tuple[int, int]], last: dict[int, tuple[int, int]]) -> None:
    """Drop detections that are no longer the last of a track, which bounds the memory."""
    needed = set(last.values())
    for node in [node for node in same if node not in needed]:
        del same[node]


def _pairs(first: Detections, second: Detections) -> dict[int, int]:
    """Map rows of the first detections to corresponding rows of the second."""
    if len(first) == len(second) and torch.equal(first.boxes, second.boxes):
        return {row: row for row in range(len(first))}
    overlap = box_iou(first.boxes, second.boxes).numpy()
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    matched = overlap[rows, columns] >= 0.5
    return dict(zip(rows[matched].tolist(), columns[matched].tolist(), strict=True))
