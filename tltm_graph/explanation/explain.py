from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.association import (
    Counterfactual,
    Decision,
    EdgeScores,
    Message,
    counterfactual,
    explain_edge,
    runner_up,
)
from tltm_graph.detectors import Detector
from tltm_graph.explanation.replay import Scorer, replay
from tltm_graph.explanation.saved_graph import SavedGraph, decision_of
from tltm_graph.structures import class_name
from tltm_graph.tracking.tracker import Relation, Tracker


@dataclass(frozen=True)
class Candidate:
    """A track that an object was compared with.

    Args:
        track: Its id.
        age: Frames since it was seen.
        score: Of the transition.
        gain: What it has over both ends being left alone: its score less those of the birth and of the miss.
        chosen: Whether it was chosen.
        goes_to: Row of the object that the track went to; None if to none.
    """

    track: int
    age: int
    score: float
    gain: float
    chosen: bool
    goes_to: int | None


@dataclass(frozen=True)
class Change:
    """Another decision on an object.

    Args:
        row: Of the object.
        track: Which it was before.
        then: The track it would go on; None for a new one.
    """

    row: int
    track: int
    then: int | None


@dataclass(frozen=True)
class Explanation:
    """Why a tracker decided on an object as it did: :func:`explain`.

    Args:
        frame: Index of the frame.
        row: The object.
        track: The track it became, -1 for none.
        label: Its class, by name if that is known.
        confidence: Its detection score.
        continues: The track it goes on; None if it is new, or rejected.
        about: The track whose transition is taken apart: the one that was missed, if such a one was asked for, else the
            one it goes on, else the one that came nearest; None if there was no track.
        score: Of this transition.
        birth: Score of the object being new.
        miss: Score of the track being gone; None if there was no track.
        terms: What the score is the sum of, together with ``messages``.
        messages: From other tracks (``"previous"``, with the track as row) and objects (``"current"``), the strongest
            first.
        candidates: All tracks it was compared with, the best first.
        margin: By how much the assignment of the whole frame is better than the best one that decides otherwise here;
            None if there is none.
        runner_up: What would be different in that one.
        flip: The smallest change of one transition that would have changed the decision; ``previous`` and ``then`` are
            tracks here. None if no change would.
        missed: The track that was asked for and not seen; the object is the one that came nearest to it.
    """

    frame: int
    row: int
    track: int
    label: str
    confidence: float
    continues: int | None
    about: int | None
    score: float | None
    birth: float
    miss: float | None
    terms: dict[str, float]
    messages: tuple[Message, ...]
    candidates: tuple[Candidate, ...]
    margin: float | None
    runner_up: tuple[Change, ...]
    flip: Counterfactual | None
    missed: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return asdict(self)

    def text(self, num_messages: int = 4, num_candidates: int = 5) -> str:
        """The same in words."""
        place = f"frame {self.frame}, "
        lines = []
        if self.missed is not None:
            lines, place = [f"frame {self.frame}: track {self.missed} is missed; nearest to it comes"], ""
        lines.append(f"{place}object {self.row} ({self.label} {self.confidence:.2f}): {self._outcome()}")
        if self.about is not None and self.score is not None and self.miss is not None:
            gain = self.score - self.birth - self.miss
            lines += [
                f"  score for track {self.about}: {self.score:+.2f}, less {self.birth:+.2f} for being new "
                f"and {self.miss:+.2f} for the track being gone: {gain:+.2f}",
                "  it is the sum of",
                *(f"    {value:+7.2f}  {name}" for name, value in self.terms.items()),
                *(f"    {message.value:+7.2f}  from {_who(message)}" for message in self.messages[:num_messages]),
            ]
            rest = sum(message.value for message in self.messages[num_messages:])
            if len(self.messages) > num_messages:
                lines.append(f"    {rest:+7.2f}  from {len(self.messages) - num_messages} others")
        lines += [
            f"  {'chosen:' if one.chosen else 'or'} track {one.track} (last seen {one.age} "
            f"{'frame' if one.age == 1 else 'frames'} ago{_where(one)}): score {one.score:+.2f}, gain {one.gain:+.2f}"
            for one in self.candidates[:num_candidates]
        ]
        if self.margin is not None:
            others = "; ".join(
                f"object {change.row} {'new' if change.then is None else f'to track {change.then}'}"
                for change in self.runner_up
            )
            than = "better than the next best assignment" if self.margin >= 0 else "worse than the best assignment"
            lines.append(f"  {abs(self.margin):.3f} {than} of the frame: {others}")
        if self.flip is not None:
            then = "none of the tracks" if self.flip.then < 0 else f"track {self.flip.then}"
            way = "more" if self.flip.change > 0 else "less"
            lines.append(
                f"  {abs(self.flip.change):.3f} {way} for object {self.flip.current} and track {self.flip.previous}, "
                f"and it would have gone to {then}"
            )
        return "\n".join(lines)

    def _outcome(self) -> str:
        if self.continues is not None:
            return f"goes on track {self.continues}"
        return f"begins track {self.track}" if self.track >= 0 else "belongs to no track"


def _where(candidate: Candidate) -> str:
    return "" if candidate.chosen or candidate.goes_to is None else f", went to object {candidate.goes_to}"


def _who(message: Message) -> str:
    return f"{'track' if message.side == 'previous' else 'object'} {message.row}"


def explain(
    graph: SavedGraph,
    frame: int,
    track: int | None = None,
    row: int | None = None,
    make_tracker: Callable[[Detector, Relation | None], Tracker] = Tracker,
    scorer: Scorer | None = None,
) -> Explanation:
    """Why an object of a saved run was taken for what it was, or why a track was missed.

    The run is taken up a few frames before and repeated up to ``frame``, so all that the tracker knew then is known
    again.

    Args:
        graph: The saved run.
        frame: Index of the frame.
        track: The track whose object is asked for (if it was missed, the object that came nearest to it), or
        row: the row of the object.
        make_tracker: As that of the run: see :func:`tltm_graph.explanation.replay`.
        scorer: The relation model of the run, if it had one.

    Raises:
        ValueError: If there is no such frame, track or object, or the tracker decides other than that of the run.
    """
    saved = graph[frame]
    row, missed = _row(saved, track, row)
    made: list[Tracker] = []

    def make(found: Detector, relation: Relation | None) -> Tracker:
        made.append(make_tracker(found, relation))
        return made[0]

    steps = list(replay(graph, make, scorer, until=frame, start=graph.state_before(frame)))
    state, detections = steps[-1]
    assert state.transition is not None
    decision, tracker, pair = decision_of(state, detections), made[0], state.transition.graph
    if decision.tracks.tolist() != saved.tracks.tolist():
        raise ValueError(
            f"Expected a tracker that decides as that of '{graph.path}', got one that decides otherwise in frame "
            f"{frame}: give the parts and weights of the run, {graph.about.get('tracker', 'unknown')}"
        )
    logits = None if tracker.relation is None else tracker.relation.score(pair)
    return _explained(decision, row, missed, tracker, pair, logits, graph.class_names)


def _row(decision: Decision, track: int | None, row: int | None) -> tuple[int, int | None]:
    """The object that is asked for, and the track that was missed, if one was."""
    if (track is None) == (row is None):
        raise ValueError(f"Expected a track or the row of an object, got track {track} and row {row}")
    if track is not None:
        row = decision.row(track)
        if row is None:
            row = _nearest(decision, track)
            if row is not None:
                return row, track
            seen = sorted(one for one in decision.tracks.tolist() if one >= 0)
            raise ValueError(
                f"Expected a track that is seen in frame {decision.frame}, one of {seen}, or one that is remembered "
                f"and was compared with something, got {track}"
            )
    assert row is not None
    if not 0 <= row < len(decision.current):
        raise ValueError(f"Expected one of the {len(decision.current)} objects of frame {decision.frame}, got {row}")
    return row, None


def _nearest(decision: Decision, track: int) -> int | None:
    """The object that came nearest to a track that is remembered but was not seen."""
    assert decision.previous.ids is not None
    rows = (decision.previous.ids == track).nonzero().flatten()
    own = torch.isin(decision.edge_index[0], rows).nonzero().flatten()
    return int(decision.edge_index[1, own[decision.gains[own].argmax()]]) if len(own) else None


def _explained(
    decision: Decision,
    row: int,
    missed: int | None,
    tracker: Tracker,
    pair: HeteroData,
    logits: Tensor | None,
    class_names: Sequence[str] | None,
) -> Explanation:
    scores, edge_index = decision.scores, decision.edge_index
    assert decision.previous.ids is not None
    ids, sizes = decision.previous.ids.tolist(), (len(decision.previous), len(decision.current))
    partner = int(decision.partners[row])
    own = (edge_index[1] == row).nonzero().flatten()
    own = own[decision.gains[own].argsort(descending=True, stable=True)]
    asked = partner if missed is None else ids.index(missed)
    chosen = own[edge_index[0, own] == asked]
    about = int(chosen[0] if len(chosen) else own[0]) if len(own) else None
    told = None if about is None else explain_edge(tracker.affinity, pair, about, logits)
    other = runner_up(edge_index, scores, sizes, decision.assignment, row)
    flip = counterfactual(tracker.solver, edge_index, scores, sizes, row, None if missed is None else asked)
    previous = None if about is None else int(edge_index[0, about])
    score = None if about is None else float(scores.edges[about])
    return Explanation(
        frame=decision.frame,
        row=row,
        track=int(decision.tracks[row]),
        label=class_name(int(decision.current.labels[row]), class_names),
        confidence=float(decision.current.scores[row]),
        continues=ids[partner] if partner >= 0 else None,
        about=None if previous is None else ids[previous],
        score=score,
        birth=float(scores.births[row]),
        miss=None if previous is None else float(scores.misses[previous]),
        terms={} if told is None or score is None else _rounded_as(score, told.terms, told.total),
        messages=()
        if told is None
        else tuple(
            Message(one.side, ids[one.row] if one.side == "previous" else one.row, one.value) for one in told.messages
        ),
        candidates=_candidates(decision, own, scores, ids),
        margin=None if other is None else other.margin,
        runner_up=() if other is None else _changes(decision, {b: a for a, b in other.matches}, ids),
        flip=None
        if flip is None
        else Counterfactual(ids[flip.previous], flip.current, flip.change, ids[flip.then] if flip.then >= 0 else -1),
        missed=missed,
    )


def _rounded_as(score: float, terms: dict[str, float], total: float) -> dict[str, float]:
    """The terms, of which the first takes what single precision rounded of the score."""
    first = next(iter(terms))
    return {**terms, first: terms[first] + score - total} if abs(score - total) < 1e-4 * max(1, abs(score)) else terms


def _candidates(decision: Decision, own: Tensor, scores: EdgeScores, ids: list[int]) -> tuple[Candidate, ...]:
    found = []
    goes_to = {previous: row for row, previous in enumerate(decision.partners.tolist()) if previous >= 0}
    for edge in own.tolist():
        previous, current = decision.edge_index[:, edge].tolist()
        score, gain = float(scores.edges[edge]), float(decision.gains[edge])
        chosen = bool(decision.partners[current] == previous)
        found.append(Candidate(ids[previous], int(decision.age[previous]), score, gain, chosen, goes_to.get(previous)))
    return tuple(found)


def _changes(decision: Decision, then: dict[int, int], ids: list[int]) -> tuple[Change, ...]:
    """What another assignment, of rows to rows, decides otherwise."""
    changes = []
    for row, (track, partner) in enumerate(zip(decision.tracks.tolist(), decision.partners.tolist(), strict=True)):
        if then.get(row, -1) != partner:
            changes.append(Change(row, track, ids[then[row]] if row in then else None))
    return tuple(changes)
