import math

import pytest
import torch
import torch.nn.functional as F
from torch_geometric.data import Batch

from tltm_graph import Detections
from tltm_graph.graph import TRANSITION, frame_pair_graph
from tltm_graph.models.appearance import KINDS, AppearanceEvidence, equalize, pool_evidence
from tltm_graph.nn import FoldedTransitionGNN

WIDTH = 2 * 96 + 64


def trained():
    """A model whose GNN and calibration do something."""
    torch.manual_seed(0)
    model = AppearanceEvidence().eval()
    for parameter in model.gnn.edge_predictor.parameters():
        torch.nn.init.normal_(parameter)
    model.temperature.fill_(1.5)
    model.bias.fill_(-0.7)
    return model


def embeddings(n):
    histograms = [F.normalize(torch.rand(n, 96), dim=1) for _ in range(2)]
    return torch.cat([*histograms, F.normalize(torch.randn(n, 64), dim=1)], dim=1)


def objects(x):
    n = len(x)
    return Detections(torch.zeros(n, 4), torch.ones(n), torch.zeros(n, dtype=torch.int64), embeddings=x)


def pair(m, n, seed=0, mean=False):
    torch.manual_seed(seed)
    graph = frame_pair_graph(objects(embeddings(m)), objects(embeddings(n)))
    if mean:
        graph["previous"].mean_x = (graph["previous"].x + embeddings(m)) / 2
    return graph


def pyramid(side=64):
    channels, strides = (24, 96, 96, 96, 96, 96), (2, 8, 8, 16, 32, 64)
    return [torch.randn(1, c, side // s, side // s) for c, s in zip(channels, strides, strict=True)]


@pytest.mark.parametrize("sizes", [(0, 0), (0, 3), (2, 0), (1, 1), (1, 4), (3, 4)])
@pytest.mark.parametrize("mean", [False, True])
def test_evidence_adds_up(sizes, mean):
    model, graph = trained(), pair(*sizes, mean=mean)
    terms = model.evidence(graph)
    assert tuple(terms) == (*KINDS, "rivals", "prior")
    assert all(term.shape == (sizes[0] * sizes[1],) and term.isfinite().all() for term in terms.values())
    torch.testing.assert_close(model.score(graph), sum(terms.values()))
    torch.testing.assert_close(terms["prior"], torch.full_like(terms["prior"], -0.7 - math.log(max(*sizes, 1))))


def test_evidence_equals_the_formula():
    model, graph = trained(), pair(2, 3, mean=True)
    terms = model.evidence(graph)
    parts = slice(0, 96), slice(96, 192), slice(192, 256)
    for e, (i, j) in enumerate(graph[TRANSITION].edge_index.T.tolist()):
        for name, part, function in zip(KINDS, parts, model.maps, strict=True):
            now = graph["current"].x[j, part]
            distances = [
                (1 - F.cosine_similarity(graph["previous"][kind][i, part], now, dim=0)).clamp(min=1e-4).sqrt()
                for kind in ("x", "mean_x")
            ]
            expected = function(torch.stack(distances)[None])[0] / 1.5
            torch.testing.assert_close(terms[name][e], expected, atol=1e-5, rtol=1e-4)


def test_it_starts_as_the_sum_of_the_evidence():
    model, graph = AppearanceEvidence().eval(), pair(3, 4)
    assert not model.is_trained
    assert (model.evidence(graph)["rivals"] == 0).all()
    same = objects(graph["previous"].x)
    scores = model.score(frame_pair_graph(same, same)).reshape(3, 3)
    assert torch.equal(scores.argmax(dim=1), torch.arange(3))


def test_frames_of_a_batch_do_not_see_each_other():
    model, graphs = trained(), [pair(3, 4, 1, True), pair(0, 2, 2, True), pair(2, 1, 3, True), pair(1, 5, 4, True)]
    batched = model.score(Batch.from_data_list(graphs))
    torch.testing.assert_close(batched, torch.cat([model.score(graph) for graph in graphs]), atol=1e-4, rtol=1e-4)


def test_the_order_of_the_objects_does_not_matter():
    model, graph = trained(), pair(3, 4)
    turned = frame_pair_graph(objects(graph["previous"].x.flip(0)), objects(graph["current"].x.flip(0)))
    scores = model.score(turned).reshape(3, 4).flip((0, 1))
    torch.testing.assert_close(scores, model.score(graph).reshape(3, 4), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sizes", [(0, 0), (0, 3), (2, 0), (1, 1), (3, 4)])
def test_backward(sizes):
    model, graph = trained(), pair(*sizes)
    graph["previous"].x.requires_grad_()
    model.score(graph).sum().backward()
    learned = (*model.maps.parameters(), *model.gnn.parameters(), *model.node.parameters())
    assert all(p.grad is None or p.grad.isfinite().all() for p in learned)
    if min(sizes):
        assert all(p.grad is not None for p in learned)
        assert graph["previous"].x.grad.isfinite().all()


def test_a_gnn_for_inference():
    model, graph = trained(), pair(3, 4)
    expected = model.score(graph)
    model.gnn = FoldedTransitionGNN(model.gnn)
    torch.testing.assert_close(model.score(graph), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("value", [0, 128, None])
@torch.no_grad()
def test_embeddings_of_difficult_frames(value):
    """Black, grey and random frames, with boxes of three pixels, at the border, and of the whole frame."""
    model, maps = trained(), pyramid()
    torch.manual_seed(1)
    image = torch.randint(0, 256, (3, 64, 64)).to(torch.uint8) if value is None else torch.full((3, 64, 64), value)
    image = image.to(torch.uint8)
    boxes = torch.tensor([[10.0, 10, 13, 13], [-5, 40, 20, 70], [0, 0, 64, 64]])
    shapes = torch.stack([torch.zeros(28, 28), torch.ones(28, 28), torch.rand(28, 28)])
    x = model.embed(maps, image, boxes, shapes)
    assert x.shape == (3, WIDTH)
    assert x.dtype == torch.float32
    assert x.isfinite().all()
    torch.testing.assert_close(x.split([96, 96, 64], dim=1)[0].norm(dim=1), torch.ones(3))
    assert model.score(frame_pair_graph(objects(x), objects(x))).isfinite().all()
    assert model.embed(maps, image, boxes[:0], shapes[:0]).shape == (0, WIDTH)


@torch.no_grad()
def test_pooling_depends_on_the_mask_alone_for_colours():
    torch.manual_seed(0)
    maps, image = pyramid(), torch.randint(0, 256, (3, 64, 64)).to(torch.uint8)
    shapes = torch.zeros(1, 28, 28)
    shapes[:, :, 14:] = 1
    other = image.clone()
    other[:, :, :30] = 0
    box = torch.tensor([[0.0, 0, 64, 64]])
    x, y = (pool_evidence(maps, one, box, shapes)[:, -192:-96] for one in (image, other))
    assert (x * y).sum() > 0.98
    with pytest.raises(ValueError, match=r"Expected a pyramid of maps with \(24, 96, 96, 96, 96\) channels, got"):
        pool_evidence(maps[1:], image, box, shapes)


def test_equalized_frames():
    torch.manual_seed(0)
    image = (40 * torch.rand(3, 32, 32)).to(torch.uint8)
    brighter = equalize((image.float() * 4 + 20).to(torch.uint8))
    assert (equalize(image).float() - brighter.float()).abs().max() <= 1
    assert equalize(image).max() == 255


def test_encode():
    model, x = AppearanceEvidence(), embeddings(2)
    assert torch.equal(model.encode(objects(x)), x)
    assert model.encode(Detections.empty()).shape == (0, WIDTH)
    with pytest.raises(ValueError, match="Expected detections with embeddings, got Detections.*detect them with"):
        model.encode(objects(x).replace(embeddings=None))
    assert str(model).startswith("AppearanceEvidence(EvidenceEncoder(414, 192, channels=64), TransitionGNN(16")
