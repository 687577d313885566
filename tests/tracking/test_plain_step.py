import numpy as np
import pytest
import torch

from tests.tracking.plain_step import PlainTracker
from tltm_graph import Detections, Frame, Tracker, TrackManager
from tltm_graph.association import LearnedAffinity
from tltm_graph.detectors import Detector
from tltm_graph.graph import TRANSITION

SIZE = (240, 320)


class Stored(Detector):
    """Detections of each frame."""

    def __init__(self, frames: list[Detections]) -> None:
        self.frames = frames

    def detect(self, frame, context=None):
        return self.frames[frame.index], None


def simulated(num_frames: int, count: int, seed: int, scale=lambda score: score) -> list[Detections]:
    """Boxes that move, turn, grow, hide and come back, seen by a camera that jerks, among false ones."""
    random = np.random.default_rng(seed)
    place = random.random((count, 2)) * SIZE[::-1]
    velocity, size = random.normal(0, 2, (count, 2)), 15 + 25 * random.random((count, 2))
    labels, frames = random.integers(0, 2, count), []
    hidden = np.zeros(count, dtype=int)
    for t in range(num_frames):
        place += velocity + (np.array([9.0, -4.0]) if t % 7 == 5 else 0)
        velocity += random.normal(0, 0.3, velocity.shape)
        size *= np.exp(random.normal(0, 0.01, size.shape))
        hidden = np.where(random.random(count) < 0.06, random.integers(1, 9, count), np.maximum(hidden - 1, 0))
        rows = np.flatnonzero(hidden == 0)
        centre = place[rows] + random.normal(0, 0.6, (len(rows), 2))
        boxes = np.concatenate([centre - size[rows] / 2, centre + size[rows] / 2], axis=1)
        false = random.random((random.poisson(1.0), 2)) * 200
        boxes = np.concatenate(
            [boxes, np.concatenate([false, false + 20 + 20 * random.random((len(false), 2))], axis=1)]
        )
        scores = np.concatenate([0.5 + 0.5 * random.random(len(rows)), 0.6 * random.random(len(false))])
        classes = np.concatenate([labels[rows], random.integers(0, 2, len(false))])
        order = random.permutation(len(boxes)) if t != num_frames // 2 else []  # one frame without detections
        found = torch.from_numpy(boxes[order]).float(), torch.from_numpy(scale(scores[order])).float()
        frames.append(Detections(*found, torch.from_numpy(classes[order]).long()))
    return frames


@pytest.mark.parametrize(
    ("count", "seed", "max_tracks", "scale"),
    [
        (8, 0, 256, lambda score: score),
        (8, 1, 6, lambda score: score),
        (20, 2, 256, lambda score: 12 * score - 4),
        (1, 3, 256, lambda score: 0 * score + 0.25),
        (0, 4, 256, lambda score: score),
    ],
    ids=["usual", "few tracks", "unbounded scores", "one score", "false ones alone"],
)
def test_the_tracker_equals_a_plain_transcription(count, seed, max_tracks, scale):
    frames = simulated(40, count, seed, scale)
    affinity = LearnedAffinity.from_file()
    plain = PlainTracker(affinity.head, affinity.temperature, max_tracks)
    tracker = Tracker(Stored(frames), affinity, track_manager=TrackManager(max_tracks=max_tracks))
    state, pace, shown = tracker.start(), 0.04, 0
    for t, found in enumerate(frames):
        rows = {track: i for i, track in enumerate(state.memory.ids.tolist())}
        state, output = tracker.step(state, Frame(torch.zeros(3, *SIZE, dtype=torch.uint8), t, pace * t))
        tracks = [track.id for track in plain.tracks]
        boxes, scores = found.boxes.double().tolist(), found.scores.double().tolist()
        expected, ids = plain.step(boxes, scores, found.labels.tolist(), float(t), SIZE, pace)
        assert output.ids.tolist() == ids
        shown += sum(i >= 0 for i in ids)
        decision = state.decision
        got = {}
        for i, j, score in zip(*decision.edge_index.tolist(), decision.graph[TRANSITION].score.tolist(), strict=True):
            got[i, j] = score
        for (i, j), score in expected.items():
            assert got[rows[tracks[i]], j] == pytest.approx(score, abs=2e-3)
        gated = sum(score > -50 for score in got.values())
        assert gated == len(expected)
    assert state.memory.next_id == plain.next_id
    assert len(plain.tracks) == len(state.memory) <= max_tracks
    assert shown > 0 or count == 0
