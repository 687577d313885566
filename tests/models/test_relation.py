import pytest
import torch
import torch.nn.functional as F

from tests.cases import drawn
from tltm_graph import frame_pair_graph
from tltm_graph.graph import AddGeometry
from tltm_graph.models import RelationModel
from tltm_graph.nn import InstanceEncoder, TransitionGNN


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


def test_likeness_and_time_reach_the_gnn():
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
