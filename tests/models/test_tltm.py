import copy

import pytest
import torch
import torch.nn.functional as F

from tests.cases import drawn
from tests.parity import seeded
from tltm_graph import Frame, Tracker, frame_pair_graph
from tltm_graph.detectors.centermask import Decoder
from tltm_graph.graph import AddGeometry
from tltm_graph.models import RelationModel, for_inference, tltm_r50, tltm_tiny
from tltm_graph.models.tltm import detector_of, expect_tltm
from tltm_graph.nn import FoldedTransitionGNN, InstanceEncoder, TransitionGNN


def tiny():
    torch.manual_seed(0)
    model = tltm_tiny(("cat", "dog"), min_size=64, max_size=96, decoder=Decoder(score_threshold=0.0, max_objects=6))
    model.relation.is_trained.fill_(True)
    return model.eval()


def frames(count=3):
    for index in range(count):
        yield Frame((seeded(f"frame.{index}", (3, 64, 96)).sigmoid() * 255).to(torch.uint8), index, index / 25)


def test_detector_and_relation_of_a_tracker():
    model = tiny()
    tracker = Tracker(model)
    for frame, detections in tracker.track(frames()):
        assert len(detections) == 6
        assert detections.masks.shape == (6, *frame.size)
        assert detections.ids.shape == (6,)


def test_random_weights_are_not_used_for_association():
    model = tltm_tiny()
    assert model.affinity() is None
    model.relation.is_trained.fill_(True)
    assert model.affinity().appearance is model
    assert expect_tltm(model) is model
    with pytest.raises(ValueError, match="Expected a TLTM, .* got CenterMask"):
        expect_tltm(detector_of(model))


def test_two_videos_that_alternate():
    model = tiny()
    tracker = Tracker(model)
    alone = [d.boxes for _, d in tracker.track(frames())]
    states = [tracker.start(), tracker.start()]
    for frame, expected in zip(frames(), alone, strict=True):
        for i in (0, 1):
            states[i], detections = tracker.step(states[i], frame)
            assert torch.equal(detections.boxes, expected)


@pytest.mark.slow
@pytest.mark.parametrize("build", [tiny, lambda: tltm_r50(("a", "b"), min_size=64, max_size=96).eval()])
def test_inference_copy_computes_the_same(build):
    model = build()
    model.detector.decoder = Decoder(score_threshold=0.0, max_objects=6)
    fast = for_inference(model)
    expected, _ = model.detect(next(frames()))
    assert len(expected) == 6
    found, _ = fast.detect(next(frames()))
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(fast.encode(found), model.encode(expected), rtol=1e-3, atol=1e-3)


def test_inference_copy_does_not_change_the_model():
    model = tiny()
    before = copy.deepcopy(model.state_dict())
    fast = for_inference(model)
    assert isinstance(fast.relation.gnn, FoldedTransitionGNN)
    assert not any(p.requires_grad for p in fast.parameters())
    with torch.no_grad():
        for parameter in fast.parameters():
            parameter.zero_()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.config is not None
    assert fast.config is None


def test_encode_and_score():
    model = RelationModel(InstanceEncoder(4, 16, 12, resolution=8), TransitionGNN(12, 8))
    before, now = (d.replace(features=torch.randn(len(d), 4, 8, 8)) for d in drawn("ab\nabc"))
    nodes = [d.replace(embeddings=model.encode(d)) for d in (before, now)]
    graph = frame_pair_graph(*nodes)
    torch.testing.assert_close(
        model.score(graph), model.gnn((nodes[0].embeddings, nodes[1].embeddings), graph_edges(graph))
    )


def test_edge_features_reach_the_gnn():
    model = RelationModel(gnn=TransitionGNN(12, 8, edge_dim=6))
    graph = AddGeometry()(frame_pair_graph(*(d.replace(embeddings=torch.randn(len(d), 12)) for d in drawn("ab\nabc"))))
    assert model.score(graph).shape == (6,)


def test_similarity_and_time_reach_the_gnn():
    torch.manual_seed(0)
    gnn = TransitionGNN(12, 8, edge_dim=7)
    model = RelationModel(gnn=gnn, groups=3)
    before, now = (d.replace(embeddings=torch.randn(len(d), 12)) for d in drawn("ab\nabc"))
    graph = frame_pair_graph(before, now)
    row, column = graph_edges(graph)
    for gap, mean in ((None, None), (torch.tensor([1.0, 9.0]), torch.randn(2, 12))):
        if gap is not None:
            graph["previous"].time_since_update, graph["previous"].mean_x = gap, mean
        waited = torch.ones(2) if gap is None else gap
        remembered = before.embeddings, before.embeddings if mean is None else mean
        attributes = [
            [
                4 * float(F.cosine_similarity(*(x[4 * k : 4 * k + 4] for x in (side[i], now.embeddings[j])), dim=0))
                for side in remembered
                for k in range(3)
            ]
            + [float(waited[i].log()) - 1]
            for i, j in zip(row.tolist(), column.tolist(), strict=True)
        ]
        expected = gnn((before.embeddings, now.embeddings), graph_edges(graph), torch.tensor(attributes))
        torch.testing.assert_close(model.score(graph), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="Expected a GNN with 7 edge features for 3 groups, got one with None"):
        RelationModel(gnn=TransitionGNN(12, 8), groups=3)


def graph_edges(graph):
    return graph["previous", "transition", "current"].edge_index


def test_detectors_without_features():
    model = RelationModel()
    assert model.encode(drawn("..")[0]).shape == (0, 512)
    with pytest.raises(ValueError, match="this detector cannot feed a relation model"):
        model.encode(drawn("a")[0])
