"""Relation models robbed of their evidence."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.structures import Detections
from tltm_graph.tracking import Relation, Tracker


class ZeroedRelation:
    """Knows nothing: every transition is as likely as not.

    Args:
        relation: Whose nodes it takes.
    """

    def __init__(self, relation: Relation) -> None:
        self.relation = relation

    def encode(self, detections: Detections) -> Tensor:
        """As the relation does."""
        return self.relation.encode(detections)

    def score(self, graph: HeteroData) -> Tensor:
        """Zeros (E,)."""
        return torch.zeros_like(self.relation.score(graph))


class ShuffledRelation:
    """Says what the relation says, of other transitions of the same frame: the evidence is there, the knowledge not.

    Args:
        relation: Whose logits it takes.
        seed: Of the order.
    """

    def __init__(self, relation: Relation, seed: int = 0) -> None:
        self.relation = relation
        self._generator = torch.Generator().manual_seed(seed)

    def encode(self, detections: Detections) -> Tensor:
        """As the relation does."""
        return self.relation.encode(detections)

    def score(self, graph: HeteroData) -> Tensor:
        """The logits (E,) in another order, drawn anew each time."""
        logits = self.relation.score(graph)
        return logits[torch.randperm(len(logits), generator=self._generator)]


def with_relation(tracker: Tracker, relation: Relation | None) -> Tracker:
    """The same tracker with another relation, or with none."""
    return Tracker(
        tracker.detector,
        relation,
        tracker.transform,
        tracker.affinity,
        tracker.solver,
        tracker.track_manager,
        tracker.max_shown,
    )
