import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from tests.formats.strategies import SIZE, block
from tltm_graph.formats.annotations import fill_boxes, from_box, read_categories, to_box, to_label, to_rle, to_score
from tltm_graph.ops import decode_rle

finite = st.floats(-1e6, 1e6)


def runs_of(pixels: np.ndarray) -> list[int]:
    """Lengths of the runs of zeros and ones, column by column, zeros first."""
    runs, value = [0], 0
    for pixel in pixels.T.reshape(-1).tolist():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return runs


@given(st.integers(0, 2**60 - 1))
@settings(max_examples=50, deadline=None)
def test_run_lengths_of_all_kinds(number):
    pixels = np.array([number >> i & 1 for i in range(60)]).reshape(SIZE)
    compressed = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
    size = list(SIZE)
    expected = {"size": size, "counts": compressed["counts"].decode()}
    assert to_rle({"size": size, "counts": runs_of(pixels)}, SIZE, "here") == expected
    assert to_rle(dict(expected), SIZE, "here") == expected
    np.testing.assert_array_equal(decode_rle([expected], SIZE)[0].numpy(), pixels)


def test_polygons():
    square = [2.0, 1.0, 6.0, 1.0, 6.0, 4.0, 2.0, 4.0]
    assert to_rle([square], SIZE, "here") == block(1, 2, 4, 6)
    both = to_rle([square, [7, 0, 9, 0, 9, 2, 7, 2]], SIZE, "here")
    pixels = decode_rle([block(1, 2, 4, 6), block(0, 7, 2, 9)], SIZE).any(dim=0)
    assert (decode_rle([both], SIZE)[0] == pixels).all()
    outside = to_rle([[-50, -50, 999, -50, 999, 999, -50, 999]], SIZE, "here")
    assert outside == block(0, 0, *SIZE), "polygons are cut off at the frame"


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (None, "run lengths .size and counts. or as polygons, got None in here"),
        ([], "or as polygons, got .. in here"),
        ("0123", "or as polygons, got .0123"),
        ([1, 2, 3, 4, 5, 6], "or as polygons"),
        ([[1, 2, 3, 4]], "at least three corners, got .1, 2, 3, 4. in here"),
        ([[1, 2, 3, 4, 5]], "at least three corners"),
        ([[1, 2, 3, 4, 5, 6, 7]], "at least three corners"),
        ([[1, 2, 3, 4, 5, math.nan]], "at least three corners"),
        ([[1, 2, 3, 4, 5, math.inf]], "coordinates from -1000 to 1000 in a frame of 6×10"),
        ([[1, 2, 3, 4, 5, 1e9]], "coordinates from -1000 to 1000"),
        ([[1, 2, 3, 4, 5, -(10**400)]], "coordinates from -1000 to 1000"),
        ([[-1000, -1000, 1000, 1000] * 2501], "outlines of at most 10000 pixels, got 10004000 in"),
        ([[1, 2, 3, 4, 5, True]], "at least three corners"),
        ([[1, 2, 3, 4, 5, "6"]], "at least three corners"),
        ([[1, 2, 3, 4, 5, 6], None], "or as polygons"),
        ([[]], "at least three corners"),
        ({}, "a mask of 6×10 pixels .H×W., got size None in here"),
        ({"size": [10, 6], "counts": "0"}, "got size .10, 6. in here"),
        ({"size": [6, 0], "counts": "0"}, "got size .6, 0. in here"),
        ({"size": 60, "counts": "0"}, "got size 60 in here"),
        ({"size": [6, 10], "counts": [10, True, 49]}, "run lengths"),
        ({"size": [6, 10], "counts": [2**63, -(2**63) + 60]}, "run lengths"),
        ({"size": [6, 10]}, "run lengths"),
        ({"size": [6, 10], "counts": "é"}, "run lengths"),
        ({"size": [6, 10], "counts": [59]}, "cover 6×10 pixels, got 59 in here"),
        ({"size": [6, 10], "counts": [61]}, "got 61 in here"),
        ({"size": [6, 10], "counts": []}, "got 0 in here"),
        ({"size": [6, 10], "counts": [61, -1]}, "run lengths"),
        ({"size": [6, 10], "counts": [60.0]}, "run lengths"),
        ({"size": [6, 10], "counts": ["60"]}, "run lengths"),
        ({"size": [6, 10], "counts": None}, "run lengths"),
    ],
)
def test_invalid_masks(segmentation, message):
    with pytest.raises(ValueError, match=message):
        to_rle(segmentation, SIZE, "here")


@given(finite, finite, st.floats(0, 1e6), st.floats(0, 1e6))
@settings(deadline=None)
def test_boxes_round_trip_to_the_last_bit(x, y, width, height):
    box = (x, y, x + width, y + height)
    again = to_box(from_box(box), "here")
    assert again[:2] == box[:2]
    for side in (2, 3):
        assert again[side] == pytest.approx(box[side], abs=1e-9)
        if width <= box[2] and height <= box[3]:
            assert again[side] == box[side]


def test_boxes():
    assert to_box([1, 2, 0, 0], "here") == (1, 2, 1, 2), "an empty box is valid"
    masks = [block(1, 2, 4, 6), None, block(1, 2, 4, 6), block(0, 0, 1, 1)]
    assert fill_boxes([None, None, [0, 0, 1, 1], None], masks) == [[2, 1, 4, 3], None, [0, 0, 1, 1], [0, 0, 1, 1]]
    assert to_box((1, 2, 3, 4), "here") == (1, 2, 4, 6)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (None, "Expected a box or a mask, got neither in here"),
        ([1, 2, 3], "four finite numbers, got .1, 2, 3. in here"),
        ([1, 2, 3, 4, 5], "four finite numbers"),
        ([1, 2, 3, math.nan], "four finite numbers"),
        ([1, 2, math.inf, 4], "four finite numbers"),
        ([1, 2, 1e300, 4], "four finite numbers"),
        ([1, 2, True, 4], "four finite numbers"),
        ([1, 2, "3", 4], "four finite numbers"),
        ("1234", "four finite numbers"),
        ({}, "four finite numbers"),
        (7, "four finite numbers"),
        ([1, 2, -1, 4], "width and height of at least 0, got .1, 2, -1, 4. in here"),
        ([1, 2, 1, -4], "width and height of at least 0"),
    ],
)
def test_invalid_boxes(box, message):
    with pytest.raises(ValueError, match=message):
        to_box(box, "here")


def test_scores():
    assert to_score(0.25, "here") == 0.25
    assert to_score(-1, "here") == -1
    for value in (None, "0.5", math.nan, math.inf, True, [0.5], {}):
        with pytest.raises(ValueError, match="a score as a finite number, got .* in here"):
            to_score(value, "here")


def test_labels():
    assert to_label(7, {3: 0, 7: 1}, "here") == 1
    for value in (None, 1, "7", 7.0, True, [7], {}):
        with pytest.raises(
            ValueError, match=r"Expected a category of \[3, 7, 1\]|Expected a category of \[3, 7\], got"
        ):
            to_label(value, {3: 0, 7: 1}, "here")
    with pytest.raises(ValueError, match="got True"):
        to_label(True, {1: 0}, "here")
    with pytest.raises(ValueError, match=r"\[0, 1, 2, 3, 4, 5, 6, 7, 8, 9\] and 30 others, got 99 in here"):
        to_label(99, {number: number for number in range(40)}, "here")


def test_categories():
    content = {"categories": [{"id": 9, "name": "b"}, {"id": 2, "name": "a", "supercategory": "x"}]}
    assert read_categories(content, "file") == (("a", "b"), (2, 9))
    assert read_categories({"categories": []}, "file") == ((), ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "Expected 'categories' with 'id' and 'name' in 'file', got KeyError"),
        ([], "got TypeError"),
        ({"categories": None}, "got TypeError"),
        ({"categories": [1]}, "got TypeError"),
        ({"categories": [{"id": 1}]}, "got KeyError.'name'"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": "2", "name": "b"}]}, "whole numbers as 'id'"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "each category once in 'file'"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "each category once in 'file'"),
        ({"categories": [{"id": "1", "name": "a"}]}, "whole numbers as 'id' and texts as 'name' .*, got .'1', 'a'."),
        ({"categories": [{"id": 1.5, "name": "a"}]}, "whole numbers as 'id'"),
        ({"categories": [{"id": 1, "name": ["a"]}]}, "texts as 'name'"),
        ({"categories": [{"id": 1, "name": None}]}, "texts as 'name'"),
    ],
)
def test_invalid_categories(content, message):
    with pytest.raises(ValueError, match=message):
        read_categories(content, "file")
