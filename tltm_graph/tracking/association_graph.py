import json
from pathlib import Path

import networkx as nx
from torch import Tensor

from tltm_graph.graph import TRANSITION
from tltm_graph.io import write_atomically
from tltm_graph.structures import Detections
from tltm_graph.tracking.tracker import TrackerState


class AssociationGraph:
    """The decisions of a tracker over a whole video as one :class:`networkx.DiGraph`.

    Nodes are observations, named ``"frame:row"``, with ``frame``, ``row``, ``track`` (-1 for none), ``shown`` (whether
    its id was shown), ``label``, ``score`` and ``box``. Edges run from the last observation of a track to the
    objects it was compared with, with ``score`` and ``chosen``. (Tracks are told apart by their id, so this is not for
    a :class:`tltm_graph.tracking.PublishedLifeCycle` that forgets: there ids change hands.)

    Args:
        max_edges: Edges kept for each object, the best ones and the chosen one.
    """

    def __init__(self, max_edges: int = 5) -> None:
        self.max_edges = max_edges
        self.graph = nx.DiGraph()
        self._last_seen: dict[int, str] = {}  # track -> its last node

    def add(self, state: TrackerState, detections: Detections) -> None:
        """Takes in the step that led to ``state`` and gave ``detections``."""
        transition = state.transition
        if transition is None or detections.ids is None:
            raise ValueError("Expected the state and the detections of a step, got a state before the first frame")
        tracks = transition.current_tracks.tolist()
        rows = zip(
            tracks,
            detections.ids.tolist(),
            detections.labels.tolist(),
            detections.scores.tolist(),
            detections.boxes.tolist(),
            strict=True,
        )
        names = [f"{state.frame}:{row}" for row in range(len(detections))]
        for name, (row, (track, shown, label, score, box)) in zip(names, enumerate(rows), strict=True):
            box = [round(value, 2) for value in box]
            self.graph.add_node(
                name,
                frame=state.frame,
                row=row,
                track=track,
                shown=shown >= 0,
                label=label,
                score=round(score, 4),
                box=box,
            )
        store = transition.graph[TRANSITION]
        sources = [self._last_seen.get(track) for track in transition.previous_tracks.tolist()]
        chosen = set(zip(transition.assignment.previous.tolist(), transition.assignment.current.tolist(), strict=True))
        for previous, current, score in self._best(store.edge_index, store.score, chosen):
            if sources[previous] is not None:
                pair = (previous, current)
                self.graph.add_edge(sources[previous], names[current], score=round(score, 4), chosen=pair in chosen)
        for name, track in zip(names, tracks, strict=True):
            if track >= 0:
                self._last_seen[track] = name
        for forgotten in self._last_seen.keys() - set(state.memory.ids.tolist()):
            del self._last_seen[forgotten]

    def _best(self, edge_index: Tensor, score: Tensor, chosen: set[tuple[int, int]]) -> list[tuple[int, int, float]]:
        """For each current object, its ``max_edges`` best transitions, and the chosen one whatever its rank."""
        order = score.argsort(descending=True)
        kept: list[tuple[int, int, float]] = []
        count: dict[int, int] = {}
        for previous, current, value in zip(*edge_index[:, order].tolist(), score[order].tolist(), strict=True):
            if count.get(current, 0) < self.max_edges or (previous, current) in chosen:
                count[current] = count.get(current, 0) + 1
                kept.append((previous, current, value))
        return kept

    def save(self, path: str | Path) -> None:
        """Writes the graph as node-link JSON: ``networkx.node_link_graph(json.load(file), edges="edges")`` reads it."""
        with write_atomically(path) as temporary:
            temporary.write_text(json.dumps(nx.node_link_data(self.graph, edges="edges")), encoding="utf-8")
