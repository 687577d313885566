import numpy as np
import pytest

from tests.metrics.identity_cases import frame
from tltm_graph.metrics.overlap import FrameOverlap, mask_overlap
from tltm_graph.ops import Rle
from tltm_graph.structures import Observation


def test_a_frame_checks_what_it_is_given():
    ids = np.array([1, 2])
    with pytest.raises(ValueError, match=r"Expected overlaps of 2 true with 2 predicted objects, got shape \(2, 1\)"):
        FrameOverlap(ids, ids, np.zeros((2, 1)))
    with pytest.raises(ValueError, match="Expected each true id once in a frame, got 4 twice"):
        frame([3, 4, 4], [])
    with pytest.raises(ValueError, match="Expected each predicted id once in a frame, got 1 twice"):
        frame([], [1, 1])
    with pytest.raises(ValueError, match="Expected predicted ids of at least 0, got -1: leave out what has no track"):
        frame([], [0, -1])


@pytest.mark.parametrize("value", [-1.0, 1.01, np.nan, np.inf])
def test_an_overlap_is_a_share(value: float):
    with pytest.raises(ValueError, match="Expected overlaps from 0 to 1"):
        frame([0], [0, 1], [[0.5, value]])


def test_every_mask_is_of_one_size():
    small = Observation(0, (0, 0, 1, 1), mask=Rle(size=[2, 3], counts="6"))
    large = Observation(1, (0, 0, 1, 1), mask=Rle(size=[3, 2], counts="6"))
    for rows, others in (([small], [large]), ([small, large], [small]), ([small], [small, large])):
        with pytest.raises(ValueError, match=r"got \[2, 3\] and \[3, 2\] \(H, W\)"):
            mask_overlap(rows, others, crowd=False)
