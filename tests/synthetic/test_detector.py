import numpy as np
import pytest

from tests.synthetic.cases import apart, world
from tltm_graph.synthetic.boxes import overlapping_iou
from tltm_graph.synthetic.detector_noise import ConstantScores, Recall
from tltm_graph.synthetic.simulated_detector import SimulatedDetector
from tltm_graph.synthetic.worlds import draw_blobs, draw_people


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_detector_without_faults_tells_the_truth_in_random_order():
    truth = apart(30, 4)
    found = SimulatedDetector().detect(rng(), truth)
    assert found.frames.tolist() == [t for t in range(4) for _ in range(30)]
    for t in range(4):
        here = found.take(found.frames == t)
        assert sorted(here.ids.tolist()) == list(range(30))
        assert here.ids.tolist() != list(range(30))
        assert np.array_equal(here.boxes, truth.boxes[t, here.ids])
    assert (found.scores == 1).all()


def test_an_empty_world_has_no_detections():
    found = SimulatedDetector.draw(rng(), 200).detect(rng(), world([], num_frames=6))
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)


def test_ids_are_there_once_in_a_frame_and_false_ones_are_numbered_after_the_objects():
    detector = SimulatedDetector(false_positives=0.2, duplicates=0.2, parts=0.2, merging=0.5)
    truth = draw_people(rng(1), 80, 10.0)
    found = detector.detect(rng(), truth)
    assert found.ids.min() >= 0
    pairs = np.stack([found.frames, found.ids], axis=1)
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    _, counts = np.unique(found.ids[found.ids >= truth.num_objects], return_counts=True)
    assert (counts == 1).sum() > 100, "seen once"
    assert (counts > 1).sum() > 10, "seen again"


def test_wrong_labels_are_as_many_as_set():
    labels = np.arange(40) % 4
    boxes = apart(40, 1).boxes[0]
    found = SimulatedDetector(wrong_labels=0.2).detect(rng(), world(boxes, num_frames=300, labels=labels))
    assert (found.labels != labels[found.ids]).mean() == pytest.approx(0.2 * 3 / 4, abs=0.01)
    assert set(found.labels.tolist()) == {0, 1, 2, 3}


def test_misses_are_as_many_as_set():
    found = SimulatedDetector(recall=Recall(misses=0.1)).detect(rng(), apart(200, 300))
    assert len(found) / (200 * 300) == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("draw", [draw_people, draw_blobs])
def test_no_two_detections_overlap_more_than_nms_allows(draw):
    crowded = [draw(rng(seed), 40, 10.0) for seed in range(5)]
    free, thinned = (
        [SimulatedDetector(duplicates=0.5, nms=nms).detect(rng(), truth) for truth in crowded] for nms in (1.0, 0.4)
    )
    assert max(overlapping_iou(found.frames, found.boxes)[2].max() for found in free) > 0.6
    assert max(overlapping_iou(found.frames, found.boxes)[2].max() for found in thinned) <= 0.4


def test_random_detectors_lie_in_their_ranges():
    drawn = [SimulatedDetector.draw(rng(seed), 480) for seed in range(300)]
    for name, zero, most in (
        ("wrong_labels", 0.5, 0.05),
        ("merging", 0.3, 0.9),
        ("parts", 0.5, 0.04),
        ("duplicates", 0.6, 0.05),
        ("false_positives", 0.2, 0.3),
    ):
        values = np.array([getattr(detector, name) for detector in drawn])
        assert (values == 0).mean() == pytest.approx(zero, abs=0.1), name
        assert 0.8 * most < values.max() <= most, name
    assert all(detector.nms == 1 or 0.4 <= detector.nms <= 0.8 for detector in drawn)
    assert np.mean([detector.nms < 1 for detector in drawn]) == pytest.approx(0.6, abs=0.1)
    constant = np.mean([isinstance(detector.scoring, ConstantScores) for detector in drawn])
    assert constant == pytest.approx(0.35, abs=0.1)
    noise = np.array([detector.localization.noise for detector in drawn])
    assert (noise == 0).mean() == pytest.approx(0.05, abs=0.05)
    assert noise.max() <= 0.08
