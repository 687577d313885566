import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import accumulate

import torch
from torch.utils.data import Dataset

from tltm_graph.frame_pairs.annotated_video import AnnotatedVideo
from tltm_graph.frame_pairs.datasets import PairSource
from tltm_graph.frame_pairs.draws import mixed, seeded
from tltm_graph.structures import FramePair

_ROUNDS = 6


class Permutation:
    """A shuffled order of 0, …, size - 1, of which any element is computed by itself: nothing is stored.

    A Feistel network permutes the numbers of an even number of bits, whatever its round function is; here that is a
    hash of the key. What lies beyond ``size`` is permuted again until it does not, fewer than four times on average
    ("cycle walking", Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002).

    Args:
        size: Length, at least 1.
        key: Whole numbers that name this order among all.
    """

    def __init__(self, size: int, *key: int) -> None:
        if size < 1:
            raise ValueError(f"Expected at least 1 element to shuffle, got {size}")
        self.size = size
        self._half = max(1, ((size - 1).bit_length() + 1) // 2)  # bits
        self._keys = [mixed(*key, number) for number in range(_ROUNDS)]

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        """The element at ``index``."""
        if not 0 <= index < self.size:
            raise IndexError(f"Expected an index from 0 to {self.size - 1}, got {index}")
        value = self._permuted(index)
        while value >= self.size:
            value = self._permuted(value)
        return value

    def _permuted(self, value: int) -> int:
        mask = (1 << self._half) - 1
        left, right = value >> self._half, value & mask
        for key in self._keys:
            left, right = right, left ^ (mixed(key, right) & mask)
        return left << self._half | right

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size})"


def group_by_repeat_factor(
    videos: Sequence[AnnotatedVideo], labels: Sequence[Collection[int]], threshold: float
) -> dict[float, list[AnnotatedVideo]]:
    r"""Videos by how often they should be seen, so that rare classes are not forgotten (LVIS, arXiv 1908.03195).

    Of a class :math:`c` that a share :math:`f(c)` of the videos shows, and of a video :math:`v`, the factors are

    .. math:: r(c) = \max(1, \sqrt{t / f(c)}), \quad r(v) = \max_{c \in v} r(c).

    Each group is a source of its own::

        groups = group_by_repeat_factor(videos, labels, threshold=0.05)
        stream = PairStream([VideoPairs(group) for group in groups.values()], repeat=list(groups))

    Args:
        videos: Videos or still images.
        labels: The classes that each of them shows.
        threshold: The share t, above 0. Classes in fewer videos are seen more often.

    Returns:
        Videos by factor, the least first; those without objects have factor 1.

    Raises:
        ValueError: If there are not labels for each video, or the threshold is not above 0.
    """
    if len(videos) != len(labels):
        raise ValueError(f"Expected labels for each of {len(videos)} videos, got {len(labels)}")
    if not threshold > 0:
        raise ValueError(f"Expected a threshold above 0, got {threshold}")
    counts = Counter(label for shown in labels for label in set(shown))
    factors = {label: max(1.0, math.sqrt(threshold * len(videos) / count)) for label, count in counts.items()}
    groups: dict[float, list[AnnotatedVideo]] = {}
    for video, shown in zip(videos, labels, strict=True):
        groups.setdefault(max((factors[label] for label in shown), default=1.0), []).append(video)
    return dict(sorted(groups.items()))


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
