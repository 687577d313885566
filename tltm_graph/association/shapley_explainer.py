from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.explain import HeteroExplanation
from torch_geometric.explain.algorithm import ExplainerAlgorithm
from torch_geometric.explain.config import MaskType, ModelMode, ModelTaskLevel

from tltm_graph.graph import TRANSITION


@dataclass(frozen=True)
class FeatureGroup:
    """Feature columns that are masked together.

    Args:
        previous: Columns of the track features.
        current: Columns of the detection features.
        edge: Columns of the edge features.
    """

    previous: tuple[int, ...] = ()
    current: tuple[int, ...] = ()
    edge: tuple[int, ...] = ()


class ShapleyExplainer(ExplainerAlgorithm):
    r"""Shapley values of an edge score, an algorithm for :class:`torch_geometric.explain.Explainer`.

    Players are feature groups of the edge and its ends, and the neighbours that send messages: other tracks compared
    with the same detection, other detections compared with the same track. An absent group has the features of an
    average edge, an absent neighbour sends no message. The Shapley value of a player is its marginal contribution,
    averaged over orders:

    .. math::
        \phi_p = \frac{1}{|\Pi|} \sum_{\pi \in \Pi} v(\{q : q \preceq_\pi p\}) - v(\{q : q \prec_\pi p\}), \qquad
        v(\emptyset) + \sum_p \phi_p = v(\text{all})

    (Shapley 1953, *A value for n-person games*. Orders are drawn at random, each with its reverse, which keeps the sum
    exact.)

    The explanation of the one edge that ``index`` names has ``terms``, the value of each group by name, ``"typical"``
    for :math:`v(\emptyset)` and ``"others"`` for all neighbours beyond ``max_neighbors``; and ``edge_mask (E,)``, the
    value of each neighbour at the edge that connects it.

    Args:
        groups: Feature groups by name.
        average: Features of an average track, detection and edge.
        num_orders: Number of pairs of orders.
        seed: Seed of the orders.
        max_neighbors: Number of neighbours that are separate players, those with the highest edge scores.
    """

    def __init__(
        self,
        groups: Mapping[str, FeatureGroup],
        average: tuple[Tensor, Tensor, Tensor],
        num_orders: int = 32,
        seed: int = 0,
        max_neighbors: int = 12,
    ) -> None:
        super().__init__()
        self.groups, self.average, self.max_neighbors = dict(groups), average, max_neighbors
        self.num_orders, self.seed = num_orders, seed

    def supports(self) -> bool:
        """Check for an object edge mask and a model of edge-level regression."""
        config, model = self.explainer_config, self.model_config
        return (
            config.edge_mask_type == MaskType.object
            and config.node_mask_type is None
            and model.mode == ModelMode.regression
            and model.task_level == ModelTaskLevel.edge
        )

    @torch.no_grad()
    def forward(
        self,
        model: nn.Module,
        x: dict[str, Tensor],
        edge_index: dict[tuple[str, str, str], Tensor],
        *,
        target: Tensor,
        index: Tensor | None = None,
        **kwargs: Any,
    ) -> HeteroExplanation:
        """Explain one edge; see the class. ``edge_attr (E, D)`` holds the edge features."""
        if index is None or index.numel() != 1:
            raise ValueError(f"Expected the index of one edge to explain, got {index}: explain edges one by one")
        pairs = edge_index[TRANSITION]
        gates = self._gates(pairs, int(index), target)
        game = _Game(model, x, pairs, kwargs["edge_attr"], int(index), self.groups, self.average, gates)
        baseline, values = _shapley_values(game, self.num_orders, self.seed)
        explanation = HeteroExplanation()
        mask, end = target.new_zeros(pairs.shape[1]), len(self.groups)
        for gate, value in zip(gates[: self.max_neighbors], values[end:], strict=False):
            mask[gate] = value
        explanation[TRANSITION].edge_mask = mask
        explanation.terms = {"typical": float(baseline), **dict(zip(self.groups, values.tolist(), strict=False))}
        if len(gates) > self.max_neighbors:
            explanation.terms["others"] = float(values[-1])
        return explanation

    def _gates(self, pairs: Tensor, index: int, target: Tensor) -> list[Tensor]:
        """Edges of each neighbour, highest score first; those of all remaining neighbours together last."""
        shares = ((pairs[0] == pairs[0, index]) ^ (pairs[1] == pairs[1, index])).nonzero().flatten()
        ordered = shares[target[shares].argsort(descending=True, stable=True)]
        single, rest = ordered[: self.max_neighbors], ordered[self.max_neighbors :]
        return [*single.split(1), *([rest] if len(rest) else [])]


class _Game:
    """Score of an edge for a coalition of players."""

    def __init__(
        self,
        model: nn.Module,
        x: dict[str, Tensor],
        edge_index: Tensor,
        edge_attr: Tensor,
        index: int,
        groups: Mapping[str, FeatureGroup],
        average: tuple[Tensor, Tensor, Tensor],
        gates: list[Tensor],
    ) -> None:
        self.model, self.groups, self.average = model, list(groups.values()), average
        track, detection = edge_index[:, index]
        seen = edge_index[1, edge_index[0] == track]
        near = torch.isin(edge_index[1], seen) | (
            edge_index[1] == detection
        )  # all tracks these detections are compared with
        kept = near.nonzero().flatten()
        rows, row = edge_index[0, kept].unique(return_inverse=True)
        columns, column = edge_index[1, kept].unique(return_inverse=True)
        self.x = x["previous"][rows], x["current"][columns], edge_attr[kept]
        self.edge_index = torch.stack([row, column])
        self.edge = int((kept == index).nonzero())
        self.ends = int((rows == track).nonzero()), int((columns == detection).nonzero()), self.edge
        closes = [torch.isin(kept, gate) for gate in gates]
        self.gates = torch.stack(closes, dim=1).int() if gates else torch.zeros((len(kept), 0), dtype=torch.int32)
        self.num_players = len(self.groups) + len(gates)
        self.batch = max(1, 100_000 // len(kept))

    def __call__(self, playing: Tensor) -> Tensor:
        """Compute the scores (B,) of coalitions (B, players), bool."""
        copies = len(playing)
        features = [self._masked(playing, side) for side in range(3)]  # (B, rows, features) each
        closed = (~playing[:, len(self.groups) :]).int() @ self.gates.T > 0  # (B, E)
        steps = torch.arange(copies)[:, None, None] * torch.tensor([len(self.x[0]), len(self.x[1])])[None, :, None]
        index = (self.edge_index[None] + steps).transpose(0, 1).flatten(1)  # (2, B E)
        open_ = ~closed.flatten()
        logits = self.model(
            {"previous": features[0].flatten(0, 1), "current": features[1].flatten(0, 1)},
            {TRANSITION: index[:, open_]},
            edge_attr=features[2].flatten(0, 1)[open_],
        )
        place = open_.cumsum(dim=0) - 1
        return logits[place.view(copies, -1)[:, self.edge]]

    def _masked(self, playing: Tensor, side: int) -> Tensor:
        values, end = self.x[side].expand(len(playing), -1, -1).clone(), self.ends[side]
        for group, columns in enumerate((g.previous, g.current, g.edge)[side] for g in self.groups):
            if columns:
                known = playing[:, group, None]
                where = list(columns)
                values[:, end, where] = torch.where(known, values[:, end, where], self.average[side][where].to(values))
        return values


def _shapley_values(game: _Game, num_orders: int, seed: int) -> tuple[Tensor, Tensor]:
    """Score of the empty coalition, and the Shapley value of each player (P,)."""
    count = game.num_players
    generator = torch.Generator().manual_seed(seed)
    sampled = [torch.randperm(count, generator=generator) for _ in range(num_orders)]
    orders = torch.stack([order for sample in sampled for order in (sample, sample.flip(0))])  # (K, P)
    place = orders.argsort(dim=1)  # position of each player in each order
    playing = place[:, None] < torch.arange(count + 1)[None, :, None]  # (K, P + 1, P)
    coalitions, inverse = playing.flatten(0, 1).unique(dim=0, return_inverse=True)
    worth = torch.cat([game(part) for part in coalitions.split(game.batch)])[inverse].view(len(orders), count + 1)
    added = worth.diff(dim=1).gather(1, place)  # (K, P)
    return worth[0, 0], added.mean(dim=0)
