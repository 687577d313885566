import math

import pytest
import torch
import torch.nn.functional as F

from tltm_graph.nn.appearance_evidence import (
    COLOUR_BINS,
    EvidenceEncoder,
    MonotoneEvidence,
    colour_histogram,
    pool_levels,
    rival_margins,
)


def histogram_by_hand(pixels, weight):
    """One image (3, R, R), pixel by pixel and bin by bin."""
    histogram = torch.zeros(COLOUR_BINS)
    total = float((weight + 1e-2).sum())
    for y in range(pixels.shape[1]):
        for x in range(pixels.shape[2]):
            red, green, blue = pixels[:, y, x].tolist()
            luminance = 0.299 * red + 0.587 * green + 0.114 * blue
            colour = (
                luminance,
                0.5 + 0.5 * math.tanh(3.76 * (blue - luminance)),
                0.5 + 0.5 * math.tanh(4.75 * (red - luminance)),
            )
            for bins in torch.cartesian_prod(*(torch.arange(number) for number in COLOUR_BINS)).tolist():
                share = (float(weight[y, x]) + 1e-2) / total
                for value, number, place in zip(colour, COLOUR_BINS, bins, strict=True):
                    share *= max(0.0, 1 - abs((number - 1) * value - place))
                histogram[tuple(bins)] += share
    return histogram.flatten().sqrt()


def test_histogram_equals_the_formula():
    torch.manual_seed(0)
    pixels, weight = torch.rand(2, 3, 3, 3), torch.rand(2, 3, 3)
    histogram = colour_histogram(pixels, weight)
    for k in range(2):
        torch.testing.assert_close(histogram[k], histogram_by_hand(pixels[k], weight[k]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(histogram.norm(dim=1), torch.ones(2))


def test_histogram_ignores_the_background_and_survives_empty_masks():
    torch.manual_seed(0)
    pixels, mask = torch.rand(1, 3, 8, 8), torch.zeros(1, 8, 8)
    mask[:, 2:6, 2:6] = 1
    other = torch.where(mask[:, None] > 0, pixels, torch.rand(1, 3, 8, 8))
    same = (colour_histogram(pixels, mask) * colour_histogram(other, mask)).sum()
    assert same > 0.97 > (colour_histogram(pixels, 1 - mask) * colour_histogram(other, 1 - mask)).sum()
    for value in (0.0, 0.5, 1.0):
        flat = colour_histogram(torch.full((1, 3, 8, 8), value), torch.zeros(1, 8, 8))
        torch.testing.assert_close(flat.norm(dim=1), torch.ones(1))
    assert colour_histogram(torch.zeros(0, 3, 8, 8), torch.zeros(0, 8, 8)).shape == (0, math.prod(COLOUR_BINS))


def test_pooled_levels():
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    boxes = torch.tensor([[8.0, 8, 24, 24], [16, 16, 32, 32]])
    pooled = pool_levels([ramp, ramp[..., ::2, ::2]], [2, 4], boxes, 3)
    assert pooled.shape == (2, 2, 3, 3)
    middle = (boxes[:, 0] + boxes[:, 2]) / 2
    torch.testing.assert_close(pooled[:, 0, 1, 1], middle / 2 - 0.5)
    torch.testing.assert_close(pooled[:, 1, 1, 1], 2 * (middle / 4 - 0.5))
    assert pool_levels([ramp, ramp], [2, 2], boxes[:0], 3).shape == (0, 2, 3, 3)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_encoder(n):
    torch.manual_seed(0)
    encoder = EvidenceEncoder(4, 6, channels=8, hidden_channels=5, resolution=3)
    assert (encoder.in_channels, encoder.out_channels) == (5 * 9 + 6, 14)
    x = torch.randn(n, encoder.in_channels, requires_grad=True)
    encoded = encoder(x)
    assert encoded.shape == (n, 14)
    assert torch.equal(encoded[:, :6], x[:, -6:]), "histograms are kept"
    torch.testing.assert_close(encoded[:, 6:].norm(dim=1), torch.ones(n))
    encoded.sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())
    assert str(encoder) == "EvidenceEncoder(4, 6, channels=8)"
    with pytest.raises(ValueError, match=r"Expected pooled evidence of shape \(N, 51\), got \(2, 4\)"):
        encoder(torch.zeros(2, 4))


def test_encoder_standardises_maps():
    torch.manual_seed(0)
    encoder = EvidenceEncoder(2, 0, channels=4, hidden_channels=4, resolution=3)
    maps = 5 + 3 * torch.randn(200, 2, 3, 3)
    mask = torch.rand(200, 1, 3, 3)
    x = torch.cat([maps, mask], dim=1).flatten(1)
    for _ in range(100):
        encoder(x)
    encoder.eval()
    standardised = (maps - maps.mean((0, 2, 3))[:, None, None]) / maps.std((0, 2, 3))[:, None, None]
    expected = F.normalize(encoder.project(encoder.convs(torch.cat([standardised, mask], dim=1)).flatten(1)), dim=1)
    torch.testing.assert_close(encoder(x), expected, atol=1e-3, rtol=1e-2)


def evidence_by_hand(function, distances):
    total = function.bias.item()
    for row, distance in zip(function.weight, distances.tolist(), strict=True):
        for k, weight in enumerate(row.tolist()):
            total -= math.log1p(math.exp(weight)) * min(1, max(0, function.pieces * distance - k))
    return total


def test_monotone_evidence():
    torch.manual_seed(0)
    function = MonotoneEvidence(2, pieces=4)
    torch.nn.init.normal_(function.weight)
    distances = torch.rand(20, 2) * 1.2
    expected = torch.tensor([evidence_by_hand(function, row) for row in distances])
    torch.testing.assert_close(function(distances), expected)
    falling = function(torch.linspace(0, 1, 50)[:, None].expand(-1, 2))
    assert (falling.diff() < 0).all()
    assert function(distances[:0]).shape == (0,)
    torch.testing.assert_close(
        MonotoneEvidence(3, drop=6.0)(torch.tensor([[0.0] * 3, [1.0] * 3])).diff(), torch.tensor([-6.0])
    )


def margins_by_hand(values, edge_index):
    edges = edge_index.T.tolist()
    rows = []
    for e, ends in enumerate(edges):
        for end in (0, 1):
            for k in range(values.shape[1]):
                rivals = [values[f, k] for f, others in enumerate(edges) if f != e and others[end] == ends[end]]
                rows.append(float(values[e, k] - max(rivals)) if rivals else 1.0)
    return torch.tensor(rows).reshape(len(edges), 2 * values.shape[1])


@pytest.mark.parametrize("sizes", [(0, 0), (0, 3), (2, 0), (1, 1), (1, 4), (3, 1), (3, 4)])
def test_rival_margins(sizes):
    torch.manual_seed(0)
    edge_index = torch.ones(sizes).nonzero().T
    if edge_index.shape[1] > 4:
        edge_index = edge_index[:, torch.randperm(edge_index.shape[1])[:-2]]
    values = torch.rand(edge_index.shape[1], 2, requires_grad=True)
    margins = rival_margins(values, edge_index, sizes)
    torch.testing.assert_close(margins, margins_by_hand(values.detach(), edge_index))
    margins.sum().backward()
    assert values.grad.isfinite().all()


def test_equal_rivals_have_no_margin():
    edge_index = torch.tensor([[0, 0], [0, 1]])
    assert rival_margins(torch.ones(2, 1), edge_index, (1, 2)).tolist() == [[0, 1], [0, 1]]
