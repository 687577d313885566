import torch

from tests.cases import CROSSING, FixedLogits, Script, blank, drawn
from tltm_graph import Tracker
from tltm_graph.published import ArgmaxSolver, PublishedAffinity, PublishedTrackManager, published_tracker


def test_it_is_a_tracker_like_any_other():
    tracker = published_tracker(Script(drawn(CROSSING)))
    assert type(tracker) is Tracker
    assert type(tracker.affinity) is PublishedAffinity
    assert type(tracker.solver) is ArgmaxSolver
    assert type(tracker.track_manager) is PublishedTrackManager
    outputs = [output.ids.tolist() for _, output in tracker.track(map(blank, range(8)))]
    assert outputs[0] == [1, 2]
    assert outputs[-1] in ([1, 2], [2, 1])


def test_the_scale_is_that_of_the_detector():
    class Resizing(Script):
        def scale(self, size):
            return 2.0

    tracker = published_tracker(Resizing([]), FixedLogits(torch.zeros(1)))
    assert tracker.affinity.scale((40, 200)) == 2.0
    assert tracker.affinity.appearance is not None
