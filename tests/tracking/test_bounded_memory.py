import gc

import pytest
import torch

from tests.cases import Script, blank
from tltm_graph import Detections, Tracker, TrackManager


def passing_by(num_frames: int, visible: int = 12, lifetime: int = 20) -> list[Detections]:
    """Objects that come and go without end: each crosses the picture once, on a line of its own."""
    frames = []
    for t in range(num_frames):
        ages = torch.tensor([(t + k * lifetime // visible) % lifetime for k in range(visible)])
        x, y = 9.0 * ages, torch.arange(visible) * 30.0
        boxes = torch.stack([x, y, x + 14, y + 20], dim=1)
        frames.append(Detections(boxes, torch.full((visible,), 0.9), torch.zeros(visible, dtype=torch.int64)))
    return frames


def tensors() -> int:
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_stream():
    frames = passing_by(600)
    tracker = Tracker(Script(frames), track_manager=TrackManager(max_time_since_update=30, max_tracks=40))
    state, counts = tracker.start(), {}
    for t in range(600):
        state, _ = tracker.step(state, blank(t, (400, 200)))
        if t in (99, 599):
            counts[t] = tensors(), len(state.memory), state.decision.graph["previous"].num_nodes
    assert counts[599] == counts[99]
    assert len(state.memory) <= 40
    assert state.memory.next_id > 300, "hundreds of objects came and went"
