import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from tltm_graph.graph import TRANSITION
from tltm_graph.nn import FoldedTransitionGNN, InstanceEncoder, TransitionGNN, edge_cosine_similarity
from tltm_graph.structures import Detections


class RelationModel(nn.Module):
    """Appearance model of an encoder and a GNN: from a detector's features to edge logits.

    Args:
        encoder: Encodes the features of objects as embeddings (N, channels).
        gnn: Scores the edges between them. A folded one is for inference only.
        groups: If above 0, the GNN reads edge features (E, 2 groups + 1): the similarity of both ends
            (:func:`tltm_graph.nn.edge_cosine_similarity`), scaled to ±4, for the last and for the mean embedding of
            the track; and the log of the time since update, minus 1.

    Raises:
        ValueError: If the GNN takes other edge features than these.
    """

    is_trained: Tensor

    def __init__(
        self,
        encoder: nn.Module | None = None,
        gnn: TransitionGNN | FoldedTransitionGNN | None = None,
        groups: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder or InstanceEncoder()
        self.gnn = gnn or TransitionGNN()
        self.groups = groups
        if groups and self.gnn.edge_dim != 2 * groups + 1:
            raise ValueError(
                f"Expected a GNN with {2 * groups + 1} edge features for {groups} groups, "
                f"got one with {self.gnn.edge_dim}"
            )
        # Saved with the weights and set by training, so that random weights are never used for association.
        self.register_buffer("is_trained", torch.tensor(False))

    def encode(self, detections: Detections) -> Tensor:
        """Compute the embeddings (N, channels) of the objects of one frame.

        Raises:
            ValueError: If the detections have no features.
        """
        if detections.features is None:
            if len(detections) == 0:
                return detections.boxes.new_zeros((0, self.gnn.channels))
            raise ValueError(
                f"Expected detections with features, got {detections!r}: this detector cannot feed a relation model"
            )
        return self.encoder(detections.features)

    def score(self, graph: HeteroData) -> Tensor:
        """Compute the edge logits (E,) of a graph whose nodes have ``x``; :meth:`edge_features` reads more fields."""
        x = graph["previous"].x, graph["current"].x
        return self.gnn(x, graph[TRANSITION].edge_index, self.edge_features(graph))

    def edge_features(self, graph: HeteroData) -> Tensor | None:
        """Compute the edge features of the GNN (E, D): those of the class with ``groups``, else ``edge_attr`` or None.

        The graph may have ``graph["previous"].time_since_update (M,)`` in frames and the mean embedding over all
        observations, ``graph["previous"].mean_x (M, channels)``, as :class:`tltm_graph.tracking.Tracker` sets them.
        Without them, every object was observed once, in the frame before.
        """
        store, previous = graph[TRANSITION], graph["previous"]
        if not self.groups:
            return store.edge_attr if "edge_attr" in store else None
        mean_x = previous.mean_x if "mean_x" in previous else previous.x
        alike = torch.cat(
            [
                edge_cosine_similarity((side, graph["current"].x), store.edge_index, self.groups)
                for side in (previous.x, mean_x)
            ],
            dim=1,
        )
        known = "time_since_update" in previous
        gap = previous.time_since_update.to(alike) if known else alike.new_ones(len(previous.x))
        waited = gap.clamp(min=1).log()[store.edge_index[0], None] - 1
        return torch.cat([4 * alike, waited], dim=1)  # (E, 2 groups + 1)
