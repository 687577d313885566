import pytest
import torch

from tests.cases import blank
from tltm_graph import MovingShapes
from tltm_graph.detectors import OracleDetector, check_detector

SCENE = MovingShapes(40, (96, 128), num_objects=5, seed=3)


def run(num_frames: int = 40, **noise) -> list:
    detector = OracleDetector(SCENE.truth, SCENE.class_names, **noise)
    return [detector.detect(SCENE.frame(t))[0] for t in range(num_frames)]


def test_without_errors_it_returns_the_ground_truth():
    for t, detections in enumerate(run()):
        truth = SCENE.truth(t)
        assert torch.equal(detections.boxes, truth.boxes)
        assert torch.equal(detections.masks, truth.masks)
        assert detections.ids is None


def test_share_of_misses():
    true, seen = (sum(map(len, run(miss_rate=rate))) for rate in (0.0, 0.3))
    assert 0.6 < seen / true < 0.8


def test_jitter_moves_boxes_and_masks_together():
    for t, detections in enumerate(run(10, jitter=0.05)):
        assert not torch.equal(detections.boxes, SCENE.truth(t).boxes)
        for box, mask in zip(detections.boxes, detections.masks, strict=True):
            y, x = mask.nonzero(as_tuple=True)
            assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
    areas = [float(d.masks.sum()) for d in (*run(40, jitter=0.05), *run(40))]
    assert sum(areas[:40]) / sum(areas[40:]) == pytest.approx(1, abs=0.05)


def test_false_positives_and_wrong_classes():
    plain, spoilt = run(), run(false_positives=2.0)
    assert 50 < sum(map(len, spoilt)) - sum(map(len, plain)) < 110
    wrong = run(class_noise=0.5)
    share = [float((a.labels != b.labels).float().mean()) for a, b in zip(plain, wrong, strict=True) if len(a)]
    assert 0.3 < sum(share) / len(share) < 0.7


def test_boxes_without_masks():
    detector = OracleDetector(lambda t: SCENE.truth(t).replace(masks=None), jitter=0.1, false_positives=1.0)
    assert detector.detect(SCENE.frame(0))[0].masks is None


def test_conformance_and_seed():
    noise = {"miss_rate": 0.2, "jitter": 0.05, "false_positives": 1.0, "class_noise": 0.2}
    check_detector(OracleDetector(SCENE.truth, SCENE.class_names, **noise), [SCENE.frame(t) for t in range(5)])
    first, again, other = (run(5, **noise, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(a.boxes, b.boxes) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a.boxes, b.boxes) for a, b in zip(first, other, strict=True))


def test_no_truth_no_detections():
    empty = MovingShapes(2, (32, 32), num_objects=0)
    noisy = OracleDetector(empty.truth, empty.class_names, miss_rate=0.5, jitter=0.1, false_positives=3, class_noise=1)
    assert len(noisy.detect(blank(0, (32, 32)))[0]) == 0


def test_bad_input():
    with pytest.raises(ValueError, match=r"'miss_rate' in \[0, 1\], got 2"):
        OracleDetector(SCENE.truth, miss_rate=2)
    with pytest.raises(ValueError, match="at least two class names"):
        OracleDetector(SCENE.truth, class_noise=0.5)
