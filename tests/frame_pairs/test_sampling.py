import pytest
import torch
from torch.utils.data import DataLoader

from tests.frame_pairs.cases import Clip
from tltm_graph.frame_pairs import PairStream, VideoPairs
from tltm_graph.frame_pairs.sampling import (
    Permutation,
    chance,
    group_by_repeat_factor,
    hash_integers,
    integer,
    seeded_generator,
    uniform,
)


def test_ranges_of_draws():
    generator = seeded_generator(0)
    numbers = [uniform(generator, -2, 3) for _ in range(2000)]
    assert -2 <= min(numbers) < -1.9
    assert 2.9 < max(numbers) < 3
    whole = [integer(generator, 1, 3) for _ in range(300)]
    assert {*whole} == {1, 2, 3}
    assert all(70 < whole.count(n) < 130 for n in (1, 2, 3))
    assert sum(chance(generator, 0.2) for _ in range(2000)) == pytest.approx(400, abs=60)
    assert not any(chance(generator, 0.0) for _ in range(100))
    assert all(chance(generator, 1.0) for _ in range(100))


def test_hashes_are_distinct_and_fixed():
    names = [(a, b) for a in range(40) for b in range(40)]
    assert len({hash_integers(*name) for name in names}) == 1600
    assert hash_integers(1, 23) != hash_integers(12, 3)
    assert hash_integers(-1) != hash_integers(1)
    assert hash_integers(0, 7) == 4752394561381373483, "fixed for ever: runs are resumed by it"
    assert (
        uniform(seeded_generator(3, 4), 0, 1)
        == uniform(seeded_generator(3, 4), 0, 1)
        != uniform(seeded_generator(4, 3), 0, 1)
    )


def test_global_state_is_not_used():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    generator = seeded_generator(1)
    uniform(generator, 0, 1), integer(generator, 0, 5), chance(generator, 0.5)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 1000])
@pytest.mark.parametrize("key", [(0,), (7, 1)])
def test_permutation_has_every_number_once(size, key):
    order = Permutation(size, *key)
    assert sorted(order[i] for i in range(size)) == list(range(size))
    assert len(order) == size
    assert list(DataLoader(range(size), batch_size=None, sampler=order)) == list(order)


def test_keys_give_different_orders():
    orders = {tuple(Permutation(50, seed, epoch)[i] for i in range(50)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_orders_are_uniform():
    """All numbers are equally frequent at all places, and neighbours as far apart as in a random order."""
    size, keys = 12, 3000
    orders = torch.tensor([[Permutation(size, key)[i] for i in range(size)] for key in range(keys)])
    counts = torch.stack([(orders == value).sum(dim=0) for value in range(size)])  # (value, place)
    expected = keys / size
    assert ((counts - expected) ** 2 / expected).sum() < 170, "chi-squared of 121 degrees of freedom, p = 0.002"
    steps = (orders[:, 1:] - orders[:, :-1]).abs().float().mean()
    assert steps == pytest.approx((size + 1) / 3, rel=0.02)


def test_huge_permutation():
    order = Permutation(10**15, 0)
    assert len({order[i] for i in range(1000)}) == 1000


def test_bad_size_and_index():
    with pytest.raises(ValueError, match="Expected at least 1 element to shuffle, got 0"):
        Permutation(0)
    for index in (-1, 5):
        with pytest.raises(IndexError, match=f"Expected an index from 0 to 4, got {index}"):
            Permutation(5)[index]
    assert repr(Permutation(5)) == "Permutation(5)"


def test_rare_classes_have_greater_factors():
    videos = [Clip(3, 10 * number) for number in range(8)]
    labels = [{0}, {0}, {0}, {0}, {0, 1}, {1}, {2, 0}, set()]  # shares 6/8, 2/8, 1/8
    groups = group_by_repeat_factor(videos, labels, threshold=0.5)
    factors = [1.0, pytest.approx(2**0.5), pytest.approx(2.0)]
    assert list(groups) == factors
    assert list(groups.values()) == [[*videos[:4], videos[7]], [videos[4], videos[5]], [videos[6]]]
    assert group_by_repeat_factor(videos, labels, threshold=0.1) == {1.0: videos}
    stream = PairStream([VideoPairs(group) for group in groups.values()], repeat=list(groups))
    assert len(stream) == 10 + round(4 * 2**0.5) + 4


def test_bad_labels_and_threshold():
    assert group_by_repeat_factor([], [], 0.1) == {}
    with pytest.raises(ValueError, match="Expected labels for each of 1 videos, got 0"):
        group_by_repeat_factor([Clip(3)], [], 0.1)
    with pytest.raises(ValueError, match="Expected a threshold above 0, got 0"):
        group_by_repeat_factor([Clip(3)], [{0}], 0)
