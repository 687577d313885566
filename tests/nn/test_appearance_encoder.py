import pytest
import torch
import torch.nn.functional as F

from tltm_graph.nn import AppearanceEncoder
from tltm_graph.nn.appearance_encoder import edge_cosine_similarity


@pytest.mark.parametrize("n", [0, 3])
def test_equals_the_formula_and_goes_backward(n):
    torch.manual_seed(0)
    encoder = AppearanceEncoder(4, 10, resolution=6)
    x = torch.randn(n, 7, 6, 6, requires_grad=True)
    nodes = encoder(x)
    assert nodes.shape == (n, 10)
    for i in range(n):  # pixel by pixel
        features, pixels = x[i : i + 1, :4], x[i : i + 1, 4:]
        weights = encoder.attention(features)[0].flatten(1).exp()  # (A, 36)
        texture = encoder.texture(pixels)[0].flatten(1)
        first, last = encoder.colour[0], encoder.colour[2]
        parts = []
        for weight in weights / weights.sum(dim=1, keepdim=True):
            histogram, mean = torch.zeros(encoder.bins), torch.zeros(encoder.textures)
            for p, colour in enumerate(pixels[0].flatten(1).T):
                bins = F.linear(F.relu(F.linear(colour, first.weight[:, :, 0, 0], first.bias)), last.weight[:, :, 0, 0])
                bins = (bins + last.bias).exp()
                histogram = histogram + weight[p] * bins / bins.sum()
                mean = mean + weight[p] * texture[:, p]
            parts += [4 * (histogram + 1e-4).sqrt(), mean]
        expected = torch.cat([encoder.looks(torch.cat(parts)), encoder.surroundings(features)[0]])
        torch.testing.assert_close(nodes[i], expected, rtol=1e-4, atol=1e-5)
    nodes.sum().backward()
    assert x.grad.shape == x.shape


def test_appearance_does_not_depend_on_pixel_positions():
    torch.manual_seed(0)
    encoder = AppearanceEncoder(4, 10, resolution=6)
    torch.nn.init.zeros_(encoder.texture[0].weight)  # texture sees neighbours, colours do not
    torch.nn.init.zeros_(encoder.attention[0].weight)
    x = torch.randn(1, 7, 6, 6)
    turned = torch.cat([x[:, :4], x[:, 4:].rot90(1, (2, 3))], dim=1)
    torch.testing.assert_close(encoder(x), encoder(turned))


def test_edge_cosine_similarity():
    torch.manual_seed(0)
    before, now = torch.randn(3, 8), torch.randn(2, 8)
    edge_index = torch.tensor([[0, 2, 2], [1, 0, 1]])
    similarity = edge_cosine_similarity((before, now), edge_index, 2)
    for edge, (i, j) in enumerate(edge_index.T.tolist()):
        for group, part in enumerate((slice(0, 4), slice(4, 8))):
            cosine = F.cosine_similarity(before[i, part], now[j, part], dim=0)
            torch.testing.assert_close(similarity[edge, group], cosine)
    assert edge_cosine_similarity((before[:0], now), edge_index[:, :0], 2).shape == (0, 2)


def test_bad_input():
    with pytest.raises(ValueError, match=r"of shape \(N, 67, 14, 14\), got \(2, 64, 14, 14\)"):
        AppearanceEncoder()(torch.zeros(2, 64, 14, 14))
    with pytest.raises(ValueError, match="even number of channels, got 5"):
        AppearanceEncoder(channels=5)
    assert repr(AppearanceEncoder()) == "AppearanceEncoder(64, 128, resolution=14)"
