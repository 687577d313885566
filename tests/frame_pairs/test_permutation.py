import pytest
import torch

from tltm_graph.frame_pairs.stream import Permutation


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 1000])
@pytest.mark.parametrize("key", [(0,), (7, 1)])
def test_every_number_once(size, key):
    order = Permutation(size, *key)
    assert sorted(order[i] for i in range(size)) == list(range(size))
    assert len(order) == size


def test_another_key_is_another_order():
    orders = {tuple(Permutation(50, seed, epoch)[i] for i in range(50)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_all_orders_are_about_as_likely():
    """Every number falls on every place, and any two neighbours are as far apart as in a random order."""
    size, keys = 12, 3000
    orders = torch.tensor([[Permutation(size, key)[i] for i in range(size)] for key in range(keys)])
    counts = torch.stack([(orders == value).sum(dim=0) for value in range(size)])  # (value, place)
    expected = keys / size
    assert ((counts - expected) ** 2 / expected).sum() < 170, "chi-squared of 121 degrees of freedom, p = 0.002"
    steps = (orders[:, 1:] - orders[:, :-1]).abs().float().mean()
    assert steps == pytest.approx((size + 1) / 3, rel=0.02)


def test_it_is_as_fast_for_as_many_as_you_like():
    order = Permutation(10**15, 0)
    assert len({order[i] for i in range(1000)}) == 1000


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="Expected at least 1 element to shuffle, got 0"):
        Permutation(0)
    for index in (-1, 5):
        with pytest.raises(IndexError, match=f"Expected an index from 0 to 4, got {index}"):
            Permutation(5)[index]
    assert repr(Permutation(5)) == "Permutation(5)"
