import io

import pytest
import torch
from PIL import Image

from tltm_graph import Detections, Frame
from tltm_graph.structures import FramePair


def test_size():
    assert Frame(torch.zeros(3, 4, 6, dtype=torch.uint8), 0, 0.0).size == (4, 6)


def test_repr_and_notebook_picture():
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


IMAGE = torch.zeros(3, 20, 30, dtype=torch.uint8)


def objects(n=1, size=(20, 30), masks=True, ids=True):
    return Detections(
        torch.tensor([[1.0, 1.0, 5.0, 5.0]]).repeat(n, 1),
        torch.ones(n),
        torch.zeros(n, dtype=torch.int64),
        masks=torch.zeros(n, *size, dtype=torch.bool) if masks else None,
        ids=torch.arange(n) if ids else None,
    )


def test_a_pair_of_empty_frames():
    FramePair(IMAGE, IMAGE, Detections.empty(), objects())
    FramePair(IMAGE, IMAGE, objects(0), Detections.empty())


def test_bad_pairs():
    with pytest.raises(ValueError, match="Expected two images of equal size"):
        FramePair(IMAGE, IMAGE[:, :10], objects(), objects())
    with pytest.raises(ValueError, match="Expected the objects of the current frame with masks and ids"):
        FramePair(IMAGE, IMAGE, objects(), objects(ids=False))
    with pytest.raises(ValueError, match="Expected the objects of the previous frame with masks and ids"):
        FramePair(IMAGE, IMAGE, objects(masks=False), objects())
    with pytest.raises(ValueError, match=r"Expected masks of the image size \(20, 30\), got \(30, 20\)"):
        FramePair(IMAGE, IMAGE, objects(size=(30, 20)), objects())


@pytest.mark.parametrize("image", [IMAGE.float() / 255, IMAGE[:1], IMAGE[:, :0]])
def test_pairs_of_bad_images(image):
    with pytest.raises(ValueError, match=r"Expected 'previous_image' of shape \(3, H, W\) and type uint8"):
        FramePair(image, image, objects(), objects())
