from collections.abc import Iterable

import networkx as nx
from torch import Tensor

from tltm_graph.association import Decision
from tltm_graph.explanation.mistakes import Mistake


def association_graph(
    decisions: Iterable[Decision], max_edges: int = 5, mistakes: Iterable[Mistake] = ()
) -> nx.DiGraph:
    """The decisions of a tracker over a video as one :class:`networkx.DiGraph`.

    Nodes are the objects that were found, named ``"frame:row"``, with ``frame``, ``row``, ``track`` (-1 for none),
    ``shown`` (whether its id was shown), ``label``, ``score``, ``box`` and ``margin``. Edges run from the last object
    of a track to those it was compared with, with ``score`` and ``chosen``. A node on which the decision was wrong has
    its cause as ``mistake``, and the edge that would have been right ``right``, if it was compared. (Tracks are told
    apart by their id, so this is not for a :class:`tltm_graph.published.PublishedTrackManager` that forgets: there ids
    change hands.)

    Args:
        decisions: In the order of frames: a :class:`tltm_graph.explanation.SavedGraph`, or
            :func:`tltm_graph.explanation.decision_of` the steps of a tracker.
        max_edges: Edges kept for each object, those that gain most, and the chosen one.
        mistakes: Where the decisions were wrong: :func:`tltm_graph.explanation.mistakes`.
    """
    graph = nx.DiGraph()
    wrong = {(one.frame, one.row): one for one in mistakes}
    last_seen: dict[int, str] = {}  # track -> its last node
    for decision in decisions:
        names = [f"{decision.frame}:{row}" for row in range(len(decision.current))]
        tracks = decision.tracks.tolist()
        _add_nodes(graph, decision, names, tracks)
        kept = decision.with_best_edges(max_edges)
        ids = _tracks_of(decision).tolist()
        sources = [last_seen.get(track) for track in ids]
        rows = zip(*kept.edge_index.tolist(), kept.scores.edges.tolist(), kept.chosen.tolist(), strict=True)
        for previous, current, score, chosen in rows:
            if sources[previous] is not None:
                graph.add_edge(sources[previous], names[current], score=round(score, 4), chosen=chosen)
        for row, name in enumerate(names):
            if (decision.frame, row) in wrong:
                _mark(graph, decision, wrong[decision.frame, row], name, dict(zip(ids, sources, strict=True)))
        for name, track in zip(names, tracks, strict=True):
            if track >= 0:
                last_seen[track] = name
        for forgotten in last_seen.keys() - {*ids, *tracks}:
            del last_seen[forgotten]
    return graph


def _mark(graph: nx.DiGraph, decision: Decision, mistake: Mistake, name: str, sources: dict[int, str | None]) -> None:
    """Tells a node that it is wrong, and adds what would have been right."""
    graph.nodes[name]["mistake"] = mistake.cause
    source = None if mistake.right is None else sources.get(mistake.right)
    if source is None:
        return
    row, column = decision.edge_index
    about = (_tracks_of(decision)[row] == mistake.right) & (column == mistake.row)
    for score in decision.scores.edges[about].tolist():
        graph.add_edge(source, name, score=round(score, 4), chosen=False, right=True)


def _tracks_of(decision: Decision) -> Tensor:
    assert decision.previous.ids is not None
    return decision.previous.ids


def _add_nodes(graph: nx.DiGraph, decision: Decision, names: list[str], tracks: list[int]) -> None:
    found = decision.current
    assert found.ids is not None
    rows = zip(
        names,
        tracks,
        found.ids.tolist(),
        found.labels.tolist(),
        found.scores.tolist(),
        found.boxes.tolist(),
        decision.margins.tolist(),
        strict=True,
    )
    for row, (name, track, shown, label, score, box, margin) in enumerate(rows):
        graph.add_node(
            name,
            frame=decision.frame,
            row=row,
            track=track,
            shown=shown >= 0,
            label=label,
            score=round(score, 4),
            box=[round(value, 2) for value in box],
            margin=round(margin, 4),
        )
