import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tltm_graph.nn.instance_encoder import InstanceEncoder


class AppearanceEncoder(nn.Module):
    r"""Turns the pooled features and pixels of each object into one node: how it looks, and what is around it.

    The second half of the node is that of :class:`InstanceEncoder`, which soon learns that what lies where it lay is
    the same: true from frame to frame, and useless for who comes back elsewhere. The first knows nothing of places:

    .. math:: h_k = \sum_p a_p \, \mathrm{softmax}_k(f(v_p)), \qquad
        z = W \left[ \sqrt{h} \,\Vert\, \sum_p a_p \, g(v)_p \right]

    a histogram of the colours :math:`v_p` of its pixels over bins that are learned, and the mean of a learned texture
    :math:`g`, both weighed with an attention :math:`a` that pooled features give (it is learned too, twice with its own
    weights each): where the object is in its box. Roots of histograms are compared as Bhattacharyya does.

    Args:
        in_channels (int): Channels of the pooled features, without pixels.
        channels (int): Size of each node feature; even.
        resolution (int): Height and width of the pooled features; even.

    Shapes:
        - **input:** pooled features, then the colours of the pixels, from about -1 to 1
          (N, in_channels + 3, resolution, resolution)
        - **output:** node features (N, channels)

    Raises:
        ValueError: If ``channels`` or ``resolution`` is odd; for input of another shape.
    """

    bins, textures, heads = 48, 32, 2

    def __init__(self, in_channels: int = 64, channels: int = 128, resolution: int = 14) -> None:
        super().__init__()
        if channels % 2:
            raise ValueError(f"Expected an even number of channels, got {channels}")
        self.in_channels, self.channels, self.resolution = in_channels, channels, resolution
        self.surroundings = InstanceEncoder(in_channels, 64, channels // 2, resolution)
        first, last = nn.Conv2d(3, 32, 1), nn.Conv2d(32, self.bins, 1)
        self.colour = nn.Sequential(first, nn.ReLU(), last)
        self.texture = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, self.textures, 1), nn.ReLU()
        )
        self.attention = nn.Sequential(
            nn.Conv2d(in_channels, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, self.heads, 1)
        )
        self.looks = nn.Linear((self.bins + self.textures) * self.heads, channels // 2)
        # Bins that tell colours apart from the start: with the usual small weights all of them hold the same.
        nn.init.normal_(first.weight, std=2.0)
        nn.init.normal_(first.bias, std=1.0)  # type: ignore[arg-type]  # it has one
        nn.init.normal_(last.weight, std=0.8)

    def forward(self, x: Tensor) -> Tensor:
        """Node features; see the class."""
        if x.shape[1:] != (self.in_channels + 3, self.resolution, self.resolution):
            raise ValueError(
                f"Expected pooled features and pixels of shape (N, {self.in_channels + 3}, {self.resolution}, "
                f"{self.resolution}), got {tuple(x.shape)}: a detector that pools pixels makes them"
            )
        features, pixels = x.split([self.in_channels, 3], dim=1)
        weight = self.attention(features).flatten(2).softmax(dim=2)  # (N, A, R²)
        colours = self.colour(pixels).flatten(2).softmax(dim=1)  # (N, K, R²)
        histogram = torch.einsum("nap,nkp->nak", weight, colours)
        texture = torch.einsum("nap,nkp->nak", weight, self.texture(pixels).flatten(2))
        looks = self.looks(torch.cat([4 * (histogram + 1e-4).sqrt(), texture], dim=2).flatten(1))
        return torch.cat([looks, self.surroundings(features)], dim=1)  # (N, channels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.channels}, resolution={self.resolution})"


def likeness(x: tuple[Tensor, Tensor], edge_index: Tensor, groups: int) -> Tensor:
    r"""How alike both ends of each transition are: the cosine of the angle between their features, group by group.

    Args:
        x: Node features (M, F) and (N, F).
        edge_index: Transitions (2, E).
        groups: Into how many groups of neighbouring channels F is cut.

    Returns:
        From -1 to 1 (E, groups).
    """
    previous, current = (F.normalize(side.unflatten(1, (groups, -1)), dim=2) for side in x)
    return (previous[edge_index[0]] * current[edge_index[1]]).sum(dim=2)
