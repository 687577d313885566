import pytest
import torch

from tests.frame_pairs.cases import generator, pair, same
from tltm_graph import Detections
from tltm_graph.frame_pairs import FlipPair
from tltm_graph.structures import FramePair


def test_both_frames_are_mirrored():
    before = pair(n=4)
    after = FlipPair(1.0)(before, generator())
    for name in ("previous", "current"):
        old, new = getattr(before, name), getattr(after, name)
        assert torch.equal(getattr(after, f"{name}_image"), getattr(before, f"{name}_image").flip(2))
        assert torch.equal(new.masks, old.masks.flip(2))
        assert torch.equal(new.boxes[:, [1, 3]], old.boxes[:, [1, 3]])
        assert torch.equal(new.boxes[:, [0, 2]], 60 - old.boxes[:, [2, 0]])
        assert torch.equal(new.ids, old.ids)
    assert same(FlipPair(1.0)(after, generator()), before)


def test_as_often_as_told():
    before = pair()
    flipped = [not same(FlipPair()(before, generator(seed)), before) for seed in range(200)]
    assert sum(flipped) == pytest.approx(100, abs=30)
    assert same(FlipPair(0.0)(before, generator()), before)


def test_no_objects():
    image = torch.zeros(3, 5, 6, dtype=torch.uint8)
    after = FlipPair(1.0)(FramePair(image, image, Detections.empty(), Detections.empty()), generator())
    assert len(after.previous) == len(after.current) == 0


def test_range():
    with pytest.raises(ValueError, match=r"Expected probability in \[0, 1\], got 1.5"):
        FlipPair(1.5)
