import numpy as np
import pytest

from tltm_graph.synthetic.processes import alternating, jolts, lifetimes, logistic, mixture, ornstein_uhlenbeck


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("shape", [(0, 3), (1, 2), (7,), (30, 4, 2)])
def test_noise_matches_the_recursion(shape):
    memory, deviation = 3.0, 0.5
    a = np.exp(-1 / memory)
    noise = rng().normal(size=shape)
    expected = np.zeros(shape)
    for t in range(shape[0]):
        expected[t] = a * expected[t - 1] + deviation * np.sqrt(1 - a**2) * noise[t] if t else deviation * noise[t]
    assert np.allclose(ornstein_uhlenbeck(rng(), shape, memory, deviation), expected)


@pytest.mark.parametrize(("memory", "lag"), [(10.0, 1), (10.0, 10), (2.0, 3)])
def test_noise_is_stationary_with_exponential_correlation(memory, lag):
    noise = ornstein_uhlenbeck(rng(), (200, 2000), memory, 2.0)
    assert np.allclose(noise.std(axis=1), 2.0, rtol=0.1)
    assert (noise[lag:] * noise[:-lag]).mean() / 4 == pytest.approx(np.exp(-lag / memory), abs=0.02)


def test_noise_without_memory_is_white():
    noise = ornstein_uhlenbeck(rng(), (100, 1000), 0.0, 1.0)
    assert abs((noise[1:] * noise[:-1]).mean()) < 0.02


def test_jolts_are_rare_and_permanent():
    moves = [jolts(rng(seed), 50, (1.0, 2.0)) for seed in range(400)]
    changes = np.array([np.count_nonzero(np.diff(move[:, 0])) for move in moves])
    assert all(np.count_nonzero(move[0]) == 0 for move in moves), "none before the second frame"
    assert 0.1 < (changes > 0).mean() < 0.2
    assert set(changes) <= set(range(6))
    assert len(jolts(rng(), 0, (1.0,))) == 0
    assert np.array_equal(jolts(rng(), 1, (1.0,)), [[0.0]])


def test_lifetimes_are_contiguous_and_some_end_early():
    begins_late = ends_early = 0.0
    for seed in range(200):
        alive = lifetimes(rng(seed), 60, 30)
        turns = np.diff(np.pad(alive, ((1, 1), (0, 0))).astype(int), axis=0)
        assert ((turns == 1).sum(axis=0) <= 1).all()
        assert not (turns[:10] == -1).any(), "none ends in the first sixth"
        begins_late += (~alive[0]).mean() / 200
        ends_early += (~alive[-1]).mean() / 200
    assert begins_late == pytest.approx(0.6 * 0.25, abs=0.04)
    assert ends_early == pytest.approx(0.6 * 0.3, abs=0.04)
    assert lifetimes(rng(), 0, 4).shape == (0, 4)


def runs_of(column: np.ndarray) -> list[tuple[bool, int]]:
    """Find runs frame by frame."""
    runs: list[tuple[bool, int]] = []
    for value in column.tolist():
        if runs and runs[-1][0] == value:
            runs[-1] = (value, runs[-1][1] + 1)
        else:
            runs.append((value, 1))
    return runs


def test_lengths_of_on_and_off_runs():
    off = alternating(rng(), (4000, 40), starts_off=0.25, mean_on=20, longest_off=9)
    inner = [run for column in off.T for run in runs_of(column)[1:-1]]
    lengths_off = np.array([length for is_off, length in inner if is_off])
    lengths_on = np.array([length for is_off, length in inner if not is_off])
    assert lengths_on.mean() == pytest.approx(20, rel=0.05)
    assert set(lengths_off) == set(range(1, 10))
    assert np.allclose(np.bincount(lengths_off)[1:] / len(lengths_off), 1 / 9, atol=0.02)
    first = alternating(rng(), (1, 20000), starts_off=0.25, mean_on=20, longest_off=9)
    assert first.mean() == pytest.approx(0.25, abs=0.01)
    assert alternating(rng(), (0, 3), 0.5, 10, 3).shape == (0, 3)
    assert alternating(rng(), (5, 0), 0.5, 10, 3).shape == (5, 0)


def test_mixture_has_its_parts():
    draws = np.array([mixture(generator, (0.2, 0, 0), (0.5, 1, 2), (0.3, 5, 6)) for generator in [rng()] * 4000])
    for low, high, share in ((0, 0, 0.2), (1, 2, 0.5), (5, 6, 0.3)):
        assert ((low <= draws) & (draws <= high)).mean() == pytest.approx(share, abs=0.03)


def test_logistic_does_not_overflow():
    with np.errstate(all="raise"):
        assert np.allclose(logistic(np.array([-1e4, -1.0, 0.0, 1e4])), [0, 1 / (1 + np.e), 0.5, 1])
