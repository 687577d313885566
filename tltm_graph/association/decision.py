from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.association.affinity import EdgeScores
from tltm_graph.association.assignment import Assignment
from tltm_graph.graph import TRANSITION, frame_pair_graph
from tltm_graph.ops.rle import Rle
from tltm_graph.structures import Detections


@dataclass(frozen=True, eq=False)
class Decision:
    """What a tracker decided in one frame, and on what grounds.

    Args:
        frame: Index of the frame.
        time: Of the frame, in seconds.
        previous: The tracks, where they were expected, with the track of each as ``ids (M,)``.
        age: Frames since each was seen (M,), 1 for the frame before.
        current: The objects that were found, with the ids that were shown (N,), -1 for none.
        edge_index: Transitions (2, E), rows of ``previous`` and ``current``.
        scores: Theirs, and those of births and misses.
        assignment: What was chosen.
        tracks: Track of each object (N,), -1 for none; tentative tracks included.
        margins: By how much each object's decision is better than the next best (N,):
            :func:`tltm_graph.association.margins`.
        masks: Run-length encoded masks of the objects (N), empty where none was drawn; None for boxes alone.
    """

    frame: int
    time: float
    previous: Detections
    age: Tensor
    current: Detections
    edge_index: Tensor
    scores: EdgeScores
    assignment: Assignment
    tracks: Tensor
    margins: Tensor
    masks: Sequence[Rle] | None = None

    @property
    def partners(self) -> Tensor:
        """Row of the track that each object goes on (N,), -1 for those that are new or rejected."""
        rows = torch.full((len(self.current),), -1)
        rows[self.assignment.current] = self.assignment.previous
        return rows

    @property
    def chosen(self) -> Tensor:
        """Which transitions were chosen (E,), bool."""
        return self.partners[self.edge_index[1]] == self.edge_index[0]

    @property
    def gains(self) -> Tensor:
        """What each transition has over leaving both its ends alone (E,): its score less those of birth and miss."""
        row, column = self.edge_index
        return self.scores.edges - self.scores.births[column] - self.scores.misses[row]

    def row(self, track: int) -> int | None:
        """The row of the object of this track, None if it was not seen."""
        rows = (self.tracks == track).nonzero().flatten().tolist()
        return rows[0] if rows else None

    def graph(self) -> HeteroData:
        """The frame pair as PyG has it: :func:`tltm_graph.graph.frame_pair_graph`, and

        ``["previous"]``: ``age (M,)``, ``miss (M,)``, the score of being gone;
        ``["current"]``: ``birth (N,)``, the score of being new, ``track (N,)``, ``margin (N,)``;
        :data:`tltm_graph.graph.TRANSITION`: ``edge_index (2, E)`` of those transitions that were kept, ``score (E,)``,
        ``chosen (E,)``, and ``edge_attr (E, T)``, the terms of each score, in the order of ``edge_terms``.
        """
        known = self.current.ids is not None and self.previous.ids is not None
        graph = frame_pair_graph(self.previous, self.current if known else self.current.replace(ids=None))
        graph["previous"].age, graph["previous"].miss = self.age, self.scores.misses
        graph["current"].birth = self.scores.births
        graph["current"].track, graph["current"].margin = self.tracks, self.margins
        store = graph[TRANSITION]
        store.edge_index, store.score, store.chosen = self.edge_index, self.scores.edges, self.chosen
        if self.scores.terms:
            store.edge_attr = torch.stack(list(self.scores.terms.values()), dim=1)
        graph.edge_terms = list(self.scores.terms)
        return graph

    def with_best_edges(self, count: int) -> Self:
        """The same with only so many transitions of each object, those that gain most, and the chosen ones."""
        column = self.edge_index[1]
        order = self.gains.argsort(descending=True, stable=True)
        order = order[column[order].argsort(stable=True)]  # object by object, best first
        first = torch.searchsorted(column[order], column[order])
        kept = torch.zeros_like(column, dtype=torch.bool)
        kept[order] = torch.arange(len(order)) - first < count
        rows = (kept | self.chosen).nonzero().flatten()
        scores = self.scores
        terms = {name: term[rows] for name, term in scores.terms.items()}
        return replace(
            self, edge_index=self.edge_index[:, rows], scores=replace(scores, edges=scores.edges[rows], terms=terms)
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(frame {self.frame}: {self.assignment!r})"
