import numpy as np
import pytest
import torch

from tests.cases import Script, blank, drawn
from tltm_graph import Tracker
from tltm_graph.structures.motion import Motion
from tltm_graph.tracking import Memory


def remember(picture: str, embeddings: bool = False) -> Memory:
    """Memory after the last line of a picture."""
    frames = drawn(picture)
    if embeddings:
        frames = [f.replace(embeddings=torch.randn(len(f), 4)) for f in frames]
    tracker = Tracker(Script(frames))
    state = tracker.start()
    for t in range(len(frames)):
        state, _ = tracker.step(state, blank(t))
    return state.memory


def same(one: Memory, other: Memory) -> bool:
    a, b = one.tensors(), other.tensors()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a) and one.next_id == other.next_id


def test_repr_and_length():
    memory = remember("ab\nab")
    assert len(memory) == 2
    assert repr(memory) == "Memory(2 tracks, 2 confirmed, next id 3)"
    assert repr(Memory.empty(next_id=7)) == "Memory(0 tracks, 0 confirmed, next id 7)"


def test_one_clock_and_one_count():
    memory = remember("a..b\na..b\na...\na...")
    assert memory.hits.tolist() == [4, 2]
    assert memory.time_since_update(3.0).tolist() == [0, 2]
    assert memory.time_since_update(5.5).tolist() == [2.5, 4.5]


@pytest.mark.parametrize("embeddings", [False, True])
@pytest.mark.parametrize("picture", ["..", "a.\na.", "ab\na."])
def test_tensors_restore_it(picture, embeddings):
    memory = remember(picture, embeddings)
    assert same(memory, Memory.from_tensors(memory.tensors(), memory.next_id))
    assert (memory.mean_embeddings is not None) == embeddings


def test_rows_are_selected():
    memory = remember("ab.c\nab.c", embeddings=True)
    chosen = memory[np.array([2, 0])]
    assert chosen.ids.tolist() == [3, 1]
    assert chosen.embeddings.equal(memory.embeddings[[2, 0]])
    assert same(memory, memory[np.arange(3)])


def test_it_keeps_no_pixels():
    masks = torch.ones(1, 40, 200, dtype=torch.bool)
    frame = drawn("a")[0].replace(masks=masks, features=torch.randn(1, 4, 8, 8))
    tracker = Tracker(Script([frame]))
    state, _ = tracker.step(tracker.start(), blank(0))
    assert state.memory.detections().masks is None
    assert state.memory.detections().features is None


def test_bad_input():
    memory = remember("ab")
    fields = vars(memory)
    for name in ("ids", "confirmed", "scores", "labels"):
        with pytest.raises(ValueError, match=f"Expected '{name}' of 2 tracks, got 1"):
            Memory(**{**fields, name: fields[name][np.array([0])]})
    with pytest.raises(ValueError, match=r"Expected unique ids, got \[3, 3\]"):
        Memory(**{**fields, "ids": np.array([3, 3])})
    with pytest.raises(ValueError, match="Expected 'mean_embeddings' of 2 tracks, got 3"):
        Memory(**fields | {"mean_embeddings": torch.zeros(3, 4)})
    with pytest.raises(ValueError, match=r"Expected a table of shape \(M, 31\) and type float64, got \(2, 30\)"):
        Motion(np.zeros((2, 30)))
