from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor

from tltm_graph.association import Decision, best_total

Cause = Literal["edge", "solver", "memory", "detector"]
"""Why a decision was wrong: see :func:`mistakes`."""


@dataclass(frozen=True)
class Mistake:
    """A decision that was wrong.

    Args:
        frame: Index of the frame.
        row: The object.
        track: What became of it, -1 for none.
        new: Whether it was taken for a new one, or left without a track.
        right: The track that it should have gone on; None if it should have gone on none.
        cause: What was to blame.
    """

    frame: int
    row: int
    track: int
    new: bool
    right: int | None
    cause: Cause

    def text(self) -> str:
        """The same in words."""
        became = "no track" if self.track < 0 else f"new, track {self.track}" if self.new else f"track {self.track}"
        return f"{became}, not {'new' if self.right is None else f'track {self.right}'}"

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return asdict(self)


def mistakes(decisions: Iterable[Decision], identities: Iterable[Tensor]) -> Iterator[Mistake]:
    """The decisions of a tracker that were wrong, given what the objects really are.

    The right decision on an object is the track that it was given when it was last seen, if nothing else has gone on
    that track since; else it is to be new. So one swap is two mistakes, and what follows from it is none. An object
    that should be new may also be left without a track, or go on one that was never of an object. The cause is

    * ``"detector"``: a false positive or a duplicate of something went on the track of an object, or on the one
      that this object should have gone on;
    * ``"memory"``: the right track had been forgotten;
    * ``"solver"``: the scores of the frame gain more where this object goes to the right place, births, misses and all
      other objects included, but the solver chose otherwise;
    * ``"edge"``: the scores gain more by the wrong decision.

    Args:
        decisions: In the order of frames.
        identities: For each decision, which true object each detection is (N,); below 0 for false positives and second
            detections: :func:`tltm_graph.metrics.match_to_ground_truth`.
    """
    given: dict[int, int] = {}  # true object -> the track it was last given
    held: dict[int, int] = {}  # track -> the true object that was last on it, -1 for none
    for decision, identity in zip(decisions, identities, strict=True):
        who, tracks, partners = identity.tolist(), decision.tracks.tolist(), decision.partners.tolist()
        for row, (one, track, partner) in enumerate(zip(who, tracks, partners, strict=True)):
            right = given.get(one) if one >= 0 and held.get(given.get(one, -1)) == one else None
            goes_on = track if partner >= 0 else None
            nobodys = goes_on is not None and held.get(goes_on, -1) < 0
            if goes_on != right and not (right is None and nobodys):
                cause = _cause(decision, row, right, who)
                yield Mistake(decision.frame, row, track, goes_on is None, right, cause)
        for one, track in zip(who, tracks, strict=True):
            if track >= 0:
                held[track] = one
                if one >= 0:
                    given[one] = track


def _cause(decision: Decision, row: int, right: int | None, who: list[int]) -> Cause:
    assert decision.previous.ids is not None
    if who[row] < 0:
        return "detector"
    place = None
    if right is not None:
        known = decision.previous.ids.tolist()
        if right not in known:
            return "memory"
        place = known.index(right)
        if any(partner == place and who[other] < 0 for other, partner in enumerate(decision.partners.tolist())):
            return "detector"
    sizes = len(decision.previous), len(decision.current)
    better = best_total(decision.edge_index, decision.scores, sizes, row, place)
    chosen = float(decision.gains[decision.chosen].double().sum())
    return "solver" if better > chosen + 1e-6 * max(1.0, abs(chosen)) else "edge"
