import pytest
import torch

from tests.frame_pairs.cases import generator, pair, same
from tltm_graph import Detections
from tltm_graph.frame_pairs import CropPair
from tltm_graph.structures import FramePair


def corners_of(image: torch.Tensor) -> tuple[int, int]:
    """Where a window of the picture of its own coordinates begins."""
    return int(image[0, 0, 0]), int(image[1, 0, 0])


def coordinates(size=(40, 60)) -> torch.Tensor:
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.uint8) for n in size), indexing="ij")
    return torch.stack([y, x, y])


def test_the_same_window_of_both_frames():
    drawn = pair(n=6)
    before = FramePair(coordinates(), coordinates(), drawn.previous, drawn.current)
    seen = set()
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
        seen.add((top == 0, left == 0, len(after.current) < 6))
    assert len(seen) > 2, "windows begin anywhere, and some objects are left outside"


def test_as_often_as_told():
    before = pair()
    assert same(CropPair(0.0)(before, generator()), before)
    assert same(CropPair(1.0, (1.0, 1.0))(before, generator()), before)
    cropped = [CropPair(0.5, (0.5, 0.5))(before, generator(seed)).current_image.shape[1] for seed in range(200)]
    assert sum(height == 20 for height in cropped) == pytest.approx(100, abs=30)


def test_no_objects():
    image = torch.zeros(3, 2, 2, dtype=torch.uint8)
    after = CropPair(1.0, (0.01, 0.01))(FramePair(image, image, Detections.empty(), Detections.empty()), generator())
    assert (after.current_image.shape, len(after.current)) == ((3, 1, 1), 0)


def test_ranges():
    with pytest.raises(ValueError, match=r"Expected probability in \[0, 1\], got -1"):
        CropPair(-1)
    for scale in ((0, 1), (0.8, 0.6), (0.5, 1.1)):
        with pytest.raises(ValueError, match=r"Expected scale as \(least, greatest\) above 0 and at most 1"):
            CropPair(scale=scale)
