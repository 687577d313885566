from typing import Any

import torch
from torch import Tensor

from tltm_graph.nn.transition_gnn import TransitionGNN
from tltm_graph.nn.transition_head import TransitionHead


class FoldedTransitionHead:
    r"""An inference-only copy of a trained :class:`TransitionHead`, with a third of its operations.

    Linear maps that follow each other without a non-linearity between them are multiplied once, as in
    :class:`FoldedTransitionGNN`. What several layers compute of the same input is one product: all layers that read an
    edge feature, and the two networks of births and objects. Standardisation is one multiplication and addition.

    Later changes to the weights of the head do not reach the copy. It cannot be trained or explained. Its results equal
    those of the head up to rounding.

    Args:
        head (TransitionHead): Trained head that sums messages.

    Shapes:
        - **input:** previous features :math:`(M, F_{previous})`, current features :math:`(N, F_{current})`,
          edge indices :math:`(2, |E|)`, edge features :math:`(|E|, F_{edge})`
        - **output:** logits of edges :math:`(|E|,)`, births :math:`(N,)`, misses :math:`(M,)`, objects :math:`(N,)`

    Raises:
        ValueError: If the head has another aggregation.
    """

    @torch.no_grad()
    def __init__(self, head: TransitionHead) -> None:
        if head.config["aggr"] not in ("sum", "add"):
            raise ValueError(f"Expected a head that sums messages, got aggr='{head.config['aggr']}'")
        self.num_steps, self.channels = head.to_previous.num_steps, head.to_previous.channels
        self.hidden_channels = head.to_previous.hidden_channels
        c = self.channels
        self.previous, self.current, self.edge = (_embedding(part) for part in (head.previous, head.current, head.edge))
        self.to_current, self.to_previous = _step(head.to_current), _step(head.to_previous)
        parts: tuple[Any, ...] = head.to_previous.edge_predictor, head.birth, head.object, head.miss
        (pair, _, pair_last), (birth, _, birth_last), (shows, _, shows_last), (miss, _, miss_last) = parts
        self.pair = _transposed(pair.weight[:, :c], pair.bias, pair.weight[:, c : 2 * c])
        self.pair_last = _layer(pair_last)
        readers: tuple[Any, ...] = head.to_current.edge_mlp[0], head.to_previous.edge_mlp[0], pair
        self.edge_terms = _transposed(torch.cat([layer.weight[:, 2 * c :] for layer in readers]))[0]  # (H, 3 H)
        h = birth.out_features
        last = birth.weight.new_zeros(2, 2 * h)
        last[0, :h], last[1, h:] = birth_last.weight[0], shows_last.weight[0]
        self.outcome = (
            *_transposed(torch.cat([birth.weight, shows.weight]), torch.cat([birth.bias, shows.bias])),
            *_transposed(last, torch.cat([birth_last.bias, shows_last.bias])),
        )
        self.miss = (*_layer(miss), *_layer(miss_last))

    @torch.inference_mode()
    def __call__(
        self, previous: Tensor, current: Tensor, edge_index: Tensor, edges: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compute the logits of edges (E,), births (N,), misses (M,) and objects (N,)."""
        row, column = edge_index
        z, y = _embed(self.previous, previous), _embed(self.current, current)
        terms = torch.mm(torch.relu_(_embed(self.edge, edges)), self.edge_terms)  # (E, 3 H)
        to_current, to_previous, pair_term = terms.split(self.hidden_channels, dim=1)
        y = self._transition(self.to_current, y, z, column, row, to_current)
        z = self._transition(self.to_previous, z, y, row, column, to_previous)
        moved = self._transition(self.to_previous, z, y, row, column, to_previous)
        weight, bias, other = self.pair
        pair = torch.addmm(bias, moved, weight)[row].add_(torch.mm(y, other)[column]).add_(pair_term)
        logits = torch.addmm(self.pair_last[1], torch.relu_(pair), self.pair_last[0]).squeeze(1)  # (E,)
        likelihood = logits.clamp(max=20).exp_()
        births, objects = _classify(self.outcome, y, column, logits, likelihood).unbind(dim=1)
        misses = _classify(self.miss, z, row, logits, likelihood).squeeze(1)
        return logits, births, misses, objects

    def _transition(
        self, layers: tuple[Any, ...], x: Tensor, senders: Tensor, row: Tensor, column: Tensor, term: Tensor
    ) -> Tensor:
        """Nodes after the messages of their senders (V, C)."""
        (own, own_bias, sent), edge_layers, aggregate, node_layers, (last, last_bias) = layers
        base = torch.mm(senders, sent)[column].add_(term)  # (E, H): what no step changes
        degree = torch.bincount(row, minlength=len(x)).to(x)  # (V,)
        for _ in range(self.num_steps):
            message, node = torch.addmm(own_bias, x, own).chunk(2, dim=1)  # (V, H) each
            pair = _normalised(edge_layers, torch.relu_(message[row].add_(base)))  # (E, H)
            gathered = torch.zeros_like(node).index_add_(0, row, pair)  # (V, H)
            node = torch.addmm(node, gathered, aggregate[0]).addr_(degree, aggregate[1])
            x = torch.addmm(last_bias, _normalised(node_layers, torch.relu_(node)), last).add_(x)
        return x

    def __repr__(self) -> str:
        return f"{type(self).__name__}(channels={self.channels}, num_steps={self.num_steps})"


def _transposed(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().t().clone(memory_format=torch.contiguous_format) for tensor in tensors)


def _layer(linear: Any) -> tuple[Tensor, ...]:
    return _transposed(linear.weight, linear.bias)


def _embedding(part: Any) -> tuple[Tensor, ...]:
    standardize, first, _, second = part[:4]
    scale = 1 / standardize.deviation
    return scale, -standardize.mean * scale, *_layer(first), *_layer(second)


def _embed(layers: tuple[Tensor, ...], x: Tensor) -> Tensor:
    scale, shift, weight, bias, last, last_bias = layers
    x = torch.relu_(torch.addmm(bias, torch.addcmul(shift, x, scale).clamp_(-8, 8), weight))
    return torch.addmm(last_bias, x, last)


def _step(gnn: TransitionGNN) -> tuple[Any, ...]:
    """Weights of a message from own node and sender, of its second layer, of the sum, and of the node's change."""
    layers: tuple[Any, ...] = *gnn.edge_mlp, *gnn.node_mlp
    pair, _, edge_middle, edge_norm, _, edge_last = layers[:6]
    node, _, node_middle, node_norm, _, node_last = layers[6:]
    c = gnn.channels
    own = torch.cat([pair.weight[:, :c], node.weight[:, :c]]), torch.cat([pair.bias, node.bias])
    # Messages are summed before their last layer, which becomes part of the next one. Its bias counts for each message.
    gathers = node.weight[:, c:]
    return (
        _transposed(*own, pair.weight[:, c : 2 * c]),
        (*_layer(edge_middle), *_norm(edge_norm)),
        _transposed(gathers @ edge_last.weight, gathers @ edge_last.bias),
        (*_layer(node_middle), *_norm(node_norm)),
        _layer(node_last),
    )


def _norm(norm: Any) -> tuple[Any, ...]:
    return norm.weight.detach().clone(), norm.bias.detach().clone(), norm.eps


def _normalised(layers: tuple[Any, ...], x: Tensor) -> Tensor:
    weight, bias, scale, shift, eps = layers
    return torch.relu_(torch.layer_norm(torch.addmm(bias, x, weight), scale.shape, scale, shift, eps))


def _classify(layers: tuple[Tensor, ...], x: Tensor, index: Tensor, logits: Tensor, likelihood: Tensor) -> Tensor:
    """Logits of each node from its features, its best edge and the log-sum-exp of its edges."""
    weight, bias, last, last_bias = layers
    size = len(x)
    best = logits.new_full((size,), -10.0).scatter_reduce_(0, index, logits, "amax")
    total = logits.new_zeros(size).index_add_(0, index, likelihood).clamp_(min=1e-6).log_()
    evidence = torch.stack([best, total], dim=1).clamp_(-10, 20).div_(4)
    return torch.addmm(last_bias, torch.relu_(torch.addmm(bias, torch.cat([x, evidence], dim=1), weight)), last)
