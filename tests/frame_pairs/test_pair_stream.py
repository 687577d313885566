from collections import Counter
from itertools import islice

import pytest
import torch
from torch.utils.data import DataLoader

from tests.frame_pairs.cases import Clip, generator, pair, same
from tltm_graph.frame_pairs import (
    FlipPair,
    HallucinatedMotion,
    PairStream,
    ResizePair,
    StillPairs,
    VideoPairs,
)


class Numbers:
    """A source that gives the same pair for every start."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def pair(self, start, generator):
        return pair()


def places(stream: PairStream, first: int, last: int) -> list[tuple[int, int]]:
    return [stream.place(k) for k in range(first, last)]


def test_an_epoch_has_every_start_as_often_as_it_is_repeated():
    stream = PairStream([Numbers(7), Numbers(30)], repeat=[8, 1])
    assert len(stream) == 86
    for epoch in range(3):
        counts = Counter(places(stream, 86 * epoch, 86 * (epoch + 1)))
        assert counts == {**{(0, i): 8 for i in range(7)}, **{(1, i): 1 for i in range(30)}}


def test_fractional_factors_even_out():
    stream = PairStream([Numbers(10), Numbers(3)], repeat=[0.25, 1.5])
    assert len(stream) == 2 + 4
    counts = Counter(places(stream, 0, 6 * 5))
    assert [counts[0, i] for i in range(10)] == [1] * 10, "five epochs of two"
    counts = Counter(places(stream, 0, 6 * 2))
    assert {counts[1, i] for i in range(3)} == {2, 3}


def test_epochs_and_seeds_are_other_orders_and_sources_are_mixed():
    def order(seed, epoch):
        return tuple(places(PairStream([Numbers(40), Numbers(40)], seed=seed), 80 * epoch, 80 * epoch + 80))

    assert len({order(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9
    sources = [source for source, _ in order(0, 0)]
    assert 10 < sum(sources[:40]) < 30
    assert order(0, 0) != tuple(sorted(order(0, 0)))


def test_a_source_that_is_left_out():
    assert {source for source, _ in places(PairStream([Numbers(5), Numbers(5)], repeat=[0, 1]), 0, 20)} == {1}


def real_stream(seed=0):
    sources = [VideoPairs([Clip(9, size=(40, 60)), Clip(5, 100, size=(40, 60))]), StillPairs([Clip(4, 200, (40, 60))])]
    return PairStream(sources, [2, 1], [FlipPair(), ResizePair((30, 36), 60)], seed)


def test_an_item_is_a_function_of_seed_and_number():
    stream, again = real_stream(), real_stream()
    for k in (70, 3, 1000, 3):
        assert same(stream[k], again[k])
    assert any(not same(stream[k], real_stream(1)[k]) for k in range(3))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert stream[5] is not None
    assert torch.equal(torch.get_rng_state(), before), "the global state has no part in it"


@pytest.mark.parametrize("num_workers", [0, 2])
def test_workers_and_resuming_change_nothing(num_workers):
    stream = real_stream()

    def load(first, last, step=1):
        loader = DataLoader(
            stream, batch_size=2, sampler=range(first, last, step), collate_fn=list, num_workers=num_workers
        )
        return [p for batch in loader for p in batch]

    expected = [stream[k] for k in range(28, 36)]
    assert all(same(*both) for both in zip(load(28, 36), expected, strict=True))
    assert all(same(*both) for both in zip(load(32, 36), expected[4:], strict=True)), "resumed"
    assert all(same(*both) for both in zip(load(29, 36, 2), expected[1::2], strict=True)), "the second of two processes"


def test_transforms_come_in_order_with_one_generator():
    seen = []

    def note(name):
        def transform(pair, generator):
            seen.append((name, float(torch.rand((), generator=generator))))
            return pair

        return transform

    stream = PairStream([Numbers(3)], transforms=[note("a"), note("b")])
    stream[4], stream[4], stream[5]
    names, numbers = zip(*seen, strict=True)
    assert names == ("a", "b") * 3
    assert numbers[:2] == numbers[2:4]
    assert len({*numbers}) == 4


def test_it_has_no_end():
    assert len(list(islice(iter(PairStream([Numbers(2)])), 7))) == 7
    assert PairStream([Numbers(2)])[10**12] is not None


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="Expected pairs to learn from, got none in 0 sources"):
        PairStream([])
    with pytest.raises(ValueError, match="Expected pairs to learn from, got none in 1 sources"):
        PairStream([Numbers(5)], repeat=[0])
    for repeat in ([1], [1, -1], [1, float("inf")]):
        with pytest.raises(ValueError, match="Expected a factor of at least 0 for each of 2 sources"):
            PairStream([Numbers(5), Numbers(5)], repeat)
    with pytest.raises(IndexError, match="Expected items counted from 0, got -1"):
        PairStream([Numbers(5)])[-1]


def test_repr():
    stream = PairStream([VideoPairs([Clip(3)])], [8], [FlipPair()], seed=3)
    assert repr(stream) == (
        "PairStream([8 × VideoPairs(1 videos, 2 start frames, max_gap=3, wide_gap=20, wide_probability=0.1)], "
        "transforms=[FlipPair(probability=0.5)], seed=3)"
    )


def test_still_pairs_of_clips():
    source = StillPairs([Clip(2), Clip(1, 9)], HallucinatedMotion(brightness=0, hue_saturation=0, blur_probability=0))
    assert len(source) == 3
    assert [int(source.pair(i, generator()).previous_image[0, 0, 0]) for i in range(3)] == [0, 1, 9]
