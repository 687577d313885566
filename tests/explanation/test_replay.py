import pytest
import torch

from tests.explanation.saved_runs import oracle, related, saved, scene
from tltm_graph import Affinity, GreedySolver, Tracker, replay
from tltm_graph.published import ArgmaxSolver, PublishedAffinity, PublishedTrackManager

TRACKERS = {
    "default": Tracker,
    "greedy": lambda found, relation=None: Tracker(found, relation, affinity=Affinity(), solver=GreedySolver()),
    "published": lambda found, relation=None: Tracker(
        found, relation, affinity=PublishedAffinity(), solver=ArgmaxSolver(), track_manager=PublishedTrackManager()
    ),
}


def check_same(steps, again):
    for (state, detections), (state_again, detections_again) in zip(steps, again, strict=True):
        assert state.frame == state_again.frame
        for name in ("boxes", "scores", "labels", "ids", "masks"):
            assert torch.equal(getattr(detections, name), getattr(detections_again, name))
        one, other = state.transition, state_again.transition
        assert torch.equal(one.scores.edges, other.scores.edges)
        assert torch.equal(one.current_tracks, other.current_tracks)
        assert torch.equal(state.memory.motion.places, state_again.memory.motion.places)


@pytest.mark.parametrize("name", TRACKERS)
def test_the_same_parts_decide_the_same(tmp_path, name):
    frames = scene()
    graph, steps = saved(TRACKERS[name](oracle(frames)), frames, tmp_path / "graph.zip", frames_each=5)
    check_same(steps, replay(graph, TRACKERS[name]))
    middle = graph.state_before(12)
    assert middle.frame == 9
    check_same(steps[10:13], replay(graph, TRACKERS[name], until=12, start=middle))


def test_a_relation_model_judges_again(tmp_path):
    model, frames = related(), scene(5)
    tracker = Tracker(model, model, max_shown=3)
    graph, steps = saved(tracker, frames, tmp_path / "graph.zip", frames_each=2)

    def as_before(found, relation):
        return Tracker(found, relation, max_shown=3)

    check_same(steps, replay(graph, as_before, model))
    check_same(steps[4:], replay(graph, as_before, model, start=graph.state_before(4)))
    with pytest.raises(ValueError, match="give its weights"):
        next(replay(graph))


def test_a_scorer_without_nodes_is_told(tmp_path):
    frames = scene(3)
    graph, _ = saved(Tracker(oracle(frames)), frames, tmp_path / "graph.zip")
    with pytest.raises(ValueError, match="its run had none"):
        next(replay(graph, scorer=related()))


def test_weak_objects_can_be_left_out(tmp_path):
    frames = scene()
    graph, _ = saved(Tracker(oracle(frames)), frames, tmp_path / "graph.zip")
    least = float(torch.cat([decision.current.scores for decision in graph]).median())
    for _, detections in replay(graph, score_threshold=least):
        assert (detections.scores >= least).all()
        assert len(detections.masks) == len(detections)
