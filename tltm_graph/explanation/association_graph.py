from collections.abc import Iterable

import networkx as nx
from torch import Tensor

from tltm_graph.association import Decision
from tltm_graph.explanation.mistakes import Mistake


def association_graph(
    decisions: Iterable[Decision], max_edges: int = 5, mistakes: Iterable[Mistake] = ()
) -> nx.DiGraph:
    """Build one :class:`networkx.DiGraph` of a tracker's decisions over a video.

    Nodes are the detections, named ``"frame:row"``, with ``frame``, ``row``, ``track`` (-1 for none), ``shown`` (True
    if the id was shown), ``label``, ``score``, ``box`` and ``margin``. Edges lead from the last detection of a track to
    those it was compared with, with ``score`` and ``chosen``. A node with a wrong decision has the cause as
    ``mistake``, and the edge that would have been right has ``right``, if it was scored. Tracks must keep their ids.

    Args:
        decisions: Decisions in the order of frames: a :class:`tltm_graph.explanation.SavedGraph`, or ``state.decision``
            of each step of a tracker.
        max_edges: Number of edges kept for each detection, those of highest gain; the chosen one is always kept.
        mistakes: Wrong decisions to mark: :func:`tltm_graph.explanation.mistakes`.
    """
    graph = nx.DiGraph()
    wrong = {(mistake.frame, mistake.row): mistake for mistake in mistakes}
    last_node: dict[int, str] = {}  # track -> its last node
    for decision in decisions:
        names = [f"{decision.frame}:{row}" for row in range(len(decision.current))]
        tracks = decision.tracks.tolist()
        _add_nodes(graph, decision, names, tracks)
        kept = decision.with_best_edges(max_edges)
        ids = _tracks_of(decision).tolist()
        sources = [last_node.get(track) for track in ids]
        rows = zip(*kept.edge_index.tolist(), kept.scores.edges.tolist(), kept.chosen.tolist(), strict=True)
        for previous, current, score, chosen in rows:
            if sources[previous] is not None:
                graph.add_edge(sources[previous], names[current], score=round(score, 4), chosen=chosen)
        for row, name in enumerate(names):
            if (decision.frame, row) in wrong:
                _mark(graph, decision, wrong[decision.frame, row], name, dict(zip(ids, sources, strict=True)))
        for name, track in zip(names, tracks, strict=True):
            if track >= 0:
                last_node[track] = name
        for removed in last_node.keys() - {*ids, *tracks}:
            del last_node[removed]
    return graph


def _mark(graph: nx.DiGraph, decision: Decision, mistake: Mistake, name: str, sources: dict[int, str | None]) -> None:
    """Mark a node as wrong, and add the right edge if it was scored."""
    graph.nodes[name]["mistake"] = mistake.cause
    source = None if mistake.right is None else sources.get(mistake.right)
    if source is None:
        return
    row, column = decision.edge_index
    right = (_tracks_of(decision)[row] == mistake.right) & (column == mistake.row)
    for score in decision.scores.edges[right].tolist():
        graph.add_edge(source, name, score=round(score, 4), chosen=False, right=True)


def _tracks_of(decision: Decision) -> Tensor:
    assert decision.previous.ids is not None
    return decision.previous.ids


def _add_nodes(graph: nx.DiGraph, decision: Decision, names: list[str], tracks: list[int]) -> None:
    detections = decision.current
    assert detections.ids is not None
    rows = zip(
        names,
        tracks,
        detections.ids.tolist(),
        detections.labels.tolist(),
        detections.scores.tolist(),
        detections.boxes.tolist(),
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
