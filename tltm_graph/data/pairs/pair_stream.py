from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch.utils.data import Dataset

from tltm_graph.data.pairs.draws import seeded
from tltm_graph.data.pairs.pair_source import PairSource
from tltm_graph.data.pairs.permutation import Permutation
from tltm_graph.structures import FramePair

PairTransform = Callable[[FramePair, torch.Generator], FramePair]
"""Changes a pair, with random numbers from the generator."""

_EPOCH, _PASS, _ITEM = range(3)  # what a seed is for: the same numbers must not name two things


class PairStream(Dataset[FramePair]):
    """An endless shuffled order of the pairs of several sources, any item of which is computed by itself.

    Item k is a function of (seed, k) alone, whatever asks for it: any number of workers, any process of a distributed
    run, a run that was resumed. Give a loader the numbers it shall load, those of a process being every
    ``num_processes``-th::

        DataLoader(stream, batch_size=2, sampler=range(first, last), collate_fn=list, num_workers=4)

    An epoch draws ``repeat`` × length pairs from each source, in shuffled order. A source is gone through again and
    again, each time in another order and to its end, and the next epoch goes on where this one stopped. So after any
    number of epochs, and with fractional factors too, no start frame of a source was drawn more than once more often
    than another.

    Args:
        sources: Where pairs come from.
        repeat: How often each source is gone through in an epoch, at least 0; once by default. The released code of
            arXiv 2210.16795 has 8 for videos and 1 for images.
        transforms: Applied to every pair, in this order.
        seed: Names this order among all.

    Raises:
        ValueError: If there are no sources or no pairs, or not one factor for each source.
    """

    def __init__(
        self,
        sources: Sequence[PairSource],
        repeat: Sequence[float] | None = None,
        transforms: Sequence[PairTransform] = (),
        seed: int = 0,
    ) -> None:
        self.sources = tuple(sources)
        self.repeat = (1.0,) * len(self.sources) if repeat is None else tuple(repeat)
        self.transforms = tuple(transforms)
        self.seed = seed
        if len(self.repeat) != len(self.sources) or not all(0 <= factor < float("inf") for factor in self.repeat):
            raise ValueError(
                f"Expected a factor of at least 0 for each of {len(self.sources)} sources, got {self.repeat}"
            )
        counts = [round(factor * len(source)) for factor, source in zip(self.repeat, self.sources, strict=True)]
        self._ends = list(accumulate(counts))
        if not len(self):
            raise ValueError(f"Expected pairs to learn from, got none in {len(self.sources)} sources: {self.sources}")

    def __len__(self) -> int:
        """Pairs of one epoch; items go on beyond."""
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> FramePair:
        """Item number ``index`` ≥ 0 of the endless order."""
        source, start = self.place(index)
        generator = seeded(self.seed, _ITEM, index)
        pair = self.sources[source].pair(start, generator)
        for transform in self.transforms:
            pair = transform(pair, generator)
        return pair

    def place(self, index: int) -> tuple[int, int]:
        """Number of the source and of the start frame of an item.

        Raises:
            IndexError: If ``index`` is negative.
        """
        if index < 0:
            raise IndexError(f"Expected items counted from 0, got {index}")
        epoch, position = divmod(index, len(self))
        slot = Permutation(len(self), self.seed, _EPOCH, epoch)[position]
        number = bisect_right(self._ends, slot)
        begin = self._ends[number - 1] if number else 0
        drawn = epoch * (self._ends[number] - begin) + slot - begin  # from this source, in slots of its own
        length = len(self.sources[number])
        lap, place = divmod(drawn, length)
        return number, Permutation(length, self.seed, _PASS, number, lap)[place]

    def __repr__(self) -> str:
        parts = ", ".join(f"{factor:g} × {source!r}" for factor, source in zip(self.repeat, self.sources, strict=True))
        return f"{type(self).__name__}([{parts}], transforms={list(self.transforms)}, seed={self.seed})"
