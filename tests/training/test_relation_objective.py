import pytest
import torch

from tests.training.test_objectives import SITUATIONS, TWO, pair, tiny
from tltm_graph.graph import TRANSITION
from tltm_graph.models import for_inference
from tltm_graph.training import GroundTruthRegions, PairObjective, ProposalRegions, RelationObjective
from tltm_graph.training.regions import previous_regions
from tltm_graph.training.relation_objective import pair_graph


@torch.no_grad()
def pooled_graph(detector, pair, sampler=None):
    """The graph of a pair in :class:`PairObjective`, with pooled features instead of embeddings."""
    size = (pair.current_image.shape[1], pair.current_image.shape[2])
    images = detector.prepare([pair.previous_image, pair.current_image])
    both = detector.backbone(images)
    previous, current = [level[:1] for level in both], [level[1:] for level in both]
    outputs, strides = detector.head(detector.fuse(previous, current)), detector.backbone.strides
    (new,) = (sampler or ProposalRegions())(lambda decoder: decoder(outputs, strides), [pair.current])
    old = previous_regions(pair.previous, None)
    x = detector.pool(previous, [old.boxes], [size], images[:1])
    z = detector.pool(current, [new.boxes], [size], images[1:])
    return pair_graph(pair.previous, old, x, pair.current, new, z)


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_losses_and_gradients_are_those_of_the_whole_model(situation, weight):
    model, twin = tiny(), tiny()
    whole = PairObjective(sampler=GroundTruthRegions(), transition_weight=weight)(model, [SITUATIONS[situation]])
    graph = pooled_graph(twin.detector, SITUATIONS[situation], GroundTruthRegions())
    losses = RelationObjective(weight)(twin.relation, [graph])
    assert losses.keys() == whole.keys() & {"gnn_edge", "transition"}
    assert ("transition" in losses) == (weight > 0)
    for name, loss in losses.items():
        torch.testing.assert_close(loss, whole[name])
    sum(losses.values()).backward()
    sum(whole[name] for name in losses).backward()
    for parameter, other in zip(model.relation.parameters(), twin.relation.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad)
    assert all(p.grad is None for p in twin.detector.parameters())


def test_several_graphs_are_averaged_over_their_edges():
    model = tiny()
    pairs = [SITUATIONS["two objects"], pair(TWO, TWO, seed=3)]
    graphs = [pooled_graph(model.detector, one, GroundTruthRegions()) for one in pairs]
    joined = RelationObjective()(model.relation, graphs)["gnn_edge"]
    apart = torch.stack([RelationObjective()(model.relation, [graph])["gnn_edge"] for graph in graphs])
    torch.testing.assert_close(joined, apart.mean(), msg="four edges each")


def test_no_transition_leads_to_a_false_positive():
    model = tiny()
    torch.nn.init.constant_(model.detector.head.cls_logits.bias, 0.5)
    graph = pooled_graph(model.detector, SITUATIONS["two objects"])
    assert (graph["current"].ids < 0).any()
    row, column = graph[TRANSITION].edge_index
    same = graph["previous"].ids[row] == graph["current"].ids[column]
    assert graph[TRANSITION].y.equal(same.float())
    assert graph["previous"].x.shape == (2, 67, 14, 14)


def test_half_precision_is_close():
    model = tiny()
    graph = pooled_graph(model.detector, SITUATIONS["two objects"], GroundTruthRegions())
    loss = RelationObjective()(model.relation, [graph])["gnn_edge"]
    for side in ("previous", "current"):
        graph[side].x = graph[side].x.half()
    torch.testing.assert_close(RelationObjective()(model.relation, [graph])["gnn_edge"], loss, rtol=1e-2, atol=1e-3)


def test_errors_and_repr():
    model = tiny()
    with pytest.raises(ValueError, match="Expected at least one graph"):
        RelationObjective()(model.relation, [])
    graph = pooled_graph(model.detector, SITUATIONS["two objects"])
    with pytest.raises(ValueError, match="Expected a TransitionGNN to learn transitions, got Folded"):
        RelationObjective(1.0)(for_inference(model).relation, [graph])
    assert repr(RelationObjective(0.1)) == "RelationObjective(transition_weight=0.1)"
