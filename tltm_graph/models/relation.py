import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from tltm_graph.graph import TRANSITION
from tltm_graph.nn import FoldedTransitionGNN, InstanceEncoder, TransitionGNN
from tltm_graph.structures import Detections


class RelationModel(nn.Module):
    """An encoder and a GNN: from a detector's features to edge logits.

    Args:
        encoder: Turns the features of objects into nodes (N, channels).
        gnn: Scores the transitions between them; folded, for inference alone.
    """

    is_trained: Tensor

    def __init__(
        self, encoder: nn.Module | None = None, gnn: TransitionGNN | FoldedTransitionGNN | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder or InstanceEncoder()
        self.gnn = gnn or TransitionGNN()
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
        """Edge logits (E,) of a graph whose nodes have ``x``."""
        store = graph[TRANSITION]
        edge_attr = store.edge_attr if "edge_attr" in store else None
        return self.gnn((graph["previous"].x, graph["current"].x), store.edge_index, edge_attr)
