import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tltm_graph.nn.instance_encoder import InstanceEncoder


class AppearanceEncoder(nn.Module):
    r"""Encoder of the appearance of each object and of its surroundings, from pooled features and pixels.

    The first half of a node feature describes the colours and the texture of the object, wherever it is:

    .. math::
        h_k = \sum_p \alpha_p \, \mathrm{softmax}_k(f(v_p)), \qquad
        z = W \left[ \sqrt{h} \,\Vert\, \sum_p \alpha_p \, g(v)_p \right]

    where :math:`v_p` is the colour of pixel :math:`p`, :math:`h` a histogram over learned bins :math:`k`, :math:`g` a
    learned texture, and :math:`\alpha` an attention that selects the object within its box. The attention is a softmax
    over pixels of a convolution of the pooled features; there are two heads, each with its own histogram and texture.
    The square root makes scalar products of histograms Bhattacharyya coefficients.

    The second half is the output of :class:`InstanceEncoder`. It also encodes what is around the object, which is
    similar from frame to frame but not after the object has reappeared elsewhere. Hence the first half.

    Args:
        in_channels (int): Number of channels of the pooled features, without pixels. (default: :obj:`64`)
        channels (int): Size of each node feature; even. (default: :obj:`128`)
        resolution (int): Height and width of the pooled features; even. (default: :obj:`14`)

    Shapes:
        - **input:** pooled features followed by RGB pixels in about [-1, 1],
          :math:`(N, C_{in} + 3, R, R)`
        - **output:** node features :math:`(N, C)`

    Raises:
        ValueError: If ``channels`` or ``resolution`` is odd, or the input has another shape.
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
        # Large weights: with the default initialisation all bins would respond alike to all colours.
        nn.init.normal_(first.weight, std=2.0)
        nn.init.normal_(first.bias, std=1.0)  # type: ignore[arg-type]  # not None: bias=True
        nn.init.normal_(last.weight, std=0.8)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the node features (N, C)."""
        if x.shape[1:] != (self.in_channels + 3, self.resolution, self.resolution):
            raise ValueError(
                f"Expected pooled features and pixels of shape (N, {self.in_channels + 3}, {self.resolution}, "
                f"{self.resolution}), got {tuple(x.shape)}: use a detector that pools pixels as well"
            )
        features, pixels = x.split([self.in_channels, 3], dim=1)
        attention = self.attention(features).flatten(2).softmax(dim=2)  # (N, A, R²)
        bins = self.colour(pixels).flatten(2).softmax(dim=1)  # (N, K, R²)
        histogram = torch.einsum("nap,nkp->nak", attention, bins)  # (N, A, K)
        texture = torch.einsum("nap,nkp->nak", attention, self.texture(pixels).flatten(2))  # (N, A, T)
        appearance = self.looks(torch.cat([4 * (histogram + 1e-4).sqrt(), texture], dim=2).flatten(1))  # (N, C / 2)
        return torch.cat([appearance, self.surroundings(features)], dim=1)  # (N, C)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.channels}, resolution={self.resolution})"


def edge_cosine_similarity(x: tuple[Tensor, Tensor], edge_index: Tensor, groups: int) -> Tensor:
    r"""Compute the cosine similarity of both ends of each edge, separately for groups of channels.

    Args:
        x: Node features (M, F) and (N, F).
        edge_index: Edges (2, E).
        groups: Number of groups of neighbouring channels; a divisor of F.

    Returns:
        Similarities in [-1, 1] (E, groups).
    """
    previous, current = (F.normalize(side.unflatten(1, (groups, -1)), dim=2) for side in x)
    return (previous[edge_index[0]] * current[edge_index[1]]).sum(dim=2)
