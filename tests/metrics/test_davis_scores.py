import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics import official_davis
from tltm_graph.metrics.davis_scores import RegionBoundaryScores, davis_statistics, mean_scores


@given(st.integers(1, 255), st.integers(0, 2**32 - 1))
def test_official_statistics(num_frames: int, seed: int):
    values = np.random.default_rng(seed).random(num_frames)
    assert davis_statistics(values) == pytest.approx(official_davis.statistics(values), abs=1e-14)


def test_bins_share_their_limits():
    values = np.arange(10.0)  # bins 0..2 and 7..9
    assert davis_statistics(values) == (4.5, 0.9, 1 - 8)
    assert davis_statistics(np.array([0.75, 0.25])).decay == 0.5
    assert davis_statistics(np.array([0.75])) == (0.75, 1, 0)


def test_recall_is_strictly_above_a_half():
    assert davis_statistics(np.array([0.5, 0.5, 0.5, 0.75])).recall == 0.25


def test_decay_of_long_videos():
    values = np.linspace(1, 0, 300)
    assert np.isnan(official_davis.statistics(values)[2]), "8 bits are too few for 300 frames"
    assert davis_statistics(values).decay == pytest.approx(0.7492, abs=1e-4)


def test_no_frames_and_unknown_values():
    assert np.isnan(davis_statistics(np.zeros(0))).all()
    assert davis_statistics(np.array([np.nan, 1.0])).mean == 1
    assert davis_statistics(np.array([np.nan, 1.0])).recall == 0.5
    assert np.isnan(davis_statistics(np.array([np.nan])).mean)


def test_means():
    one, other = RegionBoundaryScores(0.5, 1, 0, 0.25, 0, 0.5), RegionBoundaryScores(1, 0, 0.5, 0.75, 1, 0)
    assert one.JF_mean == 0.375
    assert mean_scores([one, other]) == (0.75, 0.5, 0.25, 0.5, 0.5, 0.25)
    assert np.isnan(mean_scores([])).all()
    assert np.isnan(RegionBoundaryScores(*mean_scores([])).JF_mean)
