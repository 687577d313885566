import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn.aggr import MeanAggregation, SumAggregation

from tltm_graph.nn.transition_gnn import TransitionGNN, check_input


class FoldedTransitionGNN(nn.Module):
    r"""An inference-only copy of a trained :class:`TransitionGNN`, with fewer and smaller matrix products.

    The network reads a previous node only through linear maps: the first layers of :math:`f_e`, :math:`f_n` and
    :math:`f_c`, stacked here as :math:`A`. So :math:`p_i = A z_i + a` is enough to represent the node. Its change is
    linear in the last hidden layer :math:`u_i` of :math:`f_n`, :math:`\Delta z_i = W u_i + b`, hence

    .. math:: p_i \leftarrow p_i + (A W) u_i + A b

    with :math:`A W` computed once. The last layer of :math:`f_e` is merged with the first layer of :math:`f_n` in the
    same way. A graph of 10×10 objects takes six products instead of ten, with fewer weights.

    Later changes to the weights of the layer do not reach the copy. It cannot be trained or explained, because
    messages do not pass through PyG. Its results equal those of the layer up to rounding.

    Args:
        gnn (TransitionGNN): Trained layer with sum or mean aggregation.

    Shapes:
        - **input:** node features :math:`((|V_{previous}|, F), (|V_{current}|, F))`,
          edge indices :math:`(2, |E|)`, edge features :math:`(|E|, D)` *(optional)*
        - **output:** edge logits :math:`(|E|,)`

    Raises:
        ValueError: If the layer has another aggregation.
    """

    previous: Tensor
    previous_bias: Tensor
    current: Tensor
    edge: Tensor
    aggregate: Tensor
    aggregate_bias: Tensor
    change: Tensor
    change_bias: Tensor

    def __init__(self, gnn: TransitionGNN) -> None:
        super().__init__()
        if not isinstance(gnn.aggr_module, SumAggregation | MeanAggregation):
            raise ValueError(f"Expected a layer that sums or averages messages, got aggr='{gnn.aggr}'")
        self.channels, self.hidden_channels = gnn.channels, gnn.hidden_channels
        self.edge_dim, self.num_steps = gnn.edge_dim, gnn.num_steps
        self.mean = isinstance(gnn.aggr_module, MeanAggregation)
        c = gnn.channels
        layers: tuple[Any, ...] = *gnn.edge_mlp, *gnn.node_mlp, *gnn.edge_predictor
        edge_first, _, edge_middle, edge_norm, _, edge_last = layers[:6]
        node_first, _, node_middle, node_norm, _, node_last = layers[6:12]
        pair_first, _, pair_last = layers[12:]
        with torch.no_grad():
            node, aggregate = node_first.weight[:, :c], node_first.weight[:, c:]
            previous = torch.cat([edge_first.weight[:, :c], node, pair_first.weight[:, :c]])  # A, (3H, C)
            current = torch.cat([edge_first.weight[:, c : 2 * c], pair_first.weight[:, c : 2 * c]])  # (2H, C)
            edge = torch.cat([edge_first.weight[:, 2 * c :], pair_first.weight[:, 2 * c :]])  # (2H, D)
            folded = {
                "previous": previous.T,
                "previous_bias": torch.cat([edge_first.bias, node_first.bias, pair_first.bias]),
                "current": current.T,
                "edge": edge.T,
                "aggregate": (aggregate @ edge_last.weight).T,
                "aggregate_bias": aggregate @ edge_last.bias,
                "change": (previous @ node_last.weight).T,
                "change_bias": previous @ node_last.bias,
            }
        for name, value in folded.items():
            self.register_buffer(name, value.contiguous())
        self.edge_middle, self.edge_norm = _copy(edge_middle), _copy(edge_norm)
        self.node_middle, self.node_norm = _copy(node_middle), _copy(node_norm)
        self.pair_last = _copy(pair_last)

    @torch.no_grad()
    def forward(self, x: tuple[Tensor, Tensor], edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """Compute the edge logits (E,)."""
        check_input(self.channels, self.edge_dim, x, edge_index, edge_attr, self.previous)
        h = self.hidden_channels
        row, column = edge_index
        p = torch.addmm(self.previous_bias, x[0], self.previous)  # (V_previous, 3H): edge, node, pair
        q = x[1] @ self.current  # (V_current, 2H): edge, pair
        a = None if edge_attr is None else edge_attr @ self.edge  # (E, 2H): edge, pair
        degree = p.new_zeros(len(p)).index_add_(0, row, p.new_ones(len(row)))  # (V_previous,)
        weight = degree.clamp(max=1) if self.mean else degree
        for step in range(self.num_steps):
            messages = _pair(p[:, :h], q[:, :h], row, column, None if a is None else a[:, :h])  # (E, H)
            messages = F.relu_(self.edge_norm(self.edge_middle(messages)))
            gathered = p.new_zeros(len(p), h).index_add_(0, row, messages)  # (V_previous, H)
            if self.mean:
                gathered /= degree.clamp(min=1)[:, None]
            u = torch.addr(torch.addmm(p[:, h : 2 * h], gathered, self.aggregate), weight, self.aggregate_bias)
            u = F.relu_(self.node_norm(self.node_middle(F.relu_(u))))  # (V_previous, H)
            needed = slice(2 * h if step == self.num_steps - 1 else 0, None)  # after the last step, only f_c reads p
            p = p[:, needed] + torch.addmm(self.change_bias[needed], u, self.change[:, needed])
        logits = self.pair_last(_pair(p, q[:, h:], row, column, None if a is None else a[:, h:]))
        return logits.squeeze(-1)  # (E,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(hidden_channels={self.hidden_channels}, num_steps={self.num_steps})"


def _copy(layer: nn.Module) -> nn.Module:
    return copy.deepcopy(layer).requires_grad_(False)


def _pair(previous: Tensor, current: Tensor, row: Tensor, column: Tensor, edge_term: Tensor | None) -> Tensor:
    pair = previous.index_select(0, row).add_(current.index_select(0, column))  # (E, H)
    return F.relu_(pair if edge_term is None else pair.add_(edge_term))
