import pickle

import numpy as np
import pytest
import torch

from tests.cases import LEAVING, drawn
from tltm_graph.structures import Detections
from tltm_graph.synthetic import DetectionSequence, simulate_motion

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


def test_a_seed_is_a_sequence():
    for seed in range(4):
        assert equal(simulate_motion(seed), simulate_motion(seed))
        assert equal(simulate_motion(seed, 20), simulate_motion(seed, 20))
    assert not equal(simulate_motion(0, 20), simulate_motion(1, 20))


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
def test_as_many_frames_as_asked_for(num_frames):
    for seed in range(20):
        assert len(simulate_motion(seed, num_frames)) == num_frames


def seen_again(sequence: DetectionSequence) -> tuple[np.ndarray, np.ndarray]:
    """Of each two observations of one id in a row: frames between them, and their IoU."""
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


def test_sequences_are_neither_easy_nor_hopeless(sequences):
    crowds = np.array([np.mean([len(detections) for detections in sequence.frames]) for sequence in sequences])
    assert 5 < crowds.mean() < 20
    assert crowds.min() < 4
    assert crowds.max() > 25
    again = [seen_again(sequence) for sequence in sequences]
    gaps = np.array([(gap > 1).mean() for gap, _ in again if len(gap)])
    assert 0.15 < gaps.mean() < 0.3, "detections are missed"
    assert np.mean([gap.max() for gap, _ in again if len(gap)]) > 20, "and for long"
    steady = np.array([np.median(iou[gap == 1]) for gap, iou in again if (gap == 1).any()])
    assert 0.5 < np.median(steady) < 0.9, "from one frame to the next most boxes overlap"
    constant = [all((detections.scores == 1).all() for detections in sequence.frames) for sequence in sequences]
    assert 0.05 < np.mean(constant) < 0.5


def test_false_positives_are_new_ids_every_time(sequences):
    for sequence in sequences:
        ids = torch.cat([detections.ids for detections in sequence.frames])
        assert len(ids.unique()) > 1
        assert len(ids.unique()) < len(ids)


def test_dropped_frames_are_told_in_half_of_the_cases():
    kept = [simulate_motion(seed, 40).times for seed in range(250)]
    skipped = [np.diff(times).max() > 1.5 * np.diff(times).min() for times in kept]
    assert 0.02 < np.mean(skipped) < 0.11
    paces = {round(1 / np.diff(times).min()) for times in kept}
    assert paces == {5, 7, 10, 14, 15, 20, 25, 30}


def test_a_frame_is_pickled_alone():
    sequence = simulate_motion(2)
    smallest = min(sequence.frames, key=len)
    assert len(pickle.dumps(smallest)) < len(pickle.dumps(sequence)) / 10


def test_what_a_sequence_must_be():
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


def test_what_cannot_be_simulated():
    with pytest.raises(ValueError, match=r"Expected a seed and a number of frames of at least 0, got -1 and None"):
        simulate_motion(-1)
    with pytest.raises(ValueError, match=r"of at least 0, got 3 and -2"):
        simulate_motion(3, -2)
