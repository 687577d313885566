import pytest
import torch
from torch_geometric.loader import DataLoader

from tests.cases import drawn
from tltm_graph import Detections, frame_pair_graph
from tltm_graph.graph import TRANSITION


@pytest.mark.parametrize(("previous", "current"), [("ab", "abc"), ("..", "ab"), ("ab", ".."), ("..", "..")])
def test_complete_and_ordered(previous, current):
    (before,), (now,) = drawn(previous), drawn(current)
    graph = frame_pair_graph(before, now)
    expected = [(i, j) for i in range(len(before)) for j in range(len(now))]
    assert list(map(tuple, graph[TRANSITION].edge_index.T.tolist())) == expected
    assert graph["previous"].num_nodes == len(before)
    assert torch.equal(graph["current"].boxes, now.boxes)
    assert torch.equal(graph["current"].ids, now.ids)
    assert "x" not in graph["current"]
    graph.validate()


def with_embeddings(detections: Detections, size: int = 6) -> Detections:
    return detections.replace(embeddings=torch.ones(len(detections), size))


def test_embeddings_become_node_features_of_both_sides():
    (two,), (none,) = drawn("ab"), drawn("..")
    graph = frame_pair_graph(none, with_embeddings(two))
    assert graph["previous"].x.shape == (0, 6)
    assert graph["current"].x.shape == (2, 6)
    assert frame_pair_graph(with_embeddings(two), none)["current"].x.shape == (0, 6)
    with pytest.raises(ValueError, match="on both sides of the pair or on neither"):
        frame_pair_graph(two, with_embeddings(two))


def test_an_empty_side_takes_the_ids_field():
    (two,) = drawn("ab")
    graphs = [frame_pair_graph(two, Detections.empty()), frame_pair_graph(two, two)]
    batch = next(iter(DataLoader(graphs, batch_size=2)))
    assert batch["current"].ids.tolist() == [0, 1]
    assert batch["current"].ids.dtype == torch.int64
    with pytest.raises(ValueError, match="Expected ids on both sides"):
        frame_pair_graph(two, two.replace(ids=None))


def test_batching_shifts_both_sides():
    graphs = [frame_pair_graph(*drawn(f"{a}\n{b}")) for a, b in (("ab", "abc"), ("..", "a."), ("abc", "a.."))]
    batch = next(iter(DataLoader(graphs, batch_size=3)))
    expected = torch.cat(
        [
            graphs[0][TRANSITION].edge_index,
            graphs[2][TRANSITION].edge_index + torch.tensor([[2], [4]]),
        ],
        dim=1,
    )
    assert torch.equal(batch[TRANSITION].edge_index, expected)
    assert batch["previous"].num_nodes == 5
    assert batch["current"].num_nodes == 5
