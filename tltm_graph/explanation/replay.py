from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.detectors import Detector
from tltm_graph.explanation.saved_graph import SavedGraph
from tltm_graph.structures import Detections, Frame
from tltm_graph.tracking.tracker import Relation, Tracker, TrackerState


class Scorer(Protocol):
    """What is needed of a relation model when its nodes are known."""

    def score(self, graph: HeteroData) -> Tensor:
        """Edge logits (E,)."""
        ...


def replay(
    graph: SavedGraph,
    make_tracker: Callable[[Detector, Relation | None], Tracker] = Tracker,
    scorer: Scorer | None = None,
    score_threshold: float = 0.0,
    until: int | None = None,
    start: TrackerState | None = None,
) -> Iterator[tuple[TrackerState, Detections]]:
    """Associates the objects of a saved graph again, without looking at the video.

    >>> for state, detections in replay(graph, lambda found, relation: Tracker(found, solver=GreedySolver())): ...

    With the parts of the first run, it decides what that decided.

    Args:
        graph: The decisions of a run.
        make_tracker: Makes the tracker, of a detector that repeats what was found, and of a relation, or None.
        scorer: The relation model of the first run, if there was one: its nodes are saved, its judgement is made anew.
        score_threshold: Objects that score less are left out.
        until: The last frame; None for all.
        start: Where to go on from, such as :meth:`SavedGraph.state_before`; None for the beginning.

    Yields:
        The state after each frame, and its objects with ids, boxes and masks as they were shown. (Where masks were
        drawn for shown objects alone, one that is shown only now has an empty mask.)

    Raises:
        ValueError: If there is a scorer, but the graph was saved without nodes for it, or the other way round.
    """
    frames = graph.frames
    if frames and (graph.found(frames[0]).features is None) != (scorer is None):
        raise ValueError(
            f"Expected a graph with the nodes of a relation model in '{graph.path}', got one without: its run had none"
            if scorer is not None
            else f"Expected the relation model whose nodes are in '{graph.path}': give its weights"
        )
    found = _Found(graph, score_threshold)
    tracker = make_tracker(found, None if scorer is None else _Nodes(scorer))
    state = tracker.start() if start is None else start
    black = torch.zeros((1, 1, 1), dtype=torch.uint8).expand(3, *(graph.size or (1, 1)))
    for decision in graph.decisions(after=state.frame, until=until):
        state, detections = tracker.step(state, Frame(black, decision.frame, decision.time))
        yield state, found.drawn(decision.frame, detections)


class _Found:
    """What was found in a video, in place of the detector that found it."""

    def __init__(self, graph: SavedGraph, score_threshold: float) -> None:
        self.graph, self.score_threshold = graph, score_threshold
        self.class_names, self.draws_last = graph.class_names, graph.draws_last

    def detect(self, frame: Frame, context: object = None) -> tuple[Detections, None]:
        return self._kept(self.graph.found(frame.index)), None

    def drawn(self, frame: int, detections: Detections) -> Detections:
        shown = self._kept(self.graph.drawn(frame))
        return shown.replace(ids=detections.ids)

    def _kept(self, detections: Detections) -> Detections:
        return detections[detections.scores >= self.score_threshold] if self.score_threshold > 0 else detections

    def __repr__(self) -> str:
        return f"{self.graph!r}"


class _Nodes:
    """A relation model that remembers what it made of each object."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.affinity = getattr(scorer, "affinity", None)

    def encode(self, detections: Detections) -> Tensor:
        assert detections.features is not None
        return detections.features

    def score(self, graph: HeteroData) -> Tensor:
        return self.scorer.score(graph)

    def __repr__(self) -> str:
        return repr(self.scorer)
