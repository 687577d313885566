import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from tltm_graph.graph import TRANSITION
from tltm_graph.nn import FoldedTransitionGNN, InstanceEncoder, TransitionGNN, likeness
from tltm_graph.structures import Detections


class RelationModel(nn.Module):
    """An encoder and a GNN: from a detector's features to edge logits.

    Args:
        encoder: Turns the features of objects into nodes (N, channels).
        gnn: Scores the transitions between them; folded, for inference alone.
        groups: If above 0, the GNN is given edge features (E, 2 groups + 1): how alike both ends are
            (:func:`tltm_graph.nn.likeness`), scaled to ±4, by how the earlier one looked last and by how it looked on
            the whole; and the log of the frames since it was seen, less 1.

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
        # Kept in checkpoints; training sets it, so that random weights are never taken for learned ones.
        self.register_buffer("is_trained", torch.tensor(False))

    def encode(self, detections: Detections) -> Tensor:
        """Node features (N, channels) of the objects of one frame.

        Raises:
            ValueError: If the detector gives no features.
        """
        if detections.features is None:
            if len(detections) == 0:
                return detections.boxes.new_zeros((0, self.gnn.channels))
            raise ValueError("Expected detections with features, got none: this detector cannot feed a relation model")
        return self.encoder(detections.features)

    def score(self, graph: HeteroData) -> Tensor:
        """Edge logits (E,) of a graph whose nodes have ``x``; see :meth:`edge_features` for what else is read."""
        x = graph["previous"].x, graph["current"].x
        return self.gnn(x, graph[TRANSITION].edge_index, self.edge_features(graph))

    def edge_features(self, graph: HeteroData) -> Tensor | None:
        """What the GNN is told of transitions (E, D): with ``groups`` what the class says, else the graph's
        ``edge_attr``, if there is one.

        The graph may tell how long ago previous objects were seen, ``graph["previous"].gap (M,)``, and the mean of
        their nodes over all observations, ``graph["previous"].looks (M, channels)``, as
        :class:`tltm_graph.tracking.Tracker` writes them; else it was in the frame before, and once.
        """
        store, previous = graph[TRANSITION], graph["previous"]
        if not self.groups:
            return store.edge_attr if "edge_attr" in store else None
        looks = previous.looks if "looks" in previous else previous.x
        alike = torch.cat(
            [likeness((side, graph["current"].x), store.edge_index, self.groups) for side in (previous.x, looks)], dim=1
        )
        gap = previous.gap.to(alike) if "gap" in previous else alike.new_ones(len(previous.x))
        waited = gap.clamp(min=1).log()[store.edge_index[0], None] - 1
        return torch.cat([4 * alike, waited], dim=1)  # (E, 2 groups + 1)
