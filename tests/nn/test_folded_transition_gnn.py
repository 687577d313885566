import pytest
import torch

from tests.nn.test_transition_gnn import SIZES, complete, nodes
from tests.parity import seeded
from tltm_graph import TransitionGNN
from tltm_graph.nn import FoldedTransitionGNN


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("aggr", ["sum", "mean"])
@pytest.mark.parametrize(("edge_dim", "num_steps"), [(None, 1), (3, 1), (3, 3)])
def test_equals_the_layer(sizes, aggr, edge_dim, num_steps):
    gnn = TransitionGNN(16, 8, edge_dim=edge_dim, num_steps=num_steps, aggr=aggr)
    edge_index = complete(*sizes)[:, ::2]  # not every pair
    edge_attr = None if edge_dim is None else seeded("attr", (edge_index.shape[1], edge_dim))
    with torch.no_grad():
        expected = gnn(nodes(*sizes), edge_index, edge_attr)
    folded = FoldedTransitionGNN(gnn)
    torch.testing.assert_close(folded(nodes(*sizes), edge_index, edge_attr), expected, atol=1e-5, rtol=1e-5)


def test_published_size():
    gnn, x = TransitionGNN(), nodes(10, 12, channels=512)
    folded = FoldedTransitionGNN(gnn)
    torch.testing.assert_close(folded(x, complete(10, 12)), gnn(x, complete(10, 12)).detach(), atol=1e-5, rtol=1e-5)
    assert str(folded) == "FoldedTransitionGNN(hidden_channels=128, num_steps=1)"
    assert not any(p.requires_grad for p in folded.parameters())


def test_the_copy_keeps_its_weights_and_can_change_dtype():
    gnn, x, edge_index = TransitionGNN(16, 8), nodes(3, 2), complete(3, 2)
    folded = FoldedTransitionGNN(gnn)
    before = folded(x, edge_index)
    gnn.reset_parameters()
    assert torch.equal(folded(x, edge_index), before)
    double = folded.double()(tuple(side.double() for side in x), edge_index)
    torch.testing.assert_close(double.float(), before, atol=1e-5, rtol=1e-5)


def test_bad_input():
    folded = FoldedTransitionGNN(TransitionGNN(16, 8, edge_dim=3))
    with pytest.raises(ValueError, match="Expected edge features of size 3, got None"):
        folded(nodes(2, 2), complete(2, 2))


def test_a_maximum_cannot_be_folded():
    with pytest.raises(ValueError, match="sums or averages messages, got aggr='max'"):
        FoldedTransitionGNN(TransitionGNN(16, 8, aggr="max"))
