import pytest
import torch

from tltm_graph import Detections
from tltm_graph.structures import FramePair

IMAGE = torch.zeros(3, 20, 30, dtype=torch.uint8)


def objects(n=1, size=(20, 30), masks=True, ids=True):
    return Detections(
        torch.tensor([[1.0, 1.0, 5.0, 5.0]]).repeat(n, 1),
        torch.ones(n),
        torch.zeros(n, dtype=torch.int64),
        masks=torch.zeros(n, *size, dtype=torch.bool) if masks else None,
        ids=torch.arange(n) if ids else None,
    )


def test_empty_is_normal():
    FramePair(IMAGE, IMAGE, Detections.empty(), objects())
    FramePair(IMAGE, IMAGE, objects(0), Detections.empty())


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="Expected two images of one size"):
        FramePair(IMAGE, IMAGE[:, :10], objects(), objects())
    with pytest.raises(ValueError, match="Expected the objects of the current frame with masks and ids"):
        FramePair(IMAGE, IMAGE, objects(), objects(ids=False))
    with pytest.raises(ValueError, match="Expected the objects of the previous frame with masks and ids"):
        FramePair(IMAGE, IMAGE, objects(masks=False), objects())
    with pytest.raises(ValueError, match=r"Expected masks of the image's size \(20, 30\), got \(30, 20\)"):
        FramePair(IMAGE, IMAGE, objects(size=(30, 20)), objects())


@pytest.mark.parametrize("image", [IMAGE.float() / 255, IMAGE[:1], IMAGE[:, :0]])
def test_what_is_no_image(image):
    with pytest.raises(ValueError, match=r"Expected 'previous_image' of shape \(3, H, W\) and type uint8"):
        FramePair(image, image, objects(), objects())
