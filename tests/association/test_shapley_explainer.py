from itertools import permutations

import pytest
import torch
from torch import nn
from torch_geometric.explain import Explainer

from tltm_graph.association.shapley_explainer import FeatureGroup, ShapleyExplainer
from tltm_graph.graph import TRANSITION
from tltm_graph.nn import TransitionHead

SIZES = 3, 3
GROUPS = {
    "a": FeatureGroup(previous=(0, 1), edge=(2,)),
    "b": FeatureGroup(current=(1,)),
    "c": FeatureGroup(edge=(0, 1)),
}


class Logits(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, x, edge_index, edge_attr):
        return self.head(x["previous"], x["current"], edge_index[TRANSITION], edge_attr)[0]


def case(seed=0):
    torch.manual_seed(seed)
    head = TransitionHead(2, 2, 3, channels=8, hidden_channels=16).double().eval()
    x = {"previous": torch.randn(3, 2).double(), "current": torch.randn(3, 2).double()}
    index = torch.tensor([[0, 0, 1, 1, 2], [0, 1, 0, 2, 1]])  # no edge 2-0: not all are neighbours
    return Logits(head).eval(), x, index, torch.randn(5, 3).double()


def explainer(model, **options):
    average = tuple(torch.zeros(size, dtype=torch.float64) for size in (2, 2, 3))
    return Explainer(
        model,
        ShapleyExplainer(GROUPS, average, **options),
        explanation_type="model",
        edge_mask_type="object",
        model_config={"mode": "regression", "task_level": "edge", "return_type": "raw"},
    )


def worth(model, x, index, attr, edge, players):
    """Score of the edge for a coalition; a neighbour is named by its edge."""
    x, attr = {side: values.clone() for side, values in x.items()}, attr.clone()
    for name, group in GROUPS.items():
        if name not in players:
            x["previous"][index[0, edge], list(group.previous)] = 0
            x["current"][index[1, edge], list(group.current)] = 0
            attr[edge, list(group.edge)] = 0
    shares = (index[0] == index[0, edge]) ^ (index[1] == index[1, edge])
    kept = [e for e in range(index.shape[1]) if not shares[e] or e in players]
    return float(model(x, {TRANSITION: index[:, kept]}, attr[kept])[kept.index(edge)])


@pytest.mark.slow
@pytest.mark.parametrize("edge", range(5))
def test_many_orders_converge_to_the_shapley_values(edge):
    model, x, index, attr = case()
    with torch.no_grad():
        shares = ((index[0] == index[0, edge]) ^ (index[1] == index[1, edge])).nonzero().flatten().tolist()
        players = [*GROUPS, *shares]
        known, orders = dict.fromkeys(players, 0.0), list(permutations(players))
        for order in orders:
            before: set = set()
            for player in order:
                added = worth(model, x, index, attr, edge, before | {player}) - worth(
                    model, x, index, attr, edge, before
                )
                known[player] += added / len(orders)
                before |= {player}
        told = explainer(model, num_orders=3000)(x, {TRANSITION: index}, index=edge, edge_attr=attr)
        mask = told[TRANSITION].edge_mask
        assert told.terms["typical"] == pytest.approx(worth(model, x, index, attr, edge, set()))
        for name in GROUPS:
            assert told.terms[name] == pytest.approx(known[name], abs=0.02)
        for other in range(5):
            assert float(mask[other]) == pytest.approx(known.get(other, 0.0), abs=0.02)


def test_few_orders_still_add_up_to_the_score():
    model, x, index, attr = case(1)
    told = explainer(model, num_orders=2)(x, {TRANSITION: index}, index=2, edge_attr=attr)
    total = sum(told.terms.values()) + float(told[TRANSITION].edge_mask.sum())
    assert total == pytest.approx(float(told.prediction[2]), abs=1e-12)


def test_remaining_neighbours_are_one_player():
    model, x, index, attr = case()
    every = explainer(model, num_orders=3000)(x, {TRANSITION: index}, index=0, edge_attr=attr)
    told = explainer(model, num_orders=3000, max_neighbors=1)(x, {TRANSITION: index}, index=0, edge_attr=attr)
    likely, other = (1, 2) if told.prediction[1] > told.prediction[2] else (2, 1)
    mask = told[TRANSITION].edge_mask
    assert mask.nonzero().flatten().tolist() == [likely]
    assert told.terms["others"] == pytest.approx(float(every[TRANSITION].edge_mask[other]), abs=0.02)
    assert sum(told.terms.values()) + float(mask.sum()) == pytest.approx(float(told.prediction[0]), abs=1e-12)


def test_one_edge_is_explained():
    model, x, index, attr = case()
    with pytest.raises(ValueError, match="one edge to explain, got None"):
        explainer(model)(x, {TRANSITION: index}, edge_attr=attr)
