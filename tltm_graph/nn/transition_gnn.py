from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.aggr import MeanAggregation, SumAggregation
from torch_geometric.nn.inits import reset
from torch_geometric.typing import OptTensor, PairTensor  # noqa: F401 (PyG reads PairTensor in comments)
from torch_geometric.utils import degree


class TransitionGNN(MessagePassing):
    r"""The transition GNN from the `"Two-Level Temporal Relation Model for Online Video Instance Segmentation"
    <https://arxiv.org/abs/2210.16795>`_ paper (equations 3 and 4), which scores pairs of instances of two frames.

    .. math::
        e_{ij} &= f_e\left(z_i \Vert z_j \Vert a_{ij}\right)

        \Delta z_i &= f_n\left(z_i \,\Vert \bigoplus_{j \in \mathcal{N}(i)} e_{ij}\right), \qquad
        z'_i = z_i + \Delta z_i

        s_{ij} &= f_c\left(z'_i \Vert z_j \Vert a_{ij}\right)

    where :math:`i` is a node of frame :math:`t` (*previous*), :math:`j` a node of frame :math:`t+1` (*current*), and
    :math:`(i, j)` an edge of the bipartite graph. :math:`z` are node features, :math:`a_{ij}` optional edge features,
    :math:`\bigoplus` the aggregation, and :math:`f_e, f_n, f_c` perceptrons of three, three and two layers.

    Each previous node gathers messages :math:`e_{ij}` from its edges and predicts its transition :math:`\Delta z_i` to
    the current frame. Both steps are repeated ``num_steps`` times with the same weights. The last line classifies the
    edges: :math:`s_{ij}` is the log-odds that :math:`i` and :math:`j` are the same object.

    The defaults are the published network (460,673 parameters); its ``state_dict`` has the names and shapes of the
    published weights.

    Args:
        channels (int): Size of each node feature. (default: :obj:`512`)
        hidden_channels (int): Size of the hidden layers and of each message. (default: :obj:`128`)
        edge_dim (int, optional): Size of each edge feature, :obj:`None` for no edge features. (default: :obj:`None`)
        num_steps (int): Number of rounds of message passing. (default: :obj:`1`)
        aggr (str or Aggregation): Aggregation of messages. The published network sums them. (default: :obj:`"sum"`)
        **kwargs: Additional arguments of :class:`torch_geometric.nn.MessagePassing`.

    Shapes:
        - **input:** node features :math:`((|V_{previous}|, F), (|V_{current}|, F))`,
          edge indices :math:`(2, |E|)` with previous nodes in row 0 and current nodes in row 1,
          edge features :math:`(|E|, D)` *(optional)*. Each may be empty.
        - **output:** edge logits :math:`(|E|,)`
    """

    def __init__(
        self,
        channels: int = 512,
        hidden_channels: int = 128,
        edge_dim: int | None = None,
        num_steps: int = 1,
        aggr: Any = "sum",
        **kwargs: Any,
    ) -> None:
        super().__init__(aggr=aggr, **kwargs)
        if num_steps < 1 or (edge_dim is not None and edge_dim < 1):
            raise ValueError(f"Expected num_steps and edge_dim of at least 1, got {num_steps} and {edge_dim}")
        self.channels = channels
        self.hidden_channels = hidden_channels
        self.edge_dim = edge_dim
        self.num_steps = num_steps

        self.edge_mlp = nn.Sequential(
            _PairLinear(channels, edge_dim or 0, hidden_channels),
            nn.ReLU(),
            nn.Linear(hidden_channels, hidden_channels),
            nn.LayerNorm(hidden_channels),
            nn.ReLU(),
            nn.Linear(hidden_channels, hidden_channels),
        )
        self.node_mlp = nn.Sequential(
            nn.Linear(channels + hidden_channels, hidden_channels),
            nn.ReLU(),
            nn.Linear(hidden_channels, hidden_channels),
            nn.LayerNorm(hidden_channels),
            nn.ReLU(),
            nn.Linear(hidden_channels, channels),
        )
        self.edge_predictor = nn.Sequential(
            _PairLinear(channels, edge_dim or 0, hidden_channels),
            nn.ReLU(),
            nn.Linear(hidden_channels, 1),
        )

    def reset_parameters(self) -> None:
        """Reinitialise all parameters."""
        super().reset_parameters()
        reset(self.edge_mlp)
        reset(self.node_mlp)
        reset(self.edge_predictor)

    def forward(self, x: tuple[Tensor, Tensor], edge_index: Tensor, edge_attr: OptTensor = None) -> Tensor:
        r"""Compute the edge logits :math:`s_{ij}`, (E,)."""
        previous, current = x
        check_input(self.channels, self.edge_dim, x, edge_index, edge_attr, next(self.parameters()))
        messages_to = edge_index.flip(0)
        previous = previous + self._delta(previous, current, messages_to, edge_attr)
        pair_linear: Any = self.edge_predictor[0]
        # edge_updater_type: (z: PairTensor, edge_term: OptTensor)
        return self.edge_updater(messages_to, **pair_linear.split(previous, current, edge_attr))  # (E,)

    def transition(self, x: tuple[Tensor, Tensor], edge_index: Tensor, edge_attr: OptTensor = None) -> Tensor:
        r"""Compute the change :math:`\Delta z_i` of each previous node until the current frame, (V_previous, F).

        ``x[0] + transition(x, …)`` are the node features that the network predicts for the current frame.
        """
        previous, current = x
        check_input(self.channels, self.edge_dim, x, edge_index, edge_attr, next(self.parameters()))
        return self._delta(previous, current, edge_index.flip(0), edge_attr)

    def _delta(self, previous: Tensor, current: Tensor, messages_to: Tensor, edge_attr: OptTensor) -> Tensor:
        delta = self._step(previous, current, messages_to, edge_attr)  # (V_previous, F)
        for _ in range(self.num_steps - 1):
            delta = delta + self._step(previous + delta, current, messages_to, edge_attr)
        return delta

    def _step(self, previous: Tensor, current: Tensor, messages_to: Tensor, edge_attr: OptTensor) -> Tensor:
        # With two node sets, PyG always sends from row 0 to row 1, whatever `flow` is. Here messages go to the previous
        # nodes. So the edges are flipped: `messages_to` has current nodes in row 0 and previous nodes in row 1.
        pair_linear: Any
        last: Any
        pair_linear, *_, last = self.edge_mlp
        # propagate_type: (z: PairTensor, edge_term: OptTensor)
        messages = self.propagate(
            messages_to,
            **pair_linear.split(previous, current, edge_attr),
            size=(current.shape[0], previous.shape[0]),
        )  # (V_previous, H)
        if self._projects_after_aggregation:
            # sum_j (W h_ij + b) = W (sum_j h_ij) + degree · b: one product per node instead of one per edge.
            weight = degree(messages_to[1], previous.shape[0], messages.dtype)[:, None]  # (V_previous, 1)
            if isinstance(self.aggr_module, MeanAggregation):
                weight = weight.clamp(max=1)
            messages = F.linear(messages, last.weight) + weight * last.bias
        return self.node_mlp(torch.cat([previous, messages], dim=-1))

    def message(self, z_i: Tensor, z_j: Tensor, edge_term: OptTensor) -> Tensor:
        _, _, linear, norm, _, last = self.edge_mlp
        hidden = F.relu(norm(linear(_activate(z_i, z_j, edge_term))), inplace=True)  # (E, H)
        return hidden if self._projects_after_aggregation else last(hidden)

    def edge_update(self, z_i: Tensor, z_j: Tensor, edge_term: OptTensor) -> Tensor:
        _, _, last = self.edge_predictor
        return last(_activate(z_i, z_j, edge_term)).squeeze(-1)  # (E,)

    @property
    def _projects_after_aggregation(self) -> bool:
        # A PyG explanation masks whole messages, bias included. So each message must be computed on its own.
        return not self.explain and isinstance(self.aggr_module, SumAggregation | MeanAggregation)

    def __repr__(self) -> str:
        edge_dim = f", edge_dim={self.edge_dim}" if self.edge_dim else ""
        return (
            f"{type(self).__name__}({self.channels}, hidden_channels={self.hidden_channels}{edge_dim}, "
            f"num_steps={self.num_steps})"
        )


def check_input(
    channels: int,
    edge_dim: int | None,
    x: tuple[Tensor, Tensor],
    edge_index: Tensor,
    edge_attr: OptTensor,
    weight: Tensor,
) -> None:
    """Raise ValueError if the inputs do not fit a layer with these sizes and the dtype of ``weight``."""
    previous, current = x
    if previous.shape[-1] != channels or current.shape[-1] != channels:
        raise ValueError(
            f"Expected node features (V, {channels}) for previous and current, "
            f"got {tuple(previous.shape)} and {tuple(current.shape)}"
        )
    if previous.dtype != current.dtype:
        raise ValueError(f"Expected node features of one type, got {previous.dtype} and {current.dtype}")
    if previous.dtype == torch.float64 and weight.dtype != torch.float64:  # NumPy's default
        raise ValueError(f"Expected node features of {weight.dtype} as the weights are, got float64: x.float()")
    if edge_index.ndim != 2 or edge_index.shape[0] != 2:
        raise ValueError(f"Expected 'edge_index' of shape (2, E), got {tuple(edge_index.shape)}")
    if (edge_attr is None) != (edge_dim is None):
        expected = f"of size {edge_dim}" if edge_dim else "none"
        raise ValueError(f"Expected edge features {expected}, got {None if edge_attr is None else edge_attr.shape}")
    if edge_attr is not None and tuple(edge_attr.shape) != (edge_index.shape[1], edge_dim):
        raise ValueError(
            f"Expected 'edge_attr' of shape {(edge_index.shape[1], edge_dim)}, got {tuple(edge_attr.shape)}"
        )


class _PairLinear(nn.Linear):
    """Linear layer over [z_i ; z_j ; a_ij] that multiplies the three parts separately.

    W [z_i ; z_j ; a_ij] + b = (W_p z_i + b) + W_c z_j + W_a a_ij takes one product per node instead of one per edge.
    """

    def __init__(self, channels: int, edge_dim: int, out_channels: int) -> None:
        super().__init__(2 * channels + edge_dim, out_channels)
        self.channels = channels

    def split(self, previous: Tensor, current: Tensor, edge_attr: OptTensor) -> dict[str, Any]:
        """Compute the three terms, as arguments of ``propagate`` and ``edge_updater`` for flipped edges."""
        c = self.channels
        z_previous = F.linear(previous, self.weight[:, :c], self.bias)  # (V_previous, H)
        z_current = F.linear(current, self.weight[:, c : 2 * c])  # (V_current, H)
        edge_term = None if edge_attr is None else F.linear(edge_attr, self.weight[:, 2 * c :])  # (E, H)
        return {"z": (z_current, z_previous), "edge_term": edge_term}


def _activate(z_i: Tensor, z_j: Tensor, edge_term: OptTensor) -> Tensor:
    # In place: PyG has gathered z_i for this call only. This saves two tensors of size (E, H).
    pair = z_i.add_(z_j)
    return F.relu(pair if edge_term is None else pair.add_(edge_term), inplace=True)  # (E, H)
