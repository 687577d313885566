"""Reproducible sampling: random numbers from explicit generators, shuffled orders, and repeat factors."""

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import torch
from torch.utils.data import Sampler

from tltm_graph.frame_pairs.annotated_video import AnnotatedVideo

_ROUNDS = 6


def hash_integers(*numbers: int) -> int:
    """Hash integers to one from 0 to 2⁶³ - 1, the same on every machine."""
    text = ",".join(map(str, numbers)).encode("ascii")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 1


def seeded_generator(*numbers: int) -> torch.Generator:
    """Make the generator that belongs to these integers, such as (seed, index)."""
    return torch.Generator().manual_seed(hash_integers(*numbers))


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """Draw a number from [low, high)."""
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def integer(generator: torch.Generator, low: int, high: int) -> int:
    """Draw an integer from ``low`` to ``high``, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def chance(generator: torch.Generator, probability: float) -> bool:
    """Draw True with this probability. One number is always drawn, so that later draws do not depend on it."""
    return uniform(generator, 0.0, 1.0) < probability


class Permutation(Sampler[int]):
    """Shuffled order of 0, …, size - 1 that computes each element directly and stores nothing.

    A Feistel network permutes the numbers of an even number of bits for any round function; here that is a hash of the
    key. A number beyond ``size`` is permuted again until it is within, fewer than four times on average ("cycle
    walking", Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002).

    Args:
        size: Length, at least 1.
        key: Integers that identify this order.
    """

    def __init__(self, size: int, *key: int) -> None:
        if size < 1:
            raise ValueError(f"Expected at least 1 element to shuffle, got {size}")
        self.size = size
        self._half_bits = max(1, ((size - 1).bit_length() + 1) // 2)
        self._keys = [hash_integers(*key, number) for number in range(_ROUNDS)]

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        return (self[index] for index in range(self.size))

    def __getitem__(self, index: int) -> int:
        """Return the element at ``index``."""
        if not 0 <= index < self.size:
            raise IndexError(f"Expected an index from 0 to {self.size - 1}, got {index}")
        value = self._permuted(index)
        while value >= self.size:
            value = self._permuted(value)
        return value

    def _permuted(self, value: int) -> int:
        mask = (1 << self._half_bits) - 1
        left, right = value >> self._half_bits, value & mask
        for key in self._keys:
            left, right = right, left ^ (hash_integers(key, right) & mask)
        return left << self._half_bits | right

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size})"


def group_by_repeat_factor(
    videos: Sequence[AnnotatedVideo], labels: Sequence[Collection[int]], threshold: float
) -> dict[float, list[AnnotatedVideo]]:
    r"""Group videos by repeat factor, to sample rare classes more often (LVIS, arXiv 1908.03195).

    A class :math:`c` in a fraction :math:`f(c)` of the videos, and a video :math:`v`, have the factors

    .. math:: r(c) = \max(1, \sqrt{t / f(c)}), \quad r(v) = \max_{c \in v} r(c).

    Each group becomes one source of a stream::

        groups = group_by_repeat_factor(videos, labels, threshold=0.05)
        stream = PairStream([VideoPairs(group) for group in groups.values()], repeat=list(groups))

    Args:
        videos: Videos or still images.
        labels: Classes of each video.
        threshold: Fraction t, above 0. Classes in a smaller fraction of the videos are sampled more often.

    Returns:
        Videos by factor, in increasing order; videos without objects have factor 1.

    Raises:
        ValueError: If the numbers of videos and labels differ, or the threshold is not above 0.
    """
    if len(videos) != len(labels):
        raise ValueError(f"Expected labels for each of {len(videos)} videos, got {len(labels)}")
    if not threshold > 0:
        raise ValueError(f"Expected a threshold above 0, got {threshold}")
    counts = Counter(label for classes in labels for label in set(classes))
    factors = {label: max(1.0, math.sqrt(threshold * len(videos) / count)) for label, count in counts.items()}
    groups: dict[float, list[AnnotatedVideo]] = {}
    for video, classes in zip(videos, labels, strict=True):
        groups.setdefault(max((factors[label] for label in classes), default=1.0), []).append(video)
    return dict(sorted(groups.items()))
