import pytest
import torch

from tltm_graph.detectors.resize import network_size, resize_image


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((720, 1280), (750, 1333)),
        ((480, 640), (800, 1067)),
        ((800, 800), (800, 800)),
        ((10, 2000), (7, 1333)),
        ((1, 1), (800, 800)),
        ((1, 4000), (1, 1333)),
    ],
)
def test_network_size(size, expected):
    assert network_size(size, 800, 1333) == expected


def test_same_size_is_the_same_image():
    image = torch.zeros(3, 4, 5, dtype=torch.uint8)
    assert resize_image(image, (4, 5)) is image
    assert resize_image(image, (8, 3)).shape == (3, 8, 3)
