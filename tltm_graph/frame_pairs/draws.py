"""Random numbers, all from a generator that is passed in: never from the global state."""

import hashlib

import torch


def seeded(*numbers: int) -> torch.Generator:
    """A generator for whatever ``numbers`` name, such as (seed, index): the same everywhere, unlike all others."""
    return torch.Generator().manual_seed(mixed(*numbers))


def mixed(*numbers: int) -> int:
    """A hash of whole numbers, from 0 to 2⁶³ - 1; neighbours have nothing in common."""
    text = ",".join(map(str, numbers)).encode("ascii")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 1


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """A number from [low, high)."""
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def integer(generator: torch.Generator, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def chance(generator: torch.Generator, probability: float) -> bool:
    """True as often as ``probability`` says. Always draws, so that what is drawn later does not depend on it."""
    return uniform(generator, 0.0, 1.0) < probability
