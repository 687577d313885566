import numpy as np
import pytest

from tests.metrics.identity_cases import frame
from tltm_graph.metrics.overlap import FrameOverlap, pairwise_iou, share_within
from tltm_graph.ops.rle import Rle
from tltm_graph.structures import Observation


def test_frame_overlap_checks_ids_and_shapes():
    ids = np.array([1, 2])
    with pytest.raises(ValueError, match=r"Expected overlaps of 2 true with 2 predicted objects, got shape \(2, 1\)"):
        FrameOverlap(ids, ids, np.zeros((2, 1)))
    with pytest.raises(ValueError, match="Expected each true id once in a frame, got 4 twice"):
        frame([3, 4, 4], [])
    with pytest.raises(ValueError, match="Expected each predicted id once in a frame, got 1 twice"):
        frame([], [1, 1])
    with pytest.raises(ValueError, match="Expected predicted ids of at least 0, got -1"):
        frame([], [0, -1])


@pytest.mark.parametrize("value", [-1.0, 1.01, np.nan, np.inf])
def test_overlaps_are_in_0_to_1(value: float):
    with pytest.raises(ValueError, match="Expected overlaps from 0 to 1"):
        frame([0], [0, 1], [[0.5, value]])


def test_masks_of_different_sizes_are_an_error():
    small = Observation(0, (0, 0, 1, 1), mask=Rle(size=[2, 3], counts="6"))
    large = Observation(1, (0, 0, 1, 1), mask=Rle(size=[3, 2], counts="6"))
    for rows, others in (([small], [large]), ([small, large], [small]), ([small], [small, large])):
        with pytest.raises(ValueError, match=r"got \[2, 3\] and \[3, 2\] \(H, W\)"):
            pairwise_iou(rows, others, "masks")


def test_iou_and_share_of_boxes():
    rows, regions = [Observation(0, (0, 0, 10, 10)), Observation(1, (0, 0, 0, 10))], [Observation(2, (5, 0, 25, 10))]
    assert pairwise_iou(rows, regions, "boxes").tolist() == [[50 / 250], [0]]
    assert share_within(rows, regions, "boxes").tolist() == [[0.5], [0]]
    for compare in (pairwise_iou, share_within):
        for on in ("boxes", "masks"):
            assert compare(rows, [], on).shape == (2, 0)
            assert compare([], regions, on).shape == (0, 1)
