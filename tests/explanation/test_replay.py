import pytest
import torch

from tests.explanation.saved_runs import oracle, related, saved, scene
from tltm_graph import Tracker
from tltm_graph.association import GeometricAffinity, GreedySolver
from tltm_graph.explanation import replay
from tltm_graph.published import published_tracker

TRACKERS = {
    "default": Tracker,
    "greedy": lambda detector: Tracker(detector, GeometricAffinity(), GreedySolver()),
    "published": published_tracker,
}


def check_same(steps, again):
    for (state, detections), (state_again, detections_again) in zip(steps, again, strict=True):
        assert state.frame == state_again.frame
        for name in ("boxes", "scores", "labels", "ids", "masks"):
            assert torch.equal(getattr(detections, name), getattr(detections_again, name))
        one, other = state.decision, state_again.decision
        assert torch.equal(one.scores.edges, other.scores.edges)
        assert torch.equal(one.tracks, other.tracks)
        tensors, tensors_again = state.memory.tensors(), state_again.memory.tensors()
        assert tensors.keys() == tensors_again.keys()
        assert all(torch.equal(tensors[key], tensors_again[key]) for key in tensors)


@pytest.mark.parametrize("name", TRACKERS)
def test_the_same_parts_decide_the_same(tmp_path, name):
    frames = scene()
    graph, steps = saved(TRACKERS[name](oracle(frames)), frames, tmp_path / "graph.zip", frames_each=5)
    check_same(steps, replay(graph, TRACKERS[name]))
    check_same(steps[10:13], replay(graph, TRACKERS[name], since=12, until=12))


def test_an_appearance_model_is_evaluated_again(tmp_path):
    model, frames = related(), scene(5)
    tracker = Tracker(model, max_shown=3)
    graph, steps = saved(tracker, frames, tmp_path / "graph.zip", frames_each=2)

    def as_before(detector):
        return Tracker(detector, model.affinity(), max_shown=3)

    check_same(steps, replay(graph, as_before))
    check_same(steps[4:], replay(graph, as_before, since=4))


def test_weak_detections_can_be_left_out(tmp_path):
    frames = scene()
    graph, _ = saved(Tracker(oracle(frames)), frames, tmp_path / "graph.zip")
    least = float(torch.cat([decision.current.scores for decision in graph]).median())
    for _, detections in replay(graph, score_threshold=least):
        assert (detections.scores >= least).all()
        assert len(detections.masks) == len(detections)
