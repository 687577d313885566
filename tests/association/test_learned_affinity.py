import json

import pytest
import torch
from torch_geometric.data import Batch

from tests.association.test_motion_features import pair
from tests.cases import CROSSING, SameAppearance, Script, blank, drawn, with_embeddings
from tltm_graph import Tracker
from tltm_graph.association import LearnedAffinity, save_head
from tltm_graph.association.motion_features import NUM_CURRENT, NUM_EDGE, NUM_PREVIOUS, motion_features
from tltm_graph.nn import TransitionHead


@pytest.fixture
def head() -> TransitionHead:
    torch.manual_seed(0)
    return TransitionHead(NUM_PREVIOUS, NUM_CURRENT, NUM_EDGE, channels=8, hidden_channels=16)


def test_scores_are_logits_divided_by_the_temperature(head):
    graph = pair(5, 6)
    features = motion_features(graph)
    head.eval()
    with torch.no_grad():
        edges, births, misses, objects = head(features.previous, features.current, features.edge_index, features.edges)
    scores = LearnedAffinity(head, temperature=2.0).score(graph)
    assert torch.allclose(scores.edges[features.kept], edges / 2)
    assert torch.allclose(scores.births, births / 2)
    assert torch.allclose(scores.misses, misses / 2)
    assert torch.allclose(scores.objects, objects / 2)
    left_out = torch.ones(30, dtype=torch.bool)
    left_out[features.kept] = False
    assert (scores.edges[left_out] == -50).all()
    assert torch.equal(sum(scores.terms.values()), scores.edges)


@pytest.mark.parametrize(("m", "n"), [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_match(head, m, n):
    scores = LearnedAffinity(head).score(pair(m, n))
    assert (len(scores.edges), len(scores.births), len(scores.misses)) == (0, n, m)


def test_it_works_in_a_tracker(head):
    frames = drawn(CROSSING)
    tracker = Tracker(Script(frames), affinity=LearnedAffinity(head))
    assert len(list(tracker.track(blank(t) for t in range(len(frames))))) == len(frames)


def test_the_verdict_of_the_head_decides_where_the_score_does_not(head):
    with torch.no_grad():
        head.object[-1].weight.zero_()
        for bias, shown in ((-3.0, False), (3.0, True)):
            head.object[-1].bias.fill_(bias)
            for score, expected in ((0.45, shown), (0.9, True)):
                found = drawn("a")[0].replace(scores=torch.tensor([score]))
                tracker = Tracker(Script([found]), affinity=LearnedAffinity(head))
                _, output = tracker.step(tracker.start(), blank(0))
                assert (output.ids.tolist() == [1]) == expected


def test_files_restore_it(head, tmp_path):
    save_head(head, tmp_path / "head.safetensors", temperature=1.5)
    again = LearnedAffinity.from_file(tmp_path / "head.safetensors")
    assert again.temperature == 1.5
    assert repr(again) == "LearnedAffinity(TransitionHead(channels=8, num_steps=1), temperature=1.5, appearance=None)"
    graph = pair(4, 4)
    assert torch.equal(again.score(graph).edges, LearnedAffinity(head, 1.5).score(graph).edges)


def test_invalid_files(head, tmp_path):
    path = tmp_path / "head.safetensors"
    with pytest.raises(FileNotFoundError, match=r"association head in .* found no"):
        LearnedAffinity.from_file(path)
    with pytest.raises(ValueError, match=r"ends in \.safetensors"):
        save_head(head, tmp_path / "head.pt")
    save_head(head, path)
    beside = path.with_suffix(".json")
    config = json.loads(beside.read_text())
    beside.write_text(json.dumps({**config, "head": {**config["head"], "channels": 16}}))
    with pytest.raises(ValueError, match="got those of another"):
        LearnedAffinity.from_file(path)
    for change in ({"channels": 10**9}, {"hidden_channels": "64"}, {"num_steps": -1}, {"aggr": "eval"}):
        beside.write_text(json.dumps({**config, "head": {**config["head"], **change}}))
        with pytest.raises(ValueError, match=f"Expected '{next(iter(change))}' as .* in 'head' of the configuration"):
            LearnedAffinity.from_file(path)
    beside.write_text(json.dumps({**config, "temperature": float("nan")}))
    with pytest.raises(ValueError, match="Expected 'temperature' as a number from .* got nan"):
        LearnedAffinity.from_file(path)
    beside.write_text("{}")
    with pytest.raises(ValueError, match="configuration of an association head"):
        LearnedAffinity.from_file(path)
    beside.unlink()
    with pytest.raises(FileNotFoundError, match=r"head\.json"):
        LearnedAffinity.from_file(path)


def test_bad_temperature(head):
    with pytest.raises(ValueError, match="temperature above 0"):
        LearnedAffinity(head, 0.0)


class Calibrated(SameAppearance):
    """Log-odds of at most 4."""

    def score(self, graph):
        return super().score(graph).clamp(-4, 4)


def ids_of(frames, appearance=None):
    tracker = Tracker(Script(frames), LearnedAffinity.from_file(appearance=appearance))
    return [d.ids.tolist() for _, d in tracker.track(map(blank, range(len(frames))))]


def test_appearance_does_not_overrule_certain_geometry():
    """b has left, and a stays where it was but looks like b now."""
    frames = with_embeddings(drawn("a......b\n" * 8 + "a.......\n" * 4))
    looks_of_b = frames[0].embeddings[1:]
    frames[8:] = [frame.replace(embeddings=looks_of_b) for frame in frames[8:]]
    assert ids_of(frames, Calibrated())[7:] == [[1, 2], [1], [1], [1], [1]]


def test_what_comes_back_elsewhere_is_known_by_appearance():
    """a and c leave, and c comes back where a was."""
    frames = with_embeddings(drawn("b....c....a\n" * 8 + "b..........\n" * 6 + "b.........c\n" * 3))
    assert ids_of(frames, Calibrated())[-1] == [2, 3], "rows are in the order of the letters: b, c"
    assert ids_of(frames)[-1] == [2, 1], "motion alone takes it for a"


@pytest.mark.parametrize("appearance", [None, SameAppearance()])
def test_a_batch_is_scored_as_its_graphs_are(appearance):
    affinity = LearnedAffinity.from_file(appearance=appearance)
    graphs = [pair(m, n, seed) for seed, (m, n) in enumerate([(4, 5), (0, 3), (3, 0), (20, 22), (1, 1)] * 3)]
    for graph in graphs:
        for side in ("previous", "current"):
            graph[side].x = torch.randn((graph[side].num_nodes, 4), generator=torch.Generator().manual_seed(1))
    together = affinity.score(Batch.from_data_list(graphs))
    alone = [affinity.score(graph) for graph in graphs]
    for name in ("edges", "births", "misses", "objects"):
        expected = torch.cat([getattr(scores, name) for scores in alone])
        torch.testing.assert_close(getattr(together, name), expected, atol=1e-5, rtol=1e-5)
