"""Layers that compare the appearance of objects: colour histograms, an embedding, and their evidence in log-odds."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

COLOUR_BINS = (6, 4, 4)
"""Number of bins of a colour histogram for luminance and both colour differences."""


def colour_histogram(pixels: Tensor, weight: Tensor) -> Tensor:
    r"""Compute square roots of soft-binned colour histograms. Scalar products are Bhattacharyya coefficients.

    .. math:: h_{ijk} = \sqrt{\frac{\sum_p w_p \, \tau_i(Y_p) \, \tau_j(B_p) \, \tau_k(R_p)}{\sum_p w_p}}, \qquad
        \tau_k(v) = \max(0, 1 - \lvert (K - 1) v - k \rvert)

    Each pixel is shared by the two nearest of :math:`K` bins of each axis. The axes are luminance :math:`Y`, and the
    colour differences :math:`\frac{1}{2} + \frac{1}{2} \tanh(3.76 (b - Y))` and
    :math:`\frac{1}{2} + \frac{1}{2} \tanh(4.75 (r - Y))`, whose bins are fine where most colours are: near grey.

    Args:
        pixels: Red, green and blue in [0, 1] (N, 3, R, R).
        weight: Weights of the pixels, at least 0 (N, R, R); a small constant is added, so that they may all be 0.

    Returns:
        Vectors (N, 96) of length 1.
    """
    red, green, blue = pixels.flatten(2).unbind(dim=1)  # (N, R²) each
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    axes = luminance, 0.5 + 0.5 * (3.76 * (blue - luminance)).tanh(), 0.5 + 0.5 * (4.75 * (red - luminance)).tanh()
    shares = [
        (1 - ((bins - 1) * values[..., None] - torch.arange(bins, device=pixels.device)).abs()).clamp(min=0)
        for values, bins in zip(axes, COLOUR_BINS, strict=True)
    ]  # (N, R², K) each
    weight = weight.flatten(1) + 1e-2
    first, second, third = shares
    pairs = (weight / weight.sum(dim=1, keepdim=True))[..., None, None] * first[..., None] * second[:, :, None]
    return (pairs.flatten(2).transpose(1, 2) @ third).flatten(1).clamp(min=0).sqrt()


def pool_levels(levels: Sequence[Tensor], strides: Sequence[int], boxes: Tensor, resolution: int) -> Tensor:
    """Pool boxes from all maps of one image and join the channels: (N, C, resolution, resolution).

    Args:
        levels: Feature maps (1, C_l, H_l, W_l).
        strides: Stride of each map in pixels.
        boxes: Corners xyxy in pixels (N, 4).
        resolution: Height and width of the result.
    """
    return torch.cat(
        [
            roi_align(level.to(boxes), [boxes], resolution, 1 / stride, sampling_ratio=2, aligned=True)
            for level, stride in zip(levels, strides, strict=True)
        ],
        dim=1,
    )


class EvidenceEncoder(nn.Module):
    """Encoder of the pooled evidence of objects: it embeds pooled maps and keeps the histograms beside them.

    The maps are standardised by running statistics. Convolutions reduce them, with the mask as one more channel. A
    linear map of all positions gives a unit vector.

    Args:
        map_channels: Number of channels of the pooled maps.
        histogram_size: Total size of the histograms.
        channels: Size of the embedding.
        hidden_channels: Number of channels of the convolutions.
        resolution: Height and width of the pooled maps, odd.

    Shapes:
        - **input:** maps, mask and histograms, each flattened: (N, (map_channels + 1) · resolution² + histogram_size)
        - **output:** histograms and embedding (N, histogram_size + channels)
    """

    def __init__(
        self,
        map_channels: int,
        histogram_size: int,
        channels: int = 64,
        hidden_channels: int = 64,
        resolution: int = 7,
    ) -> None:
        super().__init__()
        self.map_channels, self.histogram_size = map_channels, histogram_size
        self.channels, self.resolution = channels, resolution
        self.standardise = nn.BatchNorm2d(map_channels, affine=False)
        self.convs = nn.Sequential(
            nn.Conv2d(map_channels + 1, hidden_channels, 1),
            nn.ReLU(),
            nn.Conv2d(hidden_channels, hidden_channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden_channels, hidden_channels, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.project = nn.Linear(hidden_channels * ((resolution + 1) // 2) ** 2, channels)

    @property
    def in_channels(self) -> int:
        """Size of the pooled evidence of an object."""
        return (self.map_channels + 1) * self.resolution**2 + self.histogram_size

    @property
    def out_channels(self) -> int:
        """Size of the encoded evidence of an object."""
        return self.histogram_size + self.channels

    def forward(self, x: Tensor) -> Tensor:
        """Encode the pooled evidence."""
        if x.ndim != 2 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"Expected pooled evidence of shape (N, {self.in_channels}), got {tuple(x.shape)}: use pool()"
            )
        maps, histograms = x.split([self.in_channels - self.histogram_size, self.histogram_size], dim=1)
        maps = maps.unflatten(1, (self.map_channels + 1, self.resolution, self.resolution))
        maps, mask = maps.split([self.map_channels, 1], dim=1)
        # Batch norm cannot compute statistics of nothing.
        maps = self.standardise(maps) if len(maps) else maps
        embedding = self.project(self.convs(torch.cat([maps.clamp(-6, 6), mask], dim=1)).flatten(1))
        return torch.cat([histograms, F.normalize(embedding, dim=1)], dim=1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.map_channels}, {self.histogram_size}, channels={self.channels})"


class MonotoneEvidence(nn.Module):
    r"""Evidence, in log-odds, of distances: a sum of decreasing, piecewise linear functions.

    .. math:: f(d) = b - \sum_i \sum_k \mathrm{softplus}(w_{ik}) \, \min(1, \max(0, K d_i - k))

    Args:
        inputs: Number of distances i.
        pieces: Number of pieces K of equal length in [0, 1]. Distances beyond 1 count as 1.
        drop: Initial fall from distance 0 to 1 of all functions together.

    Shapes:
        - **input:** distances (E, inputs)
        - **output:** log-odds (E,)
    """

    def __init__(self, inputs: int, pieces: int = 10, drop: float = 8.0) -> None:
        super().__init__()
        self.inputs, self.pieces = inputs, pieces
        slope = torch.tensor(drop / (inputs * pieces))
        self.weight = nn.Parameter(slope.expm1().log().repeat(inputs, pieces))
        self.bias = nn.Parameter(torch.tensor(drop / 3))

    def forward(self, distances: Tensor) -> Tensor:
        """Compute the evidence."""
        parts = (self.pieces * distances[..., None] - torch.arange(self.pieces, device=distances.device)).clamp(0, 1)
        return self.bias - (parts * F.softplus(self.weight)).sum(dim=(1, 2))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inputs}, pieces={self.pieces})"


def rival_margins(values: Tensor, edge_index: Tensor, sizes: tuple[int, int]) -> Tensor:
    """Compute the excess of each edge's values over those of the best rival of either end.

    Args:
        values: Values of the edges (E, K), greater for better matches.
        edge_index: Edges (2, E).
        sizes: Number of previous and current nodes.

    Returns:
        Margins over the best other edge of the previous node and over that of the current node (E, 2 K); 1 without
        rivals.
    """
    row, column = edge_index
    dense = values.new_full((*sizes, values.shape[1]), -torch.inf).index_put((row, column), values)  # (M, N, K)
    margins = []
    for dim in (1, 0):
        best = dense.topk(min(2, dense.shape[dim]), dim=dim).values
        first = best.narrow(dim, 0, min(1, best.shape[dim]))
        second = best.narrow(dim, 1, 1) if best.shape[dim] > 1 else torch.full_like(first, -torch.inf)
        first, second = (x.expand_as(dense)[row, column] for x in (first, second))
        rival = torch.where(values >= first, second, first)
        margins.append(torch.where(rival.isinf(), 1.0, values - torch.where(rival.isinf(), 0.0, rival)))
    return torch.cat(margins, dim=1)
