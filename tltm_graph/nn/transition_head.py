import torch
from torch import Tensor, nn

from tltm_graph.nn.transition_gnn import TransitionGNN


class TransitionHead(nn.Module):
    r"""Judges transitions, births and misses by features of two frames' objects: :class:`TransitionGNN` both ways.

    .. math::
        z_j &\leftarrow z_j + \Delta z_j, \qquad z_i \leftarrow z_i + \Delta z_i

        s_{ij} &= f_c(z_i + \Delta z_i \Vert z_j \Vert a_{ij}), \qquad
        b_j = f_b(z_j \Vert \max_i s_{ij} \Vert \log \sum_i e^{s_{ij}}), \qquad
        m_i = f_m(z_i \Vert \max_j s_{ij} \Vert \log \sum_j e^{s_{ij}}), \qquad
        o_j = f_o(z_j \Vert \max_i s_{ij} \Vert \log \sum_i e^{s_{ij}})

    Current nodes gather from previous ones first, then previous from current ones, then the layer of the latter scores
    the edges: every object knows of its rivals' rivals. All are log-odds: that i and j are one object, that j was
    not there before, that i is not there now. Taken together by a solver, :math:`s_{ij} - b_j - m_i > 0` is a match
    worth making: the threshold is learned, for each object its own. :math:`o_j` are the log-odds that j shows an object
    at all.

    Args:
        num_previous (int): Features of a previous object.
        num_current (int): Features of a current one.
        num_edge (int): Features of a transition.
        channels (int): Size of each node.
        hidden_channels (int): Size of hidden layers, messages and edge features.
        num_steps (int): Rounds of message passing each way.
        aggr (str): How messages are gathered.

    Shapes:
        - **input:** previous (M, num_previous), current (N, num_current), edge indices (2, E), edges (E, num_edge)
        - **output:** logits of edges (E,), births (N,), misses (M,), objects (N,)
    """

    def __init__(
        self,
        num_previous: int,
        num_current: int,
        num_edge: int,
        channels: int = 32,
        hidden_channels: int = 64,
        num_steps: int = 1,
        aggr: str = "sum",
    ) -> None:
        super().__init__()
        self.config = {"channels": channels, "hidden_channels": hidden_channels, "num_steps": num_steps, "aggr": aggr}
        h = hidden_channels
        self.previous = nn.Sequential(
            Standardize(num_previous), nn.Linear(num_previous, h), nn.ReLU(), nn.Linear(h, channels)
        )
        self.current = nn.Sequential(
            Standardize(num_current), nn.Linear(num_current, h), nn.ReLU(), nn.Linear(h, channels)
        )
        self.edge = nn.Sequential(Standardize(num_edge), nn.Linear(num_edge, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU())
        self.to_current = TransitionGNN(channels, h, edge_dim=h, num_steps=num_steps, aggr=aggr)
        self.to_previous = TransitionGNN(channels, h, edge_dim=h, num_steps=num_steps, aggr=aggr)
        self.birth = nn.Sequential(nn.Linear(channels + 2, h), nn.ReLU(), nn.Linear(h, 1))
        self.miss = nn.Sequential(nn.Linear(channels + 2, h), nn.ReLU(), nn.Linear(h, 1))
        self.object = nn.Sequential(nn.Linear(channels + 2, h), nn.ReLU(), nn.Linear(h, 1))

    def forward(
        self, previous: Tensor, current: Tensor, edge_index: Tensor, edges: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits of edges, births, misses and objects; see the class."""
        z, y, a = self.previous(previous), self.current(current), self.edge(edges)
        y = y + self.to_current.transition((y, z), edge_index.flip(0), a)
        z = z + self.to_previous.transition((z, y), edge_index, a)
        logits = self.to_previous((z, y), edge_index, a)  # (E,)
        matched = torch.cat([y, _evidence(logits, edge_index[1], len(y))], dim=1)
        births, objects = self.birth(matched).squeeze(1), self.object(matched).squeeze(1)
        misses = self.miss(torch.cat([z, _evidence(logits, edge_index[0], len(z))], dim=1)).squeeze(1)
        return logits, births, misses, objects

    def __repr__(self) -> str:
        return f"{type(self).__name__}(channels={self.to_previous.channels}, num_steps={self.to_previous.num_steps})"


class Standardize(nn.Module):
    """Brings features to mean 0 and deviation 1, as they were in the first batches it was trained on.

    Unlike batch norm it treats a row the same whatever the others are, in training too, and rows may be few or none.

    Args:
        num_features (int): Size of the last dimension.
        num_batches (int): After so many batches it has seen enough.
    """

    mean: Tensor
    square: Tensor
    seen: Tensor

    def __init__(self, num_features: int, num_batches: int = 500) -> None:
        super().__init__()
        self.num_batches = num_batches
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("square", torch.ones(num_features))  # mean of the squares
        self.register_buffer("seen", torch.tensor(0))

    def forward(self, features: Tensor) -> Tensor:
        """The standardised features (R, num_features), within ±8."""
        if self.training and len(features) and int(self.seen) < self.num_batches:
            self.seen += 1
            self.mean.lerp_(features.detach().mean(dim=0), 1 / float(self.seen))
            self.square.lerp_(features.detach().square().mean(dim=0), 1 / float(self.seen))
        deviation = (self.square - self.mean.square()).clamp(min=1e-6).sqrt()
        return ((features - self.mean) / deviation).clamp(-8, 8)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.mean)})"


def _evidence(logits: Tensor, index: Tensor, size: int) -> Tensor:
    """The best edge of each node and the log of the sum over its edges' odds (size, 2); -10 where it has none."""
    best = logits.new_full((size,), -10.0).scatter_reduce(0, index, logits, "amax")
    total = torch.zeros_like(best).index_add(0, index, (logits - best[index]).exp())
    return torch.stack([best, best + total.clamp(min=1e-6).log()], dim=1).clamp(-10, 20) / 4
