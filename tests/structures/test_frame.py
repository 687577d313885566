import pytest
import torch

from tltm_graph import Frame


def test_size():
    assert Frame(torch.zeros(3, 4, 6, dtype=torch.uint8), 0, 0.0).size == (4, 6)


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
