"""Losses of an appearance model that adds evidence."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.graph import TRANSITION
from tltm_graph.models import TLTM
from tltm_graph.models.appearance import AppearanceEvidence
from tltm_graph.training.losses import edge_loss
from tltm_graph.training.relation_objective import encoded_batch


class EvidenceObjective:
    """Losses of :class:`AppearanceEvidence` on graphs with pooled evidence, with and without the GNN.

    The sum of the evidence must be right on its own, so that the GNN only corrects it and every summand keeps its
    meaning.

    Args:
        sum_weight: Weight of the loss without the GNN.
    """

    def __init__(self, sum_weight: float = 1.0) -> None:
        self.sum_weight = sum_weight

    def __call__(self, model: AppearanceEvidence | TLTM, graphs: Sequence[HeteroData]) -> dict[str, Tensor]:
        """Compute the losses of the graphs, to be added.

        Args:
            model: The appearance model, or a TLTM with it, of which only the appearance model learns.
            graphs: At least one graph, as of :func:`tltm_graph.training.look_alike_data.look_alike_graph`.

        Returns:
            ``"gnn_edge"`` of the whole model and ``"sum_edge"`` of the sum of the evidence without the GNN.

        Raises:
            ValueError: If there is no graph, or the model adds no evidence.
        """
        relation = model.relation if isinstance(model, TLTM) else model
        if not isinstance(relation, AppearanceEvidence):
            raise ValueError(f"Expected a model with AppearanceEvidence, got {relation!r}: build it with tltm_pico()")
        batch = encoded_batch(relation, graphs)
        terms = relation.evidence(batch)
        logits, labels = torch.stack(list(terms.values())).sum(dim=0), batch[TRANSITION].y
        return {
            "gnn_edge": edge_loss(logits, labels),
            "sum_edge": self.sum_weight * edge_loss(logits - terms["rivals"], labels),
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sum_weight={self.sum_weight})"
