from collections import Counter

import pytest
import torch

from tests.frame_pairs.cases import generator, objects, pair
from tltm_graph import Detections
from tltm_graph.frame_pairs import ResizePair
from tltm_graph.structures import FramePair


def test_sizes():
    before = pair()  # 40×60
    resize = ResizePair((20, 30, 60), max_size=75)
    sizes = Counter(tuple(resize(before, generator(seed)).current_image.shape[1:]) for seed in range(300))
    assert sizes.keys() == {(20, 30), (30, 45), (50, 75)}, "the last one bounded by its longer side"
    assert all(count == pytest.approx(100, abs=30) for count in sizes.values())


@pytest.mark.parametrize("shorter", [20, 37, 40, 95])
def test_masks_pixel_by_pixel(shorter):
    before = pair(n=4)
    after = ResizePair((shorter,), 200)(before, generator())
    height, width = after.previous_image.shape[1:]
    y, x = ((torch.arange(n) + 0.5) * old / n for n, old in ((height, 40), (width, 60)))
    expected = before.previous.masks[:, y.long()][:, :, x.long()]
    seen = expected.flatten(1).any(dim=1)
    assert torch.equal(after.previous.masks, expected[seen])
    assert after.previous.ids.tolist() == before.previous.ids[seen].tolist()
    for mask, box in zip(after.previous.masks, after.previous.boxes.tolist(), strict=True):
        row, column = mask.nonzero().T
        assert box == [column.min(), row.min(), column.max() + 1, row.max() + 1]
    assert after.current_image.shape == after.previous_image.shape
    assert after.current.masks.shape[1:] == (height, width)


def test_objects_too_small_to_be_seen_are_dropped():
    masks = torch.zeros(2, 40, 60, dtype=torch.bool)
    masks[0, 0, 0], masks[1, 10:30, 10:30] = True, True
    image = torch.zeros(3, 40, 60, dtype=torch.uint8)
    after = ResizePair((10,), 99)(FramePair(image, image, objects(masks), Detections.empty()), generator())
    assert after.previous.ids.tolist() == [1]
    assert after.previous.boxes.tolist() == [[2, 2, 7, 7]]
    assert len(after.current) == 0


def test_pictures_are_smooth_when_made_smaller():
    stripes = (torch.arange(60) % 2 * 200).to(torch.uint8).expand(3, 40, 60)
    after = ResizePair((10,), 99)(FramePair(stripes, stripes, Detections.empty(), Detections.empty()), generator())
    assert after.current_image.float()[..., 2:-2].std() < 15


@pytest.mark.parametrize(("sizes", "most"), [((), 100), ((0,), 100), ((50, 100), 100)])
def test_ranges(sizes, most):
    with pytest.raises(ValueError, match=f"lengths of the shorter side from 1 to below max_size={most}"):
        ResizePair(sizes, most)
