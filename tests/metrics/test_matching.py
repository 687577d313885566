from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tltm_graph.metrics.matching import assign, match_overlap, match_pairs, where


def best(gain: np.ndarray) -> float:
    """Greatest total gain over all one-to-one matchings."""
    if gain.shape[0] > gain.shape[1]:
        gain = gain.T
    return max(sum(gain[r, c] for r, c in enumerate(order)) for order in permutations(range(gain.shape[1]), len(gain)))


def table(seed: int, rows: int, columns: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.random((rows, columns)) * (generator.random((rows, columns)) < generator.choice([0.2, 0.8]))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 5), st.integers(0, 5))
def test_the_greatest_gain(seed: int, rows: int, columns: int):
    gain = table(seed, rows, columns)
    r, c = assign(gain)
    assert len(set(r.tolist())) == len(r) == len(set(c.tolist()))
    assert (gain[r, c] > 0).all()
    assert gain[r, c].sum() == pytest.approx(best(gain))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 5), st.integers(0, 5))
def test_the_most_overlap_and_the_most_pairs(seed: int, rows: int, columns: int):
    iou = table(seed, rows, columns)
    enough = iou >= 0.5
    assert iou[match_overlap(iou)].sum() == pytest.approx(best(np.where(enough, iou, 0)))
    pairs = match_pairs(iou)
    assert enough[pairs].all()
    assert len(pairs[0]) + iou[pairs].sum() / 100 == pytest.approx(best(np.where(enough, 1 + iou / 100, 0)))


def test_one_good_pair_against_more_that_just_suffice():
    #        two pairs of the middle, 2.0, or three along the diagonal, 1.5
    iou = np.array([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [0.0, 0.0, 0.5]])
    assert len(match_overlap(iou)[0]) == 2
    assert len(match_pairs(iou)[0]) == 3


@pytest.mark.parametrize("match", [match_overlap, match_pairs])
def test_the_threshold_may_be_missed_by_a_rounding_error(match):
    assert len(match(np.array([[np.nextafter(0.5, 0)]]))[0]) == 1
    assert len(match(np.array([[0.5 - 1e-12]]))[0]) == 0


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (4, 7)])
def test_where(shape: tuple[int, int]):
    mask = np.random.default_rng(0).random(shape) < 0.5
    for ours, theirs in zip(where(mask), np.nonzero(mask), strict=True):
        assert ours.tolist() == theirs.tolist()
    for ours, theirs in zip(where(mask.T), np.nonzero(mask.T), strict=True):
        assert ours.tolist() == theirs.tolist()
