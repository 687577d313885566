import networkx as nx

from tests.cases import CROSSING, Script, blank, drawn
from tltm_graph import Tracker
from tltm_graph.explanation import association_graph


def recorded(frames, **options) -> nx.DiGraph:
    tracker = Tracker(Script(frames))
    state, decisions = tracker.start(), []
    for t in range(len(frames)):
        state, _ = tracker.step(state, blank(t))
        decisions.append(state.decision.compact())
    return association_graph(decisions, **options)


def test_chosen_edges_are_the_tracks():
    graph = recorded(drawn(CROSSING))
    chosen = nx.DiGraph([(a, b) for a, b, data in graph.edges(data=True) if data["chosen"]])
    paths = {tuple(sorted(part, key=lambda n: int(n.split(":")[0]))) for part in nx.weakly_connected_components(chosen)}
    assert {tuple(n.split(":")[0] for n in path) for path in paths} == {
        ("0", "1", "2", "3", "5", "6", "7"),
        tuple("01234567"),
    }
    for path in paths:
        assert len({graph.nodes[node]["track"] for node in path}) == 1
    assert all(graph.nodes[a]["frame"] < graph.nodes[b]["frame"] for a, b in graph.edges)


def test_only_the_best_edges_are_kept():
    frames = drawn("abcd\nabcd")
    assert recorded(frames).number_of_edges() == 16
    few = recorded(frames, max_edges=2)
    assert few.number_of_edges() == 8
    assert sum(data["chosen"] for *_, data in few.edges(data=True)) == 4
