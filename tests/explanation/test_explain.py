import json

import pytest

from tests.cases import SameAppearance, Script, blank, drawn, with_embeddings
from tests.explanation.saved_runs import oracle, related, saved, scene
from tltm_graph import Tracker
from tltm_graph.association import GeometricAffinity, HungarianSolver, LearnedAffinity
from tltm_graph.explanation import explain


def by_hand(detector):
    return Tracker(detector, GeometricAffinity())


@pytest.mark.slow
@pytest.mark.parametrize("make", [Tracker, by_hand])
def test_terms_add_up_to_the_score_that_was_used(tmp_path, make):
    frames = scene(10)
    graph, steps = saved(make(oracle(frames)), frames, tmp_path / "graph.zip", frames_each=4)
    explained = 0
    for frame in (1, 5, 9):
        state, _ = steps[frame]
        transition = state.decision
        ids = transition.previous.ids.tolist()
        for row in range(len(graph[frame].current)):
            told = explain(graph, frame, row=row, make_tracker=make)
            if told.about is None:
                assert told.terms == {}
                assert told.margin is None
                assert told.flip is None
                continue
            edge = ids.index(told.about) * len(graph[frame].current) + row
            score = float(transition.scores.edges[edge])
            assert told.score == score
            total = sum(told.terms.values()) + sum(message.value for message in told.messages)
            assert total == pytest.approx(score, abs=1e-6)
            assert told.margin == pytest.approx(float(graph[frame].margins[row]), rel=1e-5)
            assert abs(told.flip.change) == pytest.approx(told.margin, abs=1e-6)
            chosen = [candidate.track for candidate in told.candidates if candidate.chosen]
            assert chosen == ([] if told.continues is None else [told.continues])
            explained += 1
    assert explained > 4


@pytest.mark.slow
def test_a_relation_model_shows_as_appearance(tmp_path):
    model, frames = related(), scene(4)

    def make(detector):
        return Tracker(detector, model.affinity(), max_shown=3)

    graph, steps = saved(make(model), frames, tmp_path / "graph.zip")
    row = int(steps[3][0].decision.assignment.current[0])
    told = explain(graph, 3, row=row, make_tracker=make)
    assert told.terms["appearance"] != 0
    assert told.messages
    assert {message.side for message in told.messages} <= {"previous", "current"}
    with pytest.raises(ValueError, match="one that decides otherwise in frame 3"):
        explain(
            graph,
            3,
            row=row,
            make_tracker=lambda detector: Tracker(detector, GeometricAffinity(threshold=9)),
        )


def by_appearance(detector):
    return Tracker(detector, LearnedAffinity.from_file(appearance=SameAppearance()))


def test_the_role_of_appearance(tmp_path):
    """a and b swap places between two frames: motion alone swaps their ids."""
    frames = with_embeddings(drawn("a........b\nb........a"))
    graph, _ = saved(by_appearance(Script(frames)), map(blank, range(2)), tmp_path / "graph.zip")
    told = explain(graph, 1, row=0, make_tracker=by_appearance)
    assert told.continues == 1
    assert told.appearance.continues == 2
    assert told.appearance.score < told.score
    colour, texture = told.appearance.evidence["colour"], told.appearance.evidence["texture"]
    assert colour + texture == pytest.approx(80 * 0.1, abs=1e-3)
    text = told.text()
    assert "  log-odds of the appearance: +8.00 = colour +2.00, texture +6.00\n" in text
    assert f"  without appearance the edge would score {told.appearance.score:+.2f}, and the object would" in text
    assert "and the object would continue track 2\n" in text
    same = explain(graph, 0, row=0, make_tracker=by_appearance)
    assert same.appearance is None, "there is nothing to compare with in the first frame"


def test_appearance_that_changes_nothing_and_none(tmp_path):
    frames = with_embeddings(drawn("a..b\na..b"))
    graph, _ = saved(by_appearance(Script(frames)), map(blank, range(2)), tmp_path / "graph.zip")
    told = explain(graph, 1, row=0, make_tracker=by_appearance)
    assert told.appearance.continues == told.continues == 1
    assert "and the decision would be the same\n" in told.text()
    assert json.loads(json.dumps(told.to_dict()))["appearance"]["continues"] == 1
    graph, _ = saved(Tracker(Script(frames)), map(blank, range(2)), tmp_path / "plain.zip")
    assert explain(graph, 1, row=0).appearance is None


def test_text_and_data(tmp_path):
    frames = drawn("a..b\na..b\n.ab.")
    graph, _ = saved(by_hand(Script(frames)), map(blank, range(3)), tmp_path / "graph.zip")
    told = explain(graph, 2, track=1, make_tracker=by_hand)
    assert told.continues == 1
    assert told.label == "one"
    assert set(told.terms) == {"iou", "label", "age"}
    text = told.text()
    assert text.startswith("frame 2, object 0 (one 0.90): continues track 1\n")
    assert "chosen: track 1 (last seen 1 frame ago)" in text
    assert "or track 2 (last seen 1 frame ago, matched with object 1)" in text
    assert "better than the next best assignment of the frame: object 0 new" in text
    assert f"{told.margin:.3f} less for object 0 and track 1" in text
    again = json.loads(json.dumps(told.to_dict()))
    assert again["flip"]["change"] == pytest.approx(-told.margin)
    assert explain(graph, 0, row=1, make_tracker=by_hand).text() == "frame 0, object 1 (one 0.90): starts track 2"


def test_a_missed_track_is_explained(tmp_path):
    graph, _ = saved(by_hand(Script(drawn("a.b\na.."))), map(blank, range(2)), tmp_path / "graph.zip")
    told = explain(graph, 1, track=2, make_tracker=by_hand)
    assert (told.missed, told.row, told.continues, told.about) == (2, 0, 1, 2)
    text = told.text()
    assert text.startswith(
        "frame 1: track 2 is missed; the closest detection is\nobject 0 (one 0.90): continues track 1\n"
    )
    assert "score for track 2: " in text
    assert told.score == pytest.approx(sum(told.terms.values()), abs=1e-6)
    assert (told.flip.previous, told.flip.current, told.flip.then) == (2, 0, 2)
    decision = graph[1]
    changed = decision.scores.edges.double().clone()
    edge = ((decision.edge_index[0] == 1) & (decision.edge_index[1] == 0)).nonzero().item()
    for more, goes_to in ((-1e-4, 0), (1e-4, 1)):
        scores = changed.clone()
        scores[edge] += told.flip.change + more
        births, misses = decision.scores.births.double(), decision.scores.misses.double()
        found = HungarianSolver()(decision.edge_index, scores, (2, 1), births, misses)
        assert found.previous.tolist() == [goes_to]


def test_missing_frames_tracks_and_objects(tmp_path):
    graph, _ = saved(by_hand(Script(drawn("a..b\na..."))), map(blank, range(2)), tmp_path / "graph.zip")
    with pytest.raises(ValueError, match=r"one of \[1\].*, got 7$"):
        explain(graph, 1, track=7)
    with pytest.raises(ValueError, match="one of the 1 objects of frame 1, got 1"):
        explain(graph, 1, row=1)
    with pytest.raises(ValueError, match="got 2"):
        explain(graph, 2, row=0)
    with pytest.raises(ValueError, match="Expected a track or the row"):
        explain(graph, 1)
