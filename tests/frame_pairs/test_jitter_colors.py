import pytest
import torch

from tests.frame_pairs.cases import generator, pair, picture, same
from tltm_graph.frame_pairs import JitterColors
from tltm_graph.structures import FramePair


def test_both_frames_alike_and_masks_untouched():
    before = pair()
    twice = FramePair(picture(0), picture(0), before.previous, before.current)
    for seed in range(5):
        after = JitterColors(1.0)(twice, generator(seed))
        assert torch.equal(after.previous_image, after.current_image)
        assert not torch.equal(after.current_image, picture(0))
        assert torch.equal(after.current.masks, before.current.masks)
        assert torch.equal(after.current.boxes, before.current.boxes)


def test_brightness_reaches_as_far_as_told():
    gray = torch.full((3, 4, 4), 100, dtype=torch.uint8)
    before = FramePair(gray, gray, pair(size=(4, 4), n=0).previous, pair(size=(4, 4), n=0).current)
    jitter = JitterColors(1.0, brightness=0.3, contrast=0, saturation=0, hue=0)
    values = [int(jitter(before, generator(seed)).current_image[0, 0, 0]) for seed in range(200)]
    assert 69 <= min(values) < 75
    assert 125 < max(values) <= 130


def test_as_often_as_told():
    before = pair()
    assert same(JitterColors(0.0)(before, generator()), before)
    changed = [not same(JitterColors()(before, generator(seed)), before) for seed in range(100)]
    assert sum(changed) == pytest.approx(50, abs=20)


@pytest.mark.parametrize("name", ["probability", "brightness", "contrast", "saturation", "hue"])
def test_ranges(name):
    with pytest.raises(ValueError, match=f"Expected {name} in"):
        JitterColors(**{name: 1.5})
