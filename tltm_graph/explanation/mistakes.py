from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor

from tltm_graph.association import Decision
from tltm_graph.association.margin import best_total

Cause = Literal["edge", "solver", "memory", "detector"]
"""Cause of a wrong decision: see :func:`mistakes`."""


@dataclass(frozen=True)
class Mistake:
    """Wrong decision on a detection.

    Args:
        frame: Index of the frame.
        row: Row of the detection.
        track: Track of the detection, -1 for none.
        new: True if it started a track or was left without one.
        right: Track that it should have continued; None if it should have started one.
        cause: Cause of the error.
    """

    frame: int
    row: int
    track: int
    new: bool
    right: int | None
    cause: Cause

    def text(self) -> str:
        """Format as text."""
        became = "no track" if self.track < 0 else f"new, track {self.track}" if self.new else f"track {self.track}"
        return f"{became}, not {'new' if self.right is None else f'track {self.right}'}"

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain data, for JSON."""
        return asdict(self)


def mistakes(decisions: Iterable[Decision], identities: Iterable[Tensor]) -> Iterator[Mistake]:
    """Yield the wrong decisions of a tracker, given the ground truth identity of each detection.

    The right track of a detection is the track that its object had when last seen, if no other object has continued
    that track since; otherwise the detection should start a track. An ID switch of two tracks is therefore two
    mistakes, and its consequences are none. A detection that should start a track may also be left without one, or
    continue a track that never showed an object. The causes are

    * ``"detector"``: a false positive or a duplicate continued the track of an object, or the right track;
    * ``"memory"``: the right track had been removed;
    * ``"solver"``: with the right decision the scores of the frame, births and misses included, have a higher sum, but
      the solver chose otherwise;
    * ``"edge"``: with the wrong decision the scores have the higher sum.

    Args:
        decisions: Decisions in the order of frames.
        identities: For each decision the true object of each detection (N,); negative for false positives and
            duplicates: :func:`tltm_graph.metrics.match_to_ground_truth`.
    """
    track_of: dict[int, int] = {}  # true object -> its last track
    object_of: dict[int, int] = {}  # track -> the true object last on it, -1 for none
    for decision, identity in zip(decisions, identities, strict=True):
        objects, tracks, partners = identity.tolist(), decision.tracks.tolist(), decision.partners.tolist()
        for row, (true_object, track, partner) in enumerate(zip(objects, tracks, partners, strict=True)):
            last = track_of.get(true_object)
            right = last if true_object >= 0 and last is not None and object_of.get(last) == true_object else None
            continued = track if partner >= 0 else None
            without_object = continued is not None and object_of.get(continued, -1) < 0
            if continued != right and not (right is None and without_object):
                cause = _cause(decision, row, right, objects)
                yield Mistake(decision.frame, row, track, continued is None, right, cause)
        for true_object, track in zip(objects, tracks, strict=True):
            if track >= 0:
                object_of[track] = true_object
                if true_object >= 0:
                    track_of[true_object] = track


def _cause(decision: Decision, row: int, right: int | None, objects: list[int]) -> Cause:
    assert decision.previous.ids is not None
    if objects[row] < 0:
        return "detector"
    place = None
    if right is not None:
        tracks = decision.previous.ids.tolist()
        if right not in tracks:
            return "memory"
        place = tracks.index(right)
        if any(partner == place and objects[other] < 0 for other, partner in enumerate(decision.partners.tolist())):
            return "detector"
    sizes = len(decision.previous), len(decision.current)
    better = best_total(decision.edge_index, decision.scores, sizes, row, place)
    chosen = float(decision.gains[decision.chosen].double().sum())
    return "solver" if better > chosen + 1e-6 * max(1.0, abs(chosen)) else "edge"
