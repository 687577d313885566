import pytest
import torch

from tltm_graph.nn import TransitionGNN, TransitionHead
from tltm_graph.nn.transition_head import Standardize


def inputs(m: int, n: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(seed)
    edge_index = torch.cartesian_prod(torch.arange(m), torch.arange(n)).T.reshape(2, -1)
    return (
        torch.randn((m, 5), generator=random),
        torch.randn((n, 4), generator=random),
        edge_index,
        torch.randn((edge_index.shape[1], 3), generator=random),
    )


@pytest.fixture
def head() -> TransitionHead:
    torch.manual_seed(0)
    return TransitionHead(5, 4, 3, channels=8, hidden_channels=16).eval()


@pytest.mark.parametrize(("m", "n"), [(3, 4), (1, 1), (0, 4), (3, 0), (0, 0)])
def test_shapes_and_gradients(head, m, n):
    outputs = head(*inputs(m, n))
    assert [len(output) for output in outputs] == [m * n, n, m, n]
    sum(output.sum() for output in outputs).backward()
    assert repr(head) == "TransitionHead(channels=8, num_steps=1)"


def by_hand(head: TransitionHead, previous, current, edge_index, edges):
    """The equations of the docstring, with the layers' own sub-networks, node by node."""
    z, y, a = head.previous(previous), head.current(current), head.edge(edges)

    def delta(gnn: TransitionGNN, own, others, index, other_index):
        rows = []
        for i in range(len(own)):
            message = torch.zeros(gnn.hidden_channels)
            for e in (index == i).nonzero().flatten().tolist():
                message = message + gnn.edge_mlp(torch.cat([own[i], others[other_index[e]], a[e]]))
            rows.append(gnn.node_mlp(torch.cat([own[i], message])))
        return torch.stack(rows)

    row, column = edge_index
    y = y + delta(head.to_current, y, z, column, row)
    z = z + delta(head.to_previous, z, y, row, column)
    changed = z + delta(head.to_previous, z, y, row, column)
    pairs = [torch.cat([changed[i], y[j], a[e]]) for e, (i, j) in enumerate(edge_index.T.tolist())]
    logits = head.to_previous.edge_predictor(torch.stack(pairs)).squeeze(1)

    def evidence(index, size):
        rows = []
        for i in range(size):
            mine = logits[index == i]
            rows.append([mine.max(), mine.logsumexp(0)] if len(mine) else [torch.tensor(-10.0)] * 2)
        return torch.tensor(rows).clamp(-10, 20) / 4

    matched = torch.cat([y, evidence(column, len(y))], dim=1)
    births, objects = head.birth(matched).squeeze(1), head.object(matched).squeeze(1)
    misses = head.miss(torch.cat([z, evidence(row, len(z))], dim=1)).squeeze(1)
    return logits, births, misses, objects


def test_equals_the_equations(head):
    values = inputs(4, 3)
    sparse = torch.tensor([0, 1, 2, 4, 5, 7, 8])  # previous node 3 has no edge
    previous, current, edge_index, edges = values
    given = (previous, current, edge_index[:, sparse], edges[sparse])
    with torch.no_grad():
        for fast, slow in zip(head(*given), by_hand(head, *given), strict=True):
            assert torch.allclose(fast, slow, atol=1e-5)


def test_a_batch_equals_its_graphs_scored_separately(head):
    first, second = inputs(3, 4, seed=1), inputs(2, 2, seed=2)
    joined = (
        torch.cat([first[0], second[0]]),
        torch.cat([first[1], second[1]]),
        torch.cat([first[2], second[2] + torch.tensor([[3], [4]])], dim=1),
        torch.cat([first[3], second[3]]),
    )
    with torch.no_grad():
        apart = zip(head(*first), head(*second), strict=True)
        for together, (one, other) in zip(head(*joined), apart, strict=True):
            assert torch.allclose(together, torch.cat([one, other]), atol=1e-5)


def test_the_edges_of_rivals_change_a_logit(head):
    previous, current, edge_index, edges = inputs(2, 2)
    other = edges.clone()
    other[3] += 3  # the edge from the other track to the other detection
    with torch.no_grad():
        assert not torch.allclose(
            head(previous, current, edge_index, edges)[0][:1], head(previous, current, edge_index, other)[0][:1]
        )


def test_standardize_learns_from_its_first_batches_and_bounds():
    rows = 5 + 3 * torch.randn((1000, 2), generator=torch.Generator().manual_seed(0))
    layer = Standardize(2, num_batches=4).eval()
    assert torch.allclose(layer(rows / 5), rows / 5), "untrained, it changes nothing"
    layer.train()
    for part in rows.split(250):
        layer(part)
    layer(rows[:0])
    layer(torch.full((9, 2), 1e6))
    assert int(layer.seen) == 4, "later batches do not count"
    assert layer(rows).mean(dim=0).abs().max() < 1e-5
    assert (layer(rows).std(dim=0) - 1).abs().max() < 1e-3
    assert layer(torch.full((1, 2), 1e6)).tolist() == [[8, 8]]
