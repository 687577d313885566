from dataclasses import replace

import numpy as np
import pytest

from tests.synthetic.cases import apart, world
from tltm_graph.synthetic.detector_noise import Bursts, Recall
from tltm_graph.synthetic.observations import Observations


def find(recall: Recall, world, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Found (T, N) and log-odds (T, N) of a world in which all are always present."""
    found, logits = recall.find(np.random.default_rng(seed), Observations.of(world), world)
    return found.reshape(world.present.shape), logits.reshape(world.present.shape)


def correlation(found: np.ndarray, lag: int = 1) -> float:
    centred = found - found.mean()
    return float((centred[lag:] * centred[:-lag]).mean() / found.var())


def test_everything_is_found_unless_told_otherwise():
    assert find(Recall(), apart(40, 50))[0].all()


def test_the_share_of_misses_is_the_one_set_and_differs_between_objects():
    found, _ = find(Recall(misses=0.2), apart(100, 1000))
    assert found.mean() == pytest.approx(0.8, abs=0.03)
    shares = found.mean(axis=0)
    assert np.minimum(abs(shares - 0.9), abs(shares - 0.7)).max() < 0.06
    assert (shares > 0.8).sum() == pytest.approx(50, abs=20)


def test_base_is_the_log_odds_of_an_easy_object():
    found, logits = find(Recall(base=1.5), apart(100, 200))
    assert (logits == 1.5).all()
    assert found.mean() == pytest.approx(1 / (1 + np.exp(-1.5)), abs=0.01)


def test_log_odds_by_hand():
    easy = Recall(base=2.0, visible=0.6, softness=0.1, height=32.0)
    half_hidden = world([(100, 50, 120, 82)], [10.0], [(100, 0, 110, 200)], [5.0])
    assert find(easy, half_hidden)[1].item() == pytest.approx(2 - 1)
    assert find(replace(easy, visible=0.4), half_hidden)[1].item() == pytest.approx(2)
    small = world([(100, 50, 120, 66)])
    assert find(easy, small)[1].item() == pytest.approx(2 + 3 * np.log(0.5))


def test_what_is_hidden_is_not_found():
    wall = world([(100, 50, 120, 110)], [10.0], [(90, 0, 130, 200)], [5.0], num_frames=500)
    assert find(Recall(base=4.0), wall)[0].mean() > 0.9
    assert not find(Recall(base=4.0, visible=0.5, softness=0.03), wall)[0].any()


def test_what_is_hardly_in_the_picture_is_never_found():
    found, _ = find(Recall(), world([(-90, 0, 10, 50), (-80, 0, 20, 50)], num_frames=50))
    assert found.all(axis=0).tolist() == [False, True]
    assert found.any(axis=0).tolist() == [False, True]


def test_flicker_is_correlated_in_time_and_misses_are_not():
    slow, _ = find(Recall(base=1.0, flicker=2.0, flicker_memory=12.0), apart(60, 500))
    quick, _ = find(Recall(base=1.0, flicker=2.0, flicker_memory=1.0), apart(60, 500))
    single, _ = find(Recall(misses=0.3), apart(60, 500))
    assert correlation(slow, 1) > 0.3 > correlation(quick, 1) > 0.05
    assert correlation(slow, 40) < 0.1
    per_object = single - single.mean(axis=0)
    assert abs((per_object[1:] * per_object[:-1]).mean() / single.var()) < 0.02


def test_bias_makes_some_objects_easier_than_others():
    found, logits = find(Recall(base=0.0, bias=2.0), apart(200, 100))
    assert (logits == logits[0]).all()
    assert logits[0].std() == pytest.approx(2, abs=0.3)
    assert found.mean(axis=0).std() > 0.25


def test_bursts_lose_objects_for_many_frames():
    found, _ = find(Recall(bursts=Bursts(at_first=0.2, mean_seen=20.0, longest=10)), apart(100, 2000))
    assert found[0].mean() == pytest.approx(0.8, abs=0.12)
    assert found.mean() == pytest.approx(20 / (20 + 5.5), abs=0.02)
    assert correlation(found) > 0.7
    gaps = [len(gap) for column in found.T for gap in "".join("x" if f else "." for f in column).split("x") if gap]
    assert max(gaps) == 10


def test_nobody_is_there():
    assert find(Recall(misses=0.5, bursts=Bursts(0.5, 5.0, 3)), world([], num_frames=4))[0].shape == (4, 0)


def test_random_ones_lie_in_their_ranges():
    drawn = [Recall.draw(np.random.default_rng(seed), 1000) for seed in range(300)]
    assert all(1.5 <= recall.base <= 5 and 0.03 <= recall.softness <= 0.15 for recall in drawn)
    assert all(recall.visible == 0 or 0.25 <= recall.visible <= 0.7 for recall in drawn)
    assert all(recall.height == 0 or 10 <= recall.height <= 80 for recall in drawn)
    assert all(recall.flicker == 0 or 0.3 <= recall.flicker <= 2 for recall in drawn)
    assert all(0 <= recall.misses <= 0.3 for recall in drawn)
    assert np.mean([recall.bursts is None for recall in drawn]) == pytest.approx(0.55, abs=0.1)
    assert np.mean([recall.visible == 0 for recall in drawn]) == pytest.approx(0.3, abs=0.1)
    bursts = [recall.bursts for recall in drawn if recall.bursts]
    assert all(2 <= burst.longest <= 30 and 10 <= burst.mean_seen <= 50 for burst in bursts)
