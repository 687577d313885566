import torch

from tests.cases import drawn
from tltm_graph import frame_pair_graph
from tltm_graph.association import Affinity, EdgeScores
from tltm_graph.association.affinity import EdgeExplanation, Message


class Constant(Affinity):
    """Affinity that implements the one required method."""

    def score(self, graph):
        terms = {"one": torch.tensor([1.0, 2.0]), "two": torch.tensor([0.5, 0.5])}
        return EdgeScores(sum(terms.values()), torch.zeros(2), torch.zeros(1), terms)


def test_the_defaults_of_the_protocol():
    affinity = Constant()
    graph = frame_pair_graph(*drawn("a.\nab"))
    assert isinstance(affinity, Affinity)
    assert affinity.encode(drawn("a")[0]) is None
    assert affinity.explain(graph, 1) == EdgeExplanation({"one": 2.0, "two": 0.5}, ())


def test_an_explanation_adds_up():
    explanation = EdgeExplanation({"motion": 1.5}, (Message("previous", 0, 0.25), Message("current", 1, -1.0)))
    assert explanation.total == 0.75


def test_repr():
    scores = Constant().score(frame_pair_graph(*drawn("a.\nab")))
    assert repr(scores) == "EdgeScores(2 edges, 2 births, 1 misses, terms one, two)"
