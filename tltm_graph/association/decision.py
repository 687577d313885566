from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.association.affinity import EdgeScores
from tltm_graph.association.margin import margins
from tltm_graph.association.solvers import Assignment
from tltm_graph.graph import TRANSITION, frame_pair_graph
from tltm_graph.ops import encode_rle
from tltm_graph.ops.rle import Rle
from tltm_graph.structures import Detections


@dataclass(frozen=True, eq=False)
class Decision:
    """Record of one tracker step: the frame-pair graph, its scores, and the assignment.

    Args:
        frame: Index of the frame.
        time: Time of the frame in seconds.
        previous: Tracks at their predicted boxes (M), with track ids.
        current: Detections as the association saw them (N), with the ids shown: -1 for none.
        time_since_update: Frames since the last observation of each track (M,), 1 for the frame before.
        edge_index: Scored edges (2, E), rows of ``previous`` and ``current``.
        scores: Scores of edges, births and misses.
        assignment: Assignment that the solver chose.
        tracks: Track of each detection (N,), tentative tracks included, -1 for none.
        output: Detections that the step returned, with masks; None if read from a file.
        graph: Graph that was scored; None if read from a file.
        stored_margins: Margins read from a file; None to compute them when asked for.
        stored_masks: Run-length encoded masks read from a file; None to encode those of ``output``.
    """

    frame: int
    time: float
    previous: Detections
    current: Detections
    time_since_update: Tensor
    edge_index: Tensor
    scores: EdgeScores
    assignment: Assignment
    tracks: Tensor
    output: Detections | None = None
    graph: HeteroData | None = None
    stored_margins: Tensor | None = None
    stored_masks: Sequence[Rle] | None = None

    @cached_property
    def margins(self) -> Tensor:
        """Margin of each decision over the next best (N,): :func:`~tltm_graph.association.margin.margins`."""
        if self.stored_margins is not None:
            return self.stored_margins
        sizes = len(self.previous), len(self.current)
        return margins(self.edge_index, self.scores, sizes, self.assignment)

    @cached_property
    def masks(self) -> Sequence[Rle] | None:
        """Run-length encoded masks (N), empty where none was drawn; None if there are only boxes."""
        if self.stored_masks is not None or self.output is None or self.output.masks is None:
            return self.stored_masks
        return encode_rle(self.output.masks)

    @property
    def partners(self) -> Tensor:
        """Row of the track that each detection continues (N,), -1 for births and rejected detections."""
        rows = torch.full((len(self.current),), -1)
        rows[self.assignment.current] = self.assignment.previous
        return rows

    @property
    def chosen(self) -> Tensor:
        """Mask of the edges that were chosen (E,), bool."""
        return self.partners[self.edge_index[1]] == self.edge_index[0]

    @property
    def gains(self) -> Tensor:
        """Gain of each edge over leaving both ends unmatched (E,): its score minus the birth and the miss score."""
        row, column = self.edge_index
        return self.scores.edges - self.scores.births[column] - self.scores.misses[row]

    def row(self, track: int) -> int | None:
        """Find the row of the detection of a track, None if the track has none."""
        rows = (self.tracks == track).nonzero().flatten().tolist()
        return rows[0] if rows else None

    def to_graph(self) -> HeteroData:
        """Build a PyG graph of the decision.

        Returns:
            :func:`tltm_graph.graph.frame_pair_graph`, with ``["previous"]``: ``time_since_update (M,)``, ``miss (M,)``,
            the miss score; ``["current"]``: ``birth (N,)``, the birth score, ``track (N,)``, ``margin (N,)``;
            :data:`tltm_graph.graph.TRANSITION`: ``edge_index (2, E)``, ``score (E,)``, ``chosen (E,)`` and
            ``edge_attr (E, T)``, the terms of each score in the order of ``edge_terms``.
        """
        graph = frame_pair_graph(self.previous, self.current)
        graph["previous"].time_since_update, graph["previous"].miss = self.time_since_update, self.scores.misses
        graph["current"].birth = self.scores.births
        graph["current"].track, graph["current"].margin = self.tracks, self.margins
        store = graph[TRANSITION]
        store.edge_index, store.score, store.chosen = self.edge_index, self.scores.edges, self.chosen
        if self.scores.terms:
            store.edge_attr = torch.stack(list(self.scores.terms.values()), dim=1)
        graph.edge_terms = list(self.scores.terms)
        return graph

    def compact(self) -> Self:
        """Copy on the CPU without pixels: margins are computed, masks encoded, ``output`` and ``graph`` dropped."""
        scores = self.scores
        return replace(
            self,
            previous=_plain(self.previous),
            current=_plain(self.current),
            time_since_update=self.time_since_update.cpu(),
            edge_index=self.edge_index.cpu(),
            scores=EdgeScores(
                scores.edges.detach().cpu(),
                scores.births.detach().cpu(),
                scores.misses.detach().cpu(),
                {name: term.detach().cpu() for name, term in scores.terms.items()},
                None if scores.objects is None else scores.objects.detach().cpu(),
            ),
            tracks=self.tracks.cpu(),
            output=None,
            graph=None,
            stored_margins=self.margins,
            stored_masks=self.masks,
        )

    def with_best_edges(self, count: int) -> Self:
        """Copy with at most ``count`` edges for each detection, those of highest gain, and the chosen ones."""
        column = self.edge_index[1]
        order = self.gains.argsort(descending=True, stable=True)
        order = order[column[order].argsort(stable=True)]  # by detection, highest gain first
        first = torch.searchsorted(column[order], column[order])
        kept = torch.zeros_like(column, dtype=torch.bool)
        kept[order] = torch.arange(len(order)) - first < count
        rows = (kept | self.chosen).nonzero().flatten()
        scores = self.scores
        terms = {name: term[rows] for name, term in scores.terms.items()}
        return replace(
            self,
            edge_index=self.edge_index[:, rows],
            scores=replace(scores, edges=scores.edges[rows], terms=terms),
            stored_margins=self.margins,  # of all edges
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(frame {self.frame}: {self.assignment!r})"


def _plain(detections: Detections) -> Detections:
    return detections.replace(masks=None, features=None, embeddings=None).to("cpu")
