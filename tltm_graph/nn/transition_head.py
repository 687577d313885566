import torch
from torch import Tensor, nn

from tltm_graph.nn.transition_gnn import TransitionGNN


class TransitionHead(nn.Module):
    r"""A head that scores edges, births, misses and objects: :class:`TransitionGNN` in both directions.

    .. math::
        z_j &\leftarrow z_j + \Delta z_j, \qquad z_i \leftarrow z_i + \Delta z_i

        s_{ij} &= f_c(z_i + \Delta z_i \Vert z_j \Vert a_{ij})

        b_j &= f_b(z_j \Vert \max_i s_{ij} \Vert \log \sum_i e^{s_{ij}}), \qquad
        m_i = f_m(z_i \Vert \max_j s_{ij} \Vert \log \sum_j e^{s_{ij}}), \qquad
        o_j = f_o(z_j \Vert \max_i s_{ij} \Vert \log \sum_i e^{s_{ij}})

    Current nodes :math:`j` gather messages from previous nodes :math:`i` first, then previous nodes from current ones.
    The second layer then classifies the edges. So each edge depends on the rivals of both ends, and on their rivals.

    All outputs are log-odds: :math:`s_{ij}`, that i and j are the same object; :math:`b_j`, that j is new;
    :math:`m_i`, that i is not visible now; :math:`o_j`, that j is an object and not a false positive. A solver matches
    i and j if :math:`s_{ij} - b_j - m_i > 0`. So the threshold is learned for each object.

    Args:
        num_previous (int): Number of features of a previous object.
        num_current (int): Number of features of a current object.
        num_edge (int): Number of features of an edge.
        channels (int): Size of each node feature. (default: :obj:`32`)
        hidden_channels (int): Size of hidden layers, messages and edge features. (default: :obj:`64`)
        num_steps (int): Number of rounds of message passing in each direction. (default: :obj:`1`)
        aggr (str): Aggregation of messages. (default: :obj:`"sum"`)

    Shapes:
        - **input:** previous features :math:`(M, F_{previous})`, current features :math:`(N, F_{current})`,
          edge indices :math:`(2, |E|)`, edge features :math:`(|E|, F_{edge})`
        - **output:** logits of edges :math:`(|E|,)`, births :math:`(N,)`, misses :math:`(M,)`, objects :math:`(N,)`
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
        """Compute the logits of edges (E,), births (N,), misses (M,) and objects (N,)."""
        z, y, a = self.previous(previous), self.current(current), self.edge(edges)
        y = y + self.to_current.transition((y, z), edge_index.flip(0), a)
        z = z + self.to_previous.transition((z, y), edge_index, a)
        logits = self.to_previous((z, y), edge_index, a)  # (E,)
        y_evidence = torch.cat([y, _evidence(logits, edge_index[1], len(y))], dim=1)
        births, objects = self.birth(y_evidence).squeeze(1), self.object(y_evidence).squeeze(1)
        z_evidence = torch.cat([z, _evidence(logits, edge_index[0], len(z))], dim=1)
        misses = self.miss(z_evidence).squeeze(1)
        return logits, births, misses, objects

    def __repr__(self) -> str:
        return f"{type(self).__name__}(channels={self.to_previous.channels}, num_steps={self.to_previous.num_steps})"


class Standardize(nn.Module):
    """Standardisation of features by the mean and deviation of the first training batches.

    Unlike batch norm, it treats each row independently of the others, in training too. A batch may be empty.

    Args:
        num_features (int): Size of the last dimension.
        num_batches (int): Number of batches after which mean and deviation stay fixed. (default: :obj:`500`)

    Shapes:
        - **input:** features :math:`(R, F)`
        - **output:** standardised features :math:`(R, F)`, clamped to [-8, 8]
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
        """Standardise the features (R, F)."""
        if self.training and len(features) and int(self.seen) < self.num_batches:
            self.seen += 1
            self.mean.lerp_(features.detach().mean(dim=0), 1 / float(self.seen))
            self.square.lerp_(features.detach().square().mean(dim=0), 1 / float(self.seen))
        return ((features - self.mean) / self.deviation).clamp(-8, 8)

    @property
    def deviation(self) -> Tensor:
        """Standard deviation of each feature (F,)."""
        return (self.square - self.mean.square()).clamp(min=1e-6).sqrt()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.mean)})"


def _evidence(logits: Tensor, index: Tensor, size: int) -> Tensor:
    """Compute the maximum and the log-sum-exp of each node's edge logits (size, 2), scaled; -10 without edges."""
    best = logits.new_full((size,), -10.0).scatter_reduce(0, index, logits, "amax")
    total = torch.zeros_like(best).index_add(0, index, (logits - best[index]).exp())
    return torch.stack([best, best + total.clamp(min=1e-6).log()], dim=1).clamp(-10, 20) / 4
