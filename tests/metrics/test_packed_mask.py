import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics.official_davis import contour
from tests.metrics.random_masks import flattened, generators, random_masks, sizes
from tltm_graph.metrics.packed_mask import (
    LabelMap,
    PackedMask,
    boundary,
    dilate,
    num_common_pixels,
    num_pixels,
    pack_masks,
)


def unpacked(packed: PackedMask, size: tuple[int, int]) -> np.ndarray:
    """Unpack the part of a packed mask inside the frame."""
    mask = np.zeros(size, dtype=bool)
    for (word, row), bits in np.ndenumerate(packed.words):
        y = packed.window.top + row
        for bit in range(64):
            x = 64 * (packed.window.left + word) + bit
            if int(bits) >> bit & 1 and 0 <= y < size[0] and x < size[1]:
                mask[y, x] = True
    return mask


def dilated_slowly(mask: np.ndarray, radius: int) -> np.ndarray:
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    result = np.zeros_like(mask)
    for point_y, point_x in np.argwhere(mask):
        result |= (y - point_y) ** 2 + (x - point_x) ** 2 <= radius**2
    return result


@given(generators(), sizes(), st.sampled_from([0, 1, 3, 70]))
def test_packing_loses_nothing(rng: np.random.Generator, size: tuple[int, int], margin: int):
    (mask,) = random_masks(rng, 1, *size)
    (packed,) = pack_masks(mask[None], None, margin)
    assert np.array_equal(unpacked(packed, size), mask)
    assert num_pixels([packed]).tolist() == [mask.sum()]


@given(generators(), sizes())
def test_boundary(rng: np.random.Generator, size: tuple[int, int]):
    (mask,) = random_masks(rng, 1, *size)
    edge = boundary(pack_masks(mask[None], None, 1)[0], size)
    assert np.array_equal(unpacked(edge, size), contour(mask))
    assert num_pixels([edge])[0] == contour(mask).sum(), "none outside the frame"


@pytest.mark.parametrize(
    ("rows", "columns", "length"),
    [
        ((0, 5), (0, 70), 70),  # a half-plane
        ((0, 10), (0, 10), 19),  # a square in the upper left corner
        ((20, 30), (60, 70), 21),  # in the lower right corner
        ((4, 5), (64, 65), 4),  # one pixel: itself, up, left, up left
        ((0, 1), (0, 1), 1),
        ((0, 30), (0, 70), 0),  # the whole frame
    ],
)
def test_known_lengths(rows: tuple[int, int], columns: tuple[int, int], length: int):
    mask = np.zeros((30, 70), dtype=bool)
    mask[slice(*rows), slice(*columns)] = True
    (packed,) = pack_masks(mask[None], None, 1)
    assert num_pixels([boundary(packed, mask.shape)])[0] == length


@pytest.mark.parametrize("radius", [0, 1, 2, 4, 8, 12, 18, 67])
def test_dilation(radius: int):
    mask = np.random.default_rng(radius).random((40, 150)) < 0.002
    mask[0, 0] = mask[-1, -1] = mask[20, 63] = True
    (packed,) = pack_masks(mask[None], None, radius)
    assert np.array_equal(unpacked(dilate(packed, radius), mask.shape), dilated_slowly(mask, radius))


@given(generators(), sizes(), st.integers(0, 4), st.integers(0, 4))
def test_common_pixels(rng: np.random.Generator, size: tuple[int, int], num: int, num_others: int):
    masks, others = random_masks(rng, num, *size), random_masks(rng, num_others, *size)
    packed, packed_others = pack_masks(masks, None, 1), pack_masks(others, None, 2)
    expected = np.array([[np.sum(m & o) for o in others] for m in masks], dtype=int).reshape(num, num_others)
    assert np.array_equal(num_common_pixels(packed, packed_others), expected)


@given(generators(), sizes())
def test_label_map_boxes_are_tight(rng: np.random.Generator, size: tuple[int, int]):
    pixels = flattened(random_masks(rng, 4, *size), [60000, 7, 255, 1])
    boxes = LabelMap(pixels).boxes
    assert list(boxes) == sorted(set(np.unique(pixels).tolist()) - {0})
    for object_id, box in boxes.items():
        rows, columns = np.nonzero(pixels == object_id)
        assert box == (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)


def test_label_map_of_any_integers():
    for kind in (bool, np.uint8, np.uint16, np.int32, np.int64, np.uint64):
        pixels = np.eye(3, dtype=kind)
        assert LabelMap(pixels).boxes == {1: (0, 3, 0, 3)}
    assert LabelMap(np.full((2, 2), 2**40)).boxes == {2**40: (0, 2, 0, 2)}
    assert LabelMap(np.asfortranarray(np.array([[0, 0, 5], [0, 0, 0]]))).boxes == {5: (0, 1, 2, 3)}


@pytest.mark.parametrize("size", [(0, 0), (0, 4), (4, 0), (3, 4)])
def test_label_map_without_objects(size: tuple[int, int]):
    assert LabelMap(np.zeros(size, dtype=np.uint8)).boxes == {}


def test_label_map_repr():
    assert repr(LabelMap(np.diag([3, 9]))) == "LabelMap(2×2, ids [3, 9])"


def test_label_map_errors():
    with pytest.raises(ValueError, match=r"label map of integers \(H, W\), got float64 of shape \(2, 2\)"):
        LabelMap(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"got uint8 of shape \(2, 2, 3\): read a palette image without converting"):
        LabelMap(np.zeros((2, 2, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="ids of at least 0 in a label map, got -1"):
        LabelMap(np.array([[0, -1]]))
