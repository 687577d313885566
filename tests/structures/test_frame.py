import io

import pytest
import torch
from PIL import Image

from tltm_graph import Frame


def test_size():
    assert Frame(torch.zeros(3, 4, 6, dtype=torch.uint8), 0, 0.0).size == (4, 6)


def test_how_it_is_shown():
    frame = Frame(torch.full((3, 4, 6), 7, dtype=torch.uint8), 2)
    assert repr(frame) == "Frame(index=2, time=0, size=(4, 6))"
    with Image.open(io.BytesIO(frame._repr_png_())) as picture:
        assert picture.size == (6, 4)
        assert picture.getpixel((5, 3)) == (7, 7, 7)


@pytest.mark.parametrize(
    ("image", "index", "time", "message"),
    [
        (torch.zeros(4, 6, 3, dtype=torch.uint8), 0, 0.0, r"of shape \(3, H, W\) and type uint8"),
        (torch.zeros(3, 4, 6), 0, 0.0, "got .* torch.float32"),
        (torch.zeros(3, 4, 6, dtype=torch.uint8), -1, 0.0, "counted from 0, got -1"),
        (torch.zeros(3, 4, 6, dtype=torch.uint8), 0, float("nan"), "in seconds, got nan"),
    ],
)
def test_bad_input(image, index, time, message):
    with pytest.raises(ValueError, match=message):
        Frame(image, index, time)
