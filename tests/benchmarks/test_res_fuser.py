import torch

from benchmarks.res_fuser import FUSED, count_matches, count_scene, row
from tltm_graph import Detections, MovingShapes
from tltm_graph.synthetic import STANDARD


def boxes(*rows, labels):
    return Detections(torch.tensor(rows).reshape(-1, 4), torch.ones(len(rows)), torch.tensor(labels, dtype=torch.int64))


def test_matches_are_of_one_class_and_overlap_by_half():
    truth = boxes([0.0, 0, 10, 10], [20.0, 0, 30, 10], [40.0, 0, 50, 10], labels=[0, 1, 2])
    detected = boxes([1.0, 0, 11, 10], [0.0, 1, 10, 11], [20.0, 0, 30, 10], [46.0, 0, 56, 10], labels=[0, 0, 0, 2])
    assert count_matches(truth, detected) == (1, 3, 4), (
        "one of two on the first, another class on the second, too far on the third"
    )
    assert count_matches(truth[:0], detected) == (0, 0, 4)
    assert count_matches(truth, detected[:0]) == (0, 3, 0)


class ContextDetector:
    """Detects every object if there is a previous frame, nothing without."""

    def __init__(self, scene):
        self.scene = scene

    def detect(self, frame, context):
        truth = self.scene.truth(frame.index)
        return truth if context is not None else truth[:0], frame.index


def test_detections_with_the_previous_frame_are_counted_separately():
    scene = MovingShapes(num_frames=12, size=(96, 160), seed=3, difficulty=STANDARD)
    counts = count_scene(ContextDetector(scene), scene)
    objects = {degraded: counts[degraded, FUSED[0]][1] for degraded in (False, True)}
    for degraded in (False, True):
        in_first = len(scene.truth(0)) if scene.degraded(0) == degraded else 0
        assert counts[degraded, FUSED[0]] == (0, objects[degraded], 0)
        assert counts[degraded, FUSED[1]] == (
            objects[degraded] - in_first,
            objects[degraded],
            objects[degraded] - in_first,
        )
    assert sum(objects.values()) == sum(len(scene.truth(t)) for t in range(12))


def test_row():
    scenes = [
        {(False, FUSED[0]): (1, 2, 2), (False, FUSED[1]): (2, 2, 2)},
        {(False, FUSED[0]): (2, 2, 2), (False, FUSED[1]): (2, 2, 2)},
    ]
    assert row("easy", False, scenes) == "| easy | clean | 75.0 | 100.0 | +25.0 ± 25.0 |"
