from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from tltm_graph.association import Decision, LearnedAffinity
from tltm_graph.association.affinity import Message
from tltm_graph.association.learned_affinity import GATED
from tltm_graph.association.margin import Counterfactual, counterfactual, runner_up
from tltm_graph.detectors import Detector
from tltm_graph.explanation.replay import replay
from tltm_graph.explanation.saved_graph import SavedGraph
from tltm_graph.structures.detections import class_name
from tltm_graph.tracking import Tracker


@dataclass(frozen=True)
class Candidate:
    """Track that a detection was compared with.

    Args:
        track: Id of the track.
        time_since_update: Frames since its last observation.
        score: Score of the edge.
        gain: Score minus the birth score of the detection and the miss score of the track.
        chosen: True if the edge was chosen.
        matched_row: Row of the detection that the track was matched with; None if it was missed.
    """

    track: int
    time_since_update: float
    score: float
    gain: float
    chosen: bool
    matched_row: int | None


@dataclass(frozen=True)
class Change:
    """Difference between the chosen and another assignment, for one detection.

    Args:
        row: Row of the detection.
        track: Track of the detection in the chosen assignment.
        then: Track that it would continue instead; None for a birth.
    """

    row: int
    track: int
    then: int | None


@dataclass(frozen=True)
class AppearanceRole:
    """Role of the appearance model in a decision.

    Args:
        evidence: Named summands of its logit for the edge, in log-odds.
        score: Score of the edge without the appearance model; None if motion alone rules it out.
        continues: Track that the detection would continue without the appearance model; None for a birth or a rejected
            detection.
    """

    evidence: dict[str, float]
    score: float | None
    continues: int | None


@dataclass(frozen=True)
class Explanation:
    """Explanation of a tracker's decision on one detection, from :func:`explain`.

    Args:
        frame: Index of the frame.
        row: Row of the detection.
        track: Track of the detection, -1 for none.
        label: Name of its class.
        confidence: Detection score.
        continues: Track that it continues; None for a birth or a rejected detection.
        about: Track of the edge that is decomposed: the missed track if one was asked for, else the track that the
            detection continues, else the track with the highest gain; None if there was no track.
        score: Score of this edge.
        birth: Birth score of the detection.
        miss: Miss score of the track; None if there was no track.
        terms: Named summands of the score; together with ``messages`` they add up to it.
        messages: Contributions of other tracks (``"previous"``, with the track as row) and other detections
            (``"current"``), strongest first.
        candidates: Tracks that the detection was compared with, highest gain first.
        margin: Score of the frame's assignment minus that of the best assignment with another decision here; None
            without an alternative.
        runner_up: Differences of that assignment.
        flip: Smallest change of one edge score that changes the decision, with tracks as ``previous`` and ``then``;
            None if no single change is enough.
        missed: Missed track that was asked for; the detection is then the one with the highest gain for it.
        appearance: Role of the appearance model; None if there is none.
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
    appearance: AppearanceRole | None = None

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain data, for JSON."""
        return asdict(self)

    def text(self, num_messages: int = 4, num_candidates: int = 5) -> str:
        """Format as lines of text."""
        place = f"frame {self.frame}, "
        lines = []
        if self.missed is not None:
            lines, place = [f"frame {self.frame}: track {self.missed} is missed; the closest detection is"], ""
        lines.append(f"{place}object {self.row} ({self.label} {self.confidence:.2f}): {self._outcome()}")
        if self.about is not None and self.score is not None and self.miss is not None:
            gain = self.score - self.birth - self.miss
            lines += [
                f"  score for track {self.about}: {self.score:+.2f}, minus birth {self.birth:+.2f} and miss "
                f"{self.miss:+.2f}: gain {gain:+.2f}",
                "  the score is the sum of",
                *(f"    {value:+7.2f}  {name}" for name, value in self.terms.items()),
                *(f"    {message.value:+7.2f}  from {_sender(message)}" for message in self.messages[:num_messages]),
            ]
            rest = sum(message.value for message in self.messages[num_messages:])
            if len(self.messages) > num_messages:
                lines.append(f"    {rest:+7.2f}  from {len(self.messages) - num_messages} others")
        if self.appearance is not None:
            lines += self._appearance_lines(self.appearance)
        for candidate in self.candidates[:num_candidates]:
            waited = round(candidate.time_since_update)
            ago = "1 frame" if waited == 1 else f"{waited} frames"
            lines.append(
                f"  {'chosen:' if candidate.chosen else 'or'} track {candidate.track} (last seen {ago} ago"
                f"{_match_of(candidate)}): score {candidate.score:+.2f}, gain {candidate.gain:+.2f}"
            )
        if self.margin is not None:
            changes = "; ".join(
                f"object {change.row} {'new' if change.then is None else f'to track {change.then}'}"
                for change in self.runner_up
            )
            than = "better than the next best assignment" if self.margin >= 0 else "worse than the best assignment"
            lines.append(f"  {abs(self.margin):.3f} {than} of the frame: {changes}")
        if self.flip is not None:
            outcome = "unmatched" if self.flip.then < 0 else f"matched with track {self.flip.then}"
            direction = "more" if self.flip.change > 0 else "less"
            lines.append(
                f"  with {abs(self.flip.change):.3f} {direction} for object {self.flip.current} and track "
                f"{self.flip.previous} it would have been {outcome}"
            )
        return "\n".join(lines)

    def _appearance_lines(self, appearance: AppearanceRole) -> list[str]:
        parts = ", ".join(f"{name} {value:+.2f}" for name, value in appearance.evidence.items())
        total = sum(appearance.evidence.values())
        score = "be too far away" if appearance.score is None else f"score {appearance.score:+.2f}"
        if appearance.continues == self.continues:
            outcome = "the decision would be the same"
        elif appearance.continues is None:
            outcome = "the object would be unmatched"
        else:
            outcome = f"the object would continue track {appearance.continues}"
        return [
            f"  log-odds of the appearance: {total:+.2f} = {parts}",
            f"  without appearance the edge would {score}, and {outcome}",
        ]

    def _outcome(self) -> str:
        if self.continues is not None:
            return f"continues track {self.continues}"
        return f"starts track {self.track}" if self.track >= 0 else "belongs to no track"


def _match_of(candidate: Candidate) -> str:
    if candidate.chosen or candidate.matched_row is None:
        return ""
    return f", matched with object {candidate.matched_row}"


def _sender(message: Message) -> str:
    return f"{'track' if message.side == 'previous' else 'object'} {message.row}"


def explain(
    graph: SavedGraph,
    frame: int,
    track: int | None = None,
    row: int | None = None,
    make_tracker: Callable[[Detector], Tracker] = Tracker,
) -> Explanation:
    """Explain the decision on one detection of a saved run, or the miss of a track.

    The run is resumed a few frames before ``frame`` and repeated up to it, so that the tracker's state is known.

    Args:
        graph: Saved run.
        frame: Index of the frame.
        track: Id of a track: its detection is explained or, if the track was missed, the detection closest to it.
        row: Row of a detection, instead of ``track``.
        make_tracker: Builds a tracker like that of the run: see :func:`tltm_graph.explanation.replay`.

    Raises:
        ValueError: If there is no such frame, track or detection, or the tracker decides differently from that of the
            run.
    """
    saved = graph[frame]
    row, missed = _select_row(saved, track, row)
    trackers: list[Tracker] = []

    def make(detector: Detector) -> Tracker:
        trackers.append(make_tracker(detector))
        return trackers[0]

    *_, (state, _) = replay(graph, make, since=frame, until=frame)
    decision = state.decision
    assert decision is not None
    if decision.tracks.tolist() != saved.tracks.tolist():
        raise ValueError(
            f"Expected a tracker that decides as that of '{graph.path}', got one that decides otherwise in frame "
            f"{frame}: give the parts and weights of the run, {graph.about.get('tracker', 'unknown')}"
        )
    return _explain(decision, row, missed, trackers[0], graph.class_names)


def _select_row(decision: Decision, track: int | None, row: int | None) -> tuple[int, int | None]:
    """Row to explain, and the missed track that was asked for."""
    if (track is None) == (row is None):
        raise ValueError(f"Expected a track or the row of an object, got track {track} and row {row}")
    if track is not None:
        row = decision.row(track)
        if row is None:
            row = _closest(decision, track)
            if row is not None:
                return row, track
            visible = sorted(other for other in decision.tracks.tolist() if other >= 0)
            raise ValueError(
                f"Expected a track that is visible in frame {decision.frame}, one of {visible}, or a lost one that was "
                f"compared with a detection, got {track}"
            )
    assert row is not None
    if not 0 <= row < len(decision.current):
        raise ValueError(f"Expected one of the {len(decision.current)} objects of frame {decision.frame}, got {row}")
    return row, None


def _closest(decision: Decision, track: int) -> int | None:
    """Row of the detection with the highest gain for a missed track."""
    assert decision.previous.ids is not None
    rows = (decision.previous.ids == track).nonzero().flatten()
    own = torch.isin(decision.edge_index[0], rows).nonzero().flatten()
    return int(decision.edge_index[1, own[decision.gains[own].argmax()]]) if len(own) else None


def _explain(
    decision: Decision, row: int, missed: int | None, tracker: Tracker, class_names: Sequence[str] | None
) -> Explanation:
    scores, edge_index = decision.scores, decision.edge_index
    assert decision.previous.ids is not None
    assert decision.graph is not None
    ids, sizes = decision.previous.ids.tolist(), (len(decision.previous), len(decision.current))
    partner = int(decision.partners[row])
    own = (edge_index[1] == row).nonzero().flatten()
    own = own[decision.gains[own].argsort(descending=True, stable=True)]
    target = partner if missed is None else ids.index(missed)
    chosen = own[edge_index[0, own] == target]
    about = int(chosen[0] if len(chosen) else own[0]) if len(own) else None
    explanation = None if about is None else tracker.affinity.explain(decision.graph, about)
    other = runner_up(edge_index, scores, sizes, decision.assignment, row)
    flip = counterfactual(tracker.solver, edge_index, scores, sizes, row, None if missed is None else target)
    previous = None if about is None else int(edge_index[0, about])
    score = None if about is None else float(scores.edges[about])
    messages = () if explanation is None else explanation.messages
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
        terms={}
        if explanation is None or score is None
        else _absorb_rounding(score, explanation.terms, explanation.total),
        messages=tuple(
            Message(message.side, ids[message.row] if message.side == "previous" else message.row, message.value)
            for message in messages
        ),
        candidates=_candidates(decision, own, ids),
        margin=None if other is None else other.margin,
        runner_up=() if other is None else _changes(decision, {b: a for a, b in other.matches}, ids),
        flip=None
        if flip is None
        else Counterfactual(ids[flip.previous], flip.current, flip.change, ids[flip.then] if flip.then >= 0 else -1),
        missed=missed,
        appearance=None if about is None else _appearance_role(decision, row, about, tracker),
    )


def _appearance_role(decision: Decision, row: int, edge: int, tracker: Tracker) -> AppearanceRole | None:
    """Decide again without the appearance model."""
    affinity, graph = tracker.affinity, decision.graph
    if not isinstance(affinity, LearnedAffinity) or affinity.appearance is None or graph is None:
        return None
    scores = affinity.without_appearance().score(graph)
    sizes = len(decision.previous), len(decision.current)
    assignment = tracker.solver(decision.edge_index, scores.edges, sizes, scores.births, scores.misses)
    continued = assignment.previous[assignment.current == row].tolist()
    assert decision.previous.ids is not None
    score = float(scores.edges[edge])
    return AppearanceRole(
        evidence={name: float(value[edge]) for name, value in affinity.appearance.evidence(graph).items()},
        score=None if score <= GATED else score,
        continues=int(decision.previous.ids[continued[0]]) if continued else None,
    )


def _absorb_rounding(score: float, terms: dict[str, float], total: float) -> dict[str, float]:
    """Add the single-precision rounding of the score to the first term."""
    first = next(iter(terms))
    return {**terms, first: terms[first] + score - total} if abs(score - total) < 1e-4 * max(1, abs(score)) else terms


def _candidates(decision: Decision, own: Tensor, ids: list[int]) -> tuple[Candidate, ...]:
    candidates = []
    matched_rows = {previous: row for row, previous in enumerate(decision.partners.tolist()) if previous >= 0}
    for edge in own.tolist():
        previous, current = decision.edge_index[:, edge].tolist()
        candidates.append(
            Candidate(
                track=ids[previous],
                time_since_update=float(decision.time_since_update[previous]),
                score=float(decision.scores.edges[edge]),
                gain=float(decision.gains[edge]),
                chosen=bool(decision.partners[current] == previous),
                matched_row=matched_rows.get(previous),
            )
        )
    return tuple(candidates)


def _changes(decision: Decision, then: dict[int, int], ids: list[int]) -> tuple[Change, ...]:
    """Differences of another assignment, given as current row to previous row."""
    changes = []
    for row, (track, partner) in enumerate(zip(decision.tracks.tolist(), decision.partners.tolist(), strict=True)):
        if then.get(row, -1) != partner:
            changes.append(Change(row, track, ids[then[row]] if row in then else None))
    return tuple(changes)
