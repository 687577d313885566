from collections import Counter

import pytest
import torch

from tests.frame_pairs.cases import generator, objects, pair, picture, same
from tltm_graph import Detections
from tltm_graph.frame_pairs import CropPair, FlipPair, JitterColors, ResizePair, StretchPair
from tltm_graph.structures import FramePair


def corners_of(image: torch.Tensor) -> tuple[int, int]:
    """Read the corner of a window of :func:`coordinates`."""
    return int(image[0, 0, 0]), int(image[1, 0, 0])


def coordinates(size=(40, 60)) -> torch.Tensor:
    """Make a picture whose pixels are their own coordinates."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.uint8) for n in size), indexing="ij")
    return torch.stack([y, x, y])


def test_crop_is_the_same_window_of_both_frames():
    drawn = pair(n=6)
    before = FramePair(coordinates(), coordinates(), drawn.previous, drawn.current)
    kinds = set()
    for seed in range(60):
        after = CropPair(1.0, (0.25, 0.9))(before, generator(seed))
        height, width = after.current_image.shape[1:]
        top, left = corners_of(after.previous_image)
        assert corners_of(after.current_image) == (top, left)
        assert 10 <= height <= 36
        assert width == pytest.approx(1.5 * height, abs=1.5)
        for old, new in ((before.previous, after.previous), (before.current, after.current)):
            masks = old.masks[:, top : top + height, left : left + width]
            kept = masks.flatten(1).any(dim=1)
            assert torch.equal(new.masks, masks[kept])
            assert new.ids.tolist() == old.ids[kept].tolist()
            for mask, box in zip(new.masks, new.boxes.tolist(), strict=True):
                y, x = mask.nonzero().T
                assert box == [x.min(), y.min(), x.max() + 1, y.max() + 1]
        kinds.add((top == 0, left == 0, len(after.current) < 6))
    assert len(kinds) > 2, "windows begin anywhere, and some objects are outside"


def test_probability_of_cropping():
    before = pair()
    assert same(CropPair(0.0)(before, generator()), before)
    assert same(CropPair(1.0, (1.0, 1.0))(before, generator()), before)
    cropped = [CropPair(0.5, (0.5, 0.5))(before, generator(seed)).current_image.shape[1] for seed in range(200)]
    assert sum(height == 20 for height in cropped) == pytest.approx(100, abs=30)


def test_crop_without_objects():
    image = torch.zeros(3, 2, 2, dtype=torch.uint8)
    after = CropPair(1.0, (0.01, 0.01))(FramePair(image, image, Detections.empty(), Detections.empty()), generator())
    assert (after.current_image.shape, len(after.current)) == ((3, 1, 1), 0)


def test_ranges_of_crop():
    with pytest.raises(ValueError, match=r"Expected probability in \[0, 1\], got -1"):
        CropPair(-1)
    for scale in ((0, 1), (0.8, 0.6), (0.5, 1.1)):
        with pytest.raises(ValueError, match=r"Expected scale as \(least, greatest\) above 0 and at most 1"):
            CropPair(scale=scale)


def test_flip_mirrors_both_frames():
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


def test_probability_of_flipping():
    before = pair()
    flipped = [not same(FlipPair()(before, generator(seed)), before) for seed in range(200)]
    assert sum(flipped) == pytest.approx(100, abs=30)
    assert same(FlipPair(0.0)(before, generator()), before)


def test_flip_without_objects():
    image = torch.zeros(3, 5, 6, dtype=torch.uint8)
    after = FlipPair(1.0)(FramePair(image, image, Detections.empty(), Detections.empty()), generator())
    assert len(after.previous) == len(after.current) == 0


def test_range_of_flip():
    with pytest.raises(ValueError, match=r"Expected probability in \[0, 1\], got 1.5"):
        FlipPair(1.5)


def test_jitter_is_the_same_for_both_frames_and_keeps_masks():
    before = pair()
    twice = FramePair(picture(0), picture(0), before.previous, before.current)
    for seed in range(5):
        after = JitterColors(1.0)(twice, generator(seed))
        assert torch.equal(after.previous_image, after.current_image)
        assert not torch.equal(after.current_image, picture(0))
        assert torch.equal(after.current.masks, before.current.masks)
        assert torch.equal(after.current.boxes, before.current.boxes)


def test_range_of_brightness():
    gray = torch.full((3, 4, 4), 100, dtype=torch.uint8)
    before = FramePair(gray, gray, pair(size=(4, 4), n=0).previous, pair(size=(4, 4), n=0).current)
    jitter = JitterColors(1.0, brightness=0.3, contrast=0, saturation=0, hue=0)
    values = [int(jitter(before, generator(seed)).current_image[0, 0, 0]) for seed in range(200)]
    assert 69 <= min(values) < 75
    assert 125 < max(values) <= 130


def test_probability_of_jitter():
    before = pair()
    assert same(JitterColors(0.0)(before, generator()), before)
    changed = [not same(JitterColors()(before, generator(seed)), before) for seed in range(100)]
    assert sum(changed) == pytest.approx(50, abs=20)


@pytest.mark.parametrize("name", ["probability", "brightness", "contrast", "saturation", "hue"])
def test_ranges_of_jitter(name):
    with pytest.raises(ValueError, match=f"Expected {name} in"):
        JitterColors(**{name: 1.5})


def test_resize_to_one_of_the_sizes():
    before = pair()  # 40×60
    resize = ResizePair((20, 30, 60), max_size=75)
    sizes = Counter(tuple(resize(before, generator(seed)).current_image.shape[1:]) for seed in range(300))
    assert sizes.keys() == {(20, 30), (30, 45), (50, 75)}, "the last one limited by its longer side"
    assert all(count == pytest.approx(100, abs=30) for count in sizes.values())


@pytest.mark.parametrize("shorter", [20, 37, 40, 95])
def test_resized_masks_pixel_by_pixel(shorter):
    before = pair(n=4)
    after = ResizePair((shorter,), 200)(before, generator())
    height, width = after.previous_image.shape[1:]
    y, x = ((torch.arange(n) + 0.5) * old / n for n, old in ((height, 40), (width, 60)))
    expected = before.previous.masks[:, y.long()][:, :, x.long()]
    visible = expected.flatten(1).any(dim=1)
    assert torch.equal(after.previous.masks, expected[visible])
    assert after.previous.ids.tolist() == before.previous.ids[visible].tolist()
    for mask, box in zip(after.previous.masks, after.previous.boxes.tolist(), strict=True):
        row, column = mask.nonzero().T
        assert box == [column.min(), row.min(), column.max() + 1, row.max() + 1]
    assert after.current_image.shape == after.previous_image.shape
    assert after.current.masks.shape[1:] == (height, width)


def test_stretch_to_a_square():
    before = pair(n=4)  # 40×60
    sizes = {tuple(StretchPair((20, 50))(before, generator(seed)).current_image.shape[1:]) for seed in range(20)}
    assert sizes == {(20, 20), (50, 50)}
    after = StretchPair((20,))(before, generator())
    y, x = (torch.arange(20) + 0.5) * 2, (torch.arange(20) + 0.5) * 3
    expected = before.previous.masks[:, y.long()][:, :, x.long()]
    assert torch.equal(after.previous.masks, expected[expected.flatten(1).any(dim=1)])
    for sides in ((), (0,)):
        with pytest.raises(ValueError, match="Expected lengths of the sides of at least 1 pixel"):
            StretchPair(sides)


def test_resize_drops_objects_without_a_pixel():
    masks = torch.zeros(2, 40, 60, dtype=torch.bool)
    masks[0, 0, 0], masks[1, 10:30, 10:30] = True, True
    image = torch.zeros(3, 40, 60, dtype=torch.uint8)
    after = ResizePair((10,), 99)(FramePair(image, image, objects(masks), Detections.empty()), generator())
    assert after.previous.ids.tolist() == [1]
    assert after.previous.boxes.tolist() == [[2, 2, 7, 7]]
    assert len(after.current) == 0


def test_reduced_pictures_are_antialiased():
    stripes = (torch.arange(60) % 2 * 200).to(torch.uint8).expand(3, 40, 60)
    after = ResizePair((10,), 99)(FramePair(stripes, stripes, Detections.empty(), Detections.empty()), generator())
    assert after.current_image.float()[..., 2:-2].std() < 15


@pytest.mark.parametrize(("sizes", "most"), [((), 100), ((0,), 100), ((50, 100), 100)])
def test_ranges_of_resize(sizes, most):
    with pytest.raises(ValueError, match=f"lengths of the shorter side from 1 to below max_size={most}"):
        ResizePair(sizes, most)
