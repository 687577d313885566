import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.loader import DataLoader
from torch_geometric.nn import HeteroConv

from tests.parity import FIXTURES, fill, seeded
from tltm_graph import Detections, TransitionGNN, frame_pair_graph
from tltm_graph.graph import TRANSITION
from tltm_graph.nn import FoldedTransitionGNN

SIZES = [(0, 0), (0, 3), (4, 0), (1, 1), (3, 5), (7, 2)]


def complete(num_previous: int, num_current: int) -> Tensor:
    return torch.cartesian_prod(torch.arange(num_previous), torch.arange(num_current)).reshape(-1, 2).T.contiguous()


def literal(gnn: TransitionGNN, x: tuple[Tensor, Tensor], edge_index: Tensor, edge_attr: Tensor | None = None):
    """The equations, edge by edge: the change of each previous node, and the logit of each edge."""
    previous, current = x
    attr = torch.zeros(edge_index.shape[1], 0) if edge_attr is None else edge_attr
    state, total = previous.clone(), torch.zeros_like(previous)
    for _ in range(gnn.num_steps):
        change = torch.zeros_like(previous)
        for i in range(len(previous)):
            messages = [
                gnn.edge_mlp(torch.cat([state[i], current[j], attr[e]]))
                for e, (row, j) in enumerate(edge_index.T.tolist())
                if row == i
            ]
            gathered = torch.stack(messages).sum(0) if messages else torch.zeros(gnn.hidden_channels)
            if messages and gnn.aggr == "mean":
                gathered = gathered / len(messages)
            if messages and gnn.aggr == "max":
                gathered = torch.stack(messages).max(0).values
            change[i] = gnn.node_mlp(torch.cat([state[i], gathered]))
        state, total = state + change, total + change
    logits = [
        gnn.edge_predictor(torch.cat([state[i], current[j], attr[e]])) for e, (i, j) in enumerate(edge_index.T.tolist())
    ]
    return total, torch.cat(logits) if logits else torch.zeros(0)


def nodes(num_previous: int, num_current: int, channels: int = 16) -> tuple[Tensor, Tensor]:
    return seeded("previous", (num_previous, channels)), seeded("current", (num_current, channels))


def test_repr_and_published_size():
    gnn = TransitionGNN()
    assert str(gnn) == "TransitionGNN(512, hidden_channels=128, num_steps=1)"
    assert str(TransitionGNN(8, 4, edge_dim=3)) == "TransitionGNN(8, hidden_channels=4, edge_dim=3, num_steps=1)"
    assert sum(p.numel() for p in gnn.parameters()) == 460_673
    before = gnn.edge_mlp[0].weight.clone()
    gnn.reset_parameters()
    assert not torch.equal(before, gnn.edge_mlp[0].weight)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("aggr", ["sum", "mean", "max"])
@pytest.mark.parametrize(("edge_dim", "num_steps"), [(None, 1), (3, 1), (3, 2)])
def test_equals_the_equations(sizes, aggr, edge_dim, num_steps):
    gnn = TransitionGNN(16, 8, edge_dim=edge_dim, num_steps=num_steps, aggr=aggr)
    edge_index = complete(*sizes)
    kept = torch.rand(edge_index.shape[1], generator=torch.Generator().manual_seed(1)) < 0.7
    edge_index = edge_index[:, kept]
    edge_attr = None if edge_dim is None else seeded("attr", (edge_index.shape[1], edge_dim))
    x = nodes(*sizes)
    delta, logits = literal(gnn, x, edge_index, edge_attr)
    assert gnn(x, edge_index, edge_attr).shape == (edge_index.shape[1],)
    torch.testing.assert_close(gnn(x, edge_index, edge_attr), logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gnn.transition(x, edge_index, edge_attr), delta, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_steps", [1, 2, 3])
@pytest.mark.parametrize("sizes", [(1, 1), (3, 5), (7, 2), (20, 20)])
def test_equals_the_released_code(sizes, num_steps):
    expected = np.load(FIXTURES / "components.npz")
    gnn = fill(TransitionGNN(num_steps=num_steps), "obj2obj_gnn")
    name = f"{sizes[0]}x{sizes[1]}"
    x = seeded(f"gnn.{name}.prev", (sizes[0], 512)), seeded(f"gnn.{name}.cur", (sizes[1], 512))
    with torch.no_grad():
        scores = gnn(x, complete(*sizes)).sigmoid().reshape(sizes)
        delta = gnn.transition(x, complete(*sizes))
    reference = torch.from_numpy(expected[f"gnn.mp{num_steps}.{name}.pairwise_scores"])[:, 1:].T
    torch.testing.assert_close(scores, reference, atol=5e-5, rtol=0)
    if f"gnn.mp{num_steps}.{name}.node_delta" in expected:
        by_step = torch.from_numpy(expected[f"gnn.mp{num_steps}.{name}.node_delta"])
        torch.testing.assert_close(delta, by_step.sum(dim=0), atol=1e-4, rtol=0)


def test_reordering_edges_reorders_logits():
    gnn, x, edge_index = TransitionGNN(16, 8), nodes(4, 3), complete(4, 3)
    order = torch.randperm(edge_index.shape[1])
    torch.testing.assert_close(gnn(x, edge_index[:, order]), gnn(x, edge_index)[order])


def test_a_batch_equals_its_pairs_scored_separately():
    gnn = TransitionGNN(16, 8)
    pairs = [nodes(m, n) for m, n in SIZES]
    graphs = [frame_pair_graph(detections(previous), detections(current)) for previous, current in pairs]
    batch = next(iter(DataLoader(graphs, batch_size=len(graphs))))
    x = batch["previous"].x, batch["current"].x
    together = gnn(x, batch[TRANSITION].edge_index)
    apart = torch.cat([gnn(pair, complete(*map(len, pair))) for pair in pairs])
    torch.testing.assert_close(together, apart)


def detections(embeddings: Tensor) -> Detections:
    n = len(embeddings)
    return Detections(torch.zeros(n, 4), torch.zeros(n), torch.zeros(n, dtype=torch.int64), embeddings=embeddings)


@pytest.mark.parametrize("sizes", SIZES)
def test_backward(sizes):
    gnn = TransitionGNN(16, 8, edge_dim=2)
    previous, current = (x.requires_grad_() for x in nodes(*sizes))
    edge_index = complete(*sizes)
    gnn((previous, current), edge_index, torch.zeros(edge_index.shape[1], 2)).sum().backward()
    assert previous.grad is not None
    assert torch.isfinite(previous.grad).all()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in gnn.parameters())


def test_trains_under_autocast():
    gnn, x, edge_index = TransitionGNN(16, 24), nodes(4, 5), complete(4, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = gnn(x, edge_index)
    torch.testing.assert_close(logits.float(), gnn(x, edge_index), atol=0.05, rtol=0.05)
    logits.float().sum().backward()
    assert all(p.grad is not None for p in gnn.parameters())


def test_gradients_equal_those_of_the_equations():
    gnn, x, edge_index = TransitionGNN(16, 8, num_steps=2), nodes(3, 4), complete(3, 4)
    gnn(x, edge_index).sum().backward()
    ours = [p.grad.clone() for p in gnn.parameters()]
    gnn.zero_grad()
    literal(gnn, x, edge_index)[1].sum().backward()
    for grad, p in zip(ours, gnn.parameters(), strict=True):
        torch.testing.assert_close(grad, p.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_compiles_to_the_same_numbers():
    gnn, x, edge_index = TransitionGNN(16, 8, edge_dim=2), nodes(5, 4), complete(5, 4)
    edge_attr = seeded("attr", (20, 2))
    compiled = torch.compile(gnn, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, edge_index, edge_attr), gnn(x, edge_index, edge_attr))


class PairModel(nn.Module):
    """A hetero model for PyG's explainer: the layer in a HeteroConv, dictionaries as inputs."""

    def __init__(self, gnn: TransitionGNN) -> None:
        super().__init__()
        self.conv = HeteroConv({TRANSITION: gnn})

    def forward(self, x_dict, edge_index_dict):
        gnn = next(iter(self.conv.convs.values()))
        return gnn((x_dict["previous"], x_dict["current"]), edge_index_dict[TRANSITION])


@pytest.mark.filterwarnings("ignore:There exist node types")
def test_an_explanation_masks_whole_messages():
    torch.manual_seed(0)
    gnn = TransitionGNN(16, 8).eval()
    previous, current = nodes(3, 4)
    explainer = Explainer(
        PairModel(gnn),
        algorithm=GNNExplainer(epochs=5),
        explanation_type="model",
        edge_mask_type="object",
        model_config={"mode": "binary_classification", "task_level": "edge", "return_type": "raw"},
    )
    explanation = explainer({"previous": previous, "current": current}, {TRANSITION: complete(3, 4)}, index=2)
    mask = explanation[TRANSITION].edge_mask
    assert mask.shape == (12,)
    assert mask[:4].abs().sum() > 0, "the logit of edge 2 depends on the messages to its own previous node"
    assert mask[4:].abs().sum() == 0, "and on no others"
    assert not gnn.explain, "the explainer restores the layer"


def test_explanation_mode_gives_equal_logits():
    gnn, x, edge_index = TransitionGNN(16, 8).eval(), nodes(3, 4), complete(3, 4)
    plain = gnn(x, edge_index)
    gnn.explain = True
    gnn._edge_mask, gnn._apply_sigmoid, gnn._loop_mask = torch.ones(12), False, torch.ones(12, dtype=torch.bool)
    torch.testing.assert_close(gnn(x, edge_index), plain)


@pytest.mark.parametrize(
    ("edge_dim", "x", "edge_index", "edge_attr", "message"),
    [
        (None, (2, 15), complete(2, 2), None, r"Expected node features \(V, 16\)"),
        (None, (2, 16), torch.zeros(3, 1, dtype=torch.int64), None, r"Expected 'edge_index' of shape \(2, E\)"),
        (None, (2, 16), complete(2, 2), torch.zeros(4, 2), "Expected edge features none"),
        (2, (2, 16), complete(2, 2), None, "Expected edge features of size 2, got None"),
        (2, (2, 16), complete(2, 2), torch.zeros(3, 2), r"Expected 'edge_attr' of shape \(4, 2\)"),
    ],
)
def test_bad_input(edge_dim, x, edge_index, edge_attr, message):
    gnn = TransitionGNN(16, 8, edge_dim=edge_dim)
    with pytest.raises(ValueError, match=message):
        gnn((torch.zeros(x), torch.zeros(x)), edge_index, edge_attr)


def test_float64_nodes_are_refused():
    x = torch.zeros(2, 16), torch.from_numpy(np.zeros((2, 16)))
    with pytest.raises(ValueError, match="features of one type, got torch.float32 and torch.float64"):
        TransitionGNN(16, 8)(x, complete(2, 2))
    gnn = TransitionGNN(16, 8)
    for function in (gnn, gnn.transition, FoldedTransitionGNN(gnn)):
        with pytest.raises(ValueError, match=r"torch.float32 as the weights are, got float64: x.float\(\)"):
            function((x[1], x[1]), complete(2, 2))
