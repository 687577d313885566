import pickle

import numpy as np
import pytest
import torch

from tests.cases import LEAVING, drawn
from tests.synthetic.cases import apart, world
from tltm_graph.structures import Detections
from tltm_graph.synthetic import simulate_motion
from tltm_graph.synthetic.detector_noise import Recall
from tltm_graph.synthetic.observations import overlapping_iou
from tltm_graph.synthetic.simulated_motion import DetectionSequence, Scoring, SimulatedDetector
from tltm_graph.synthetic.streets import draw_street
from tltm_graph.synthetic.worlds import draw_blobs


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_scores_are_higher_for_easy_objects():
    scoring = Scoring(slope=0.8, offset=0.5)
    easy, hard = (scoring.score_objects(rng(), np.full(4000, logit)) for logit in (3.0, -1.0))
    for scores, logit in ((easy, 3.0), (hard, -1.0)):
        assert ((scores >= 0) & (scores <= 1)).all()
        assert np.median(np.log(scores / (1 - scores))) == pytest.approx(0.8 * logit - 0.5, abs=0.05)
    nothing = scoring.score_false_positives(rng(), 4000)
    assert np.log(nothing / (1 - nothing)).std() == pytest.approx(1.2, rel=0.05)
    assert len(scoring.score_objects(rng(), np.zeros(0))) == len(scoring.score_false_positives(rng(), 0)) == 0


def test_default_detector_is_exact_in_random_order():
    truth = apart(30, 4)
    found = SimulatedDetector().detect(rng(), truth)
    assert found.frames.tolist() == [t for t in range(4) for _ in range(30)]
    for t in range(4):
        here = found.take(found.frames == t)
        assert sorted(here.ids.tolist()) == list(range(30))
        assert here.ids.tolist() != list(range(30))
        assert np.array_equal(here.boxes, truth.boxes[t, here.ids])
    assert (found.scores == 1).all()
    assert (SimulatedDetector(false_positives=0.5).detect(rng(), truth).scores == 1).all()


def test_an_empty_world_has_no_detections():
    found = SimulatedDetector.draw(rng(), 200).detect(rng(), world([], num_frames=6))
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)


def test_ids_are_unique_and_false_positives_are_numbered_after_objects():
    detector = SimulatedDetector(false_positives=0.2, duplicates=0.2, parts=0.2, merging=0.5)
    truth = draw_street(rng(1), 80, 10.0)
    found = detector.detect(rng(), truth)
    assert found.ids.min() >= 0
    pairs = np.stack([found.frames, found.ids], axis=1)
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    _, counts = np.unique(found.ids[found.ids >= truth.num_objects], return_counts=True)
    assert (counts == 1).sum() > 100, "seen once"
    assert (counts > 1).sum() > 10, "seen again"


def test_share_of_wrong_labels():
    labels = np.arange(40) % 4
    boxes = apart(40, 1).boxes[0]
    found = SimulatedDetector(wrong_labels=0.2).detect(rng(), world(boxes, num_frames=300, labels=labels))
    assert (found.labels != labels[found.ids]).mean() == pytest.approx(0.2 * 3 / 4, abs=0.01)
    assert set(found.labels.tolist()) == {0, 1, 2, 3}


def test_share_of_misses():
    found = SimulatedDetector(recall=Recall(misses=0.1)).detect(rng(), apart(200, 300))
    assert len(found) / (200 * 300) == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("draw", [draw_street, draw_blobs])
def test_no_two_detections_overlap_more_than_nms_allows(draw):
    crowded = [draw(rng(seed), 40, 10.0) for seed in range(5)]
    free, thinned = (
        [SimulatedDetector(duplicates=0.5, nms=nms).detect(rng(), truth) for truth in crowded] for nms in (1.0, 0.4)
    )
    assert max(overlapping_iou(found.frames, found.boxes)[2].max() for found in free) > 0.6
    assert max(overlapping_iou(found.frames, found.boxes)[2].max() for found in thinned) <= 0.4


def test_random_detectors_are_in_their_ranges():
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
    constant = np.mean([detector.scoring is None for detector in drawn])
    assert constant == pytest.approx(0.35, abs=0.1)
    noise = np.array([detector.localization.noise for detector in drawn])
    assert (noise == 0).mean() == pytest.approx(0.05, abs=0.05)
    assert noise.max() <= 0.08


SEEDS = range(50)


@pytest.fixture(scope="module")
def sequences() -> list[DetectionSequence]:
    return [simulate_motion(seed) for seed in SEEDS]


def equal(sequence: DetectionSequence, other: DetectionSequence) -> bool:
    if (sequence.size, sequence.times) != (other.size, other.times):
        return False
    return all(
        torch.equal(getattr(one, name), getattr(another, name))
        for one, another in zip(sequence.frames, other.frames, strict=True)
        for name in ("boxes", "scores", "labels", "ids")
    )


def test_same_seed_gives_same_sequence():
    for seed in range(4):
        assert equal(simulate_motion(seed), simulate_motion(seed))
        assert equal(simulate_motion(seed, 20), simulate_motion(seed, 20))
    assert not equal(simulate_motion(0, 20), simulate_motion(1, 20))


@pytest.mark.slow
def test_sequences_are_well_formed(sequences):
    for sequence in sequences:
        assert len(sequence) == len(sequence.times) == len(sequence.frames)
        assert 36 <= len(sequence) < 200
        assert all(earlier < later for earlier, later in zip(sequence.times, sequence.times[1:], strict=False))
        height, width = sequence.size
        for detections in sequence.frames:
            assert detections.masks is None
            assert detections.features is None
            assert detections.boxes.dtype == detections.scores.dtype == torch.float32
            assert detections.boxes.shape == (len(detections), 4)
            assert detections.boxes.isfinite().all()
            assert (detections.boxes[:, :2] <= detections.boxes[:, 2:]).all()
            assert (abs(detections.boxes) < 5 * max(height, width)).all()
            assert ((detections.scores >= 0) & (detections.scores <= 1)).all()
            assert ((detections.labels >= 0) & (detections.labels < 4)).all()
            ids = detections.ids
            assert ids is not None
            assert ids.dtype == torch.int64
            assert (ids >= 0).all()
            assert len(ids.unique()) == len(ids)


def test_some_frames_are_empty(sequences):
    empty = [detections for sequence in sequences for detections in sequence.frames if len(detections) == 0]
    assert empty
    assert all(detections.ids.shape == (0,) and detections.boxes.shape == (0, 4) for detections in empty)


@pytest.mark.parametrize("num_frames", [0, 1, 2, 17])
def test_number_of_frames(num_frames):
    for seed in range(20):
        assert len(simulate_motion(seed, num_frames)) == num_frames


def gaps_and_ious(sequence: DetectionSequence) -> tuple[np.ndarray, np.ndarray]:
    """Compute the frames between successive observations of one id, and their IoU."""
    last: dict[int, tuple[int, np.ndarray]] = {}
    gaps, ious = [], []
    for frame, detections in enumerate(sequence.frames):
        for ident, box in zip(detections.ids.tolist(), detections.boxes.double().numpy(), strict=True):
            if ident in last:
                before, other = last[ident]
                shared = np.prod(np.maximum(np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2]), 0))
                gaps.append(frame - before)
                ious.append(shared / (np.prod(box[2:] - box[:2]) + np.prod(other[2:] - other[:2]) - shared))
            last[ident] = frame, box
    return np.array(gaps), np.array(ious)


@pytest.mark.slow
def test_sequences_have_a_moderate_difficulty(sequences):
    crowds = np.array([np.mean([len(detections) for detections in sequence.frames]) for sequence in sequences])
    assert 5 < crowds.mean() < 20
    assert crowds.min() < 4
    assert crowds.max() > 25
    again = [gaps_and_ious(sequence) for sequence in sequences]
    gaps = np.array([(gap > 1).mean() for gap, _ in again if len(gap)])
    assert 0.15 < gaps.mean() < 0.3, "detections are missed"
    assert np.mean([gap.max() for gap, _ in again if len(gap)]) > 20, "also for many frames"
    steady = np.array([np.median(iou[gap == 1]) for gap, iou in again if (gap == 1).any()])
    assert 0.5 < np.median(steady) < 0.9, "most boxes overlap from frame to frame"
    constant = [all((detections.scores == 1).all() for detections in sequence.frames) for sequence in sequences]
    assert 0.05 < np.mean(constant) < 0.5


def test_some_ids_are_repeated_and_some_are_new(sequences):
    for sequence in sequences:
        ids = torch.cat([detections.ids for detections in sequence.frames])
        assert len(ids.unique()) > 1
        assert len(ids.unique()) < len(ids)


@pytest.mark.slow
def test_half_of_the_videos_with_dropped_frames_have_gaps_in_times():
    kept = [simulate_motion(seed, 40).times for seed in range(250)]
    skipped = [np.diff(times).max() > 1.5 * np.diff(times).min() for times in kept]
    assert 0.02 < np.mean(skipped) < 0.11
    paces = {round(1 / np.diff(times).min()) for times in kept}
    assert paces == {5, 7, 10, 14, 15, 20, 25, 30}


def test_pickled_frame_does_not_hold_other_frames():
    sequence = simulate_motion(2)
    smallest = min(sequence.frames, key=len)
    assert len(pickle.dumps(smallest)) < len(pickle.dumps(sequence)) / 10


def test_validation_of_sequences():
    frames = tuple(drawn(LEAVING)[:3])
    assert repr(DetectionSequence((40, 200), (0.0, 0.5, 2.0), frames)) == (
        "DetectionSequence(3 frames, 5 detections, size=(40, 200))"
    )
    assert len(DetectionSequence((40, 200), (), ())) == 0
    with pytest.raises(ValueError, match=r"Expected a time for each frame, got 2 for 3 frames"):
        DetectionSequence((40, 200), (0.0, 1.0), frames)
    with pytest.raises(ValueError, match=r"Expected increasing 'times', got 1.0 s after 1.0 s"):
        DetectionSequence((40, 200), (0.0, 1.0, 1.0), frames)
    with pytest.raises(ValueError, match=r"Expected the 'ids' of all detections, got none in frame 1"):
        DetectionSequence((40, 200), (0.0, 1.0), (frames[0], Detections.empty()))


def test_negative_arguments():
    with pytest.raises(ValueError, match=r"Expected a seed and a number of frames of at least 0, got -1 and None"):
        simulate_motion(-1)
    with pytest.raises(ValueError, match=r"of at least 0, got 3 and -2"):
        simulate_motion(3, -2)
