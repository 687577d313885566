import numpy as np
import pytest
from hypothesis import given

from tests.metrics.random_masks import flattened, generators, random_masks, sizes
from tltm_graph.metrics.label_map import LabelMap


@given(generators(), sizes())
def test_boxes_are_those_of_each_mask(rng: np.random.Generator, size: tuple[int, int]):
    pixels = flattened(random_masks(rng, 4, *size), [60000, 7, 255, 1])
    boxes = LabelMap(pixels).boxes
    assert list(boxes) == sorted(set(np.unique(pixels).tolist()) - {0})
    for object_id, box in boxes.items():
        rows, columns = np.nonzero(pixels == object_id)
        assert box == (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)


def test_kinds_of_integers():
    for kind in (bool, np.uint8, np.uint16, np.int32, np.int64, np.uint64):
        pixels = np.eye(3, dtype=kind)
        assert LabelMap(pixels).boxes == {1: (0, 3, 0, 3)}
    assert LabelMap(np.full((2, 2), 2**40)).boxes == {2**40: (0, 2, 0, 2)}
    assert LabelMap(np.asfortranarray(np.array([[0, 0, 5], [0, 0, 0]]))).boxes == {5: (0, 1, 2, 3)}


@pytest.mark.parametrize("size", [(0, 0), (0, 4), (4, 0), (3, 4)])
def test_nothing_in_it(size: tuple[int, int]):
    assert LabelMap(np.zeros(size, dtype=np.uint8)).boxes == {}


def test_repr():
    assert repr(LabelMap(np.diag([3, 9]))) == "LabelMap(2×2, ids [3, 9])"


def test_errors():
    with pytest.raises(ValueError, match=r"label map of integers \(H, W\), got float64 of shape \(2, 2\)"):
        LabelMap(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"got uint8 of shape \(2, 2, 3\): read a palette image without converting"):
        LabelMap(np.zeros((2, 2, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="ids of at least 0 in a label map, got -1"):
        LabelMap(np.array([[0, -1]]))
