"""What changes at random from frame to frame: noise with a memory, knocks, lives, and coming and going."""

import numpy as np


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with ``probability``."""
    return bool(rng.random() < probability)


def mixture(rng: np.random.Generator, *parts: tuple[float, float, float]) -> float:
    """One draw from a mixture of uniform distributions, each given as (probability, low, high)."""
    _, low, high = parts[rng.choice(len(parts), p=[probability for probability, _, _ in parts])]
    return float(rng.uniform(low, high))


def logistic(logits: np.ndarray) -> np.ndarray:
    """Log-odds as probabilities."""
    return 0.5 + 0.5 * np.tanh(logits / 2)  # does not overflow


def ornstein_uhlenbeck(rng: np.random.Generator, shape: tuple[int, ...], memory: float, deviation: float) -> np.ndarray:
    r"""Stationary Gaussian noise whose correlation fades exponentially.

    .. math:: x_t = a x_{t-1} + \sigma \sqrt{1 - a^2} \, \varepsilon_t, \quad a = e^{-1 / \tau}

    Args:
        rng: Of the noise.
        shape: (T, …), frames first. Everything else is independent.
        memory: :math:`\tau`, in frames.
        deviation: :math:`\sigma`, of the value in any frame.
    """
    from scipy.signal import lfilter  # here, since it takes longer to import than most uses of tltm_graph last

    kept = np.exp(-1 / max(memory, 1e-3))
    noise = deviation * rng.normal(size=shape)
    noise[1:] *= np.sqrt(1 - kept**2)
    return lfilter([1.0], [1.0, -kept], noise, axis=0) if len(noise) else noise


def jolts(rng: np.random.Generator, num_frames: int, deviation: tuple[float, ...]) -> np.ndarray:
    """A camera that stays where one to five knocks leave it, (T, D): in 85 of 100 cases there are none.

    Args:
        rng: Of the knocks.
        num_frames: T.
        deviation: Of the way that a knock moves it, (D,).
    """
    moves = np.zeros((num_frames, len(deviation)))
    if num_frames > 1 and chance(rng, 0.15):
        when = rng.integers(1, num_frames, size=rng.integers(1, 6))
        np.add.at(moves, when, rng.normal(size=(len(when), len(deviation))) * deviation)
    return np.cumsum(moves, axis=0)


def lifetimes(rng: np.random.Generator, num_frames: int, num_objects: int) -> np.ndarray:
    """Which objects exist in which frame, bool (T, N): some begin late in six of ten worlds, some end early in as many.

    Each begins late with a probability of up to a half, anywhere in the video, and ends early with one of up to 0.6,
    anywhere in its last five sixths.
    """
    begins, ends = np.zeros(num_objects), np.full(num_objects, float(num_frames))
    if chance(rng, 0.6):
        late = rng.random(num_objects) < rng.uniform(0, 0.5)
        begins[late] = np.floor(rng.uniform(0, num_frames, late.sum()))
    if chance(rng, 0.6):
        early = rng.random(num_objects) < rng.uniform(0, 0.6)
        ends[early] = np.floor(rng.uniform(num_frames // 6, num_frames, early.sum()))
    frames = np.arange(num_frames)[:, None]
    return (begins <= frames) & (frames < ends)


def alternating(
    rng: np.random.Generator, shape: tuple[int, int], starts_off: float, mean_on: float, longest_off: int
) -> np.ndarray:
    """Switches that go on and off by themselves, bool (T, N): true where off.

    Args:
        rng: Of the switches.
        shape: (T, N).
        starts_off: Probability to be off at first.
        mean_on: Mean of the geometric distribution of how many frames one stays on.
        longest_off: Most frames it stays off; every number from one on is as likely.
    """
    num_frames, num_objects = shape
    off_at_first = rng.random(num_objects) < starts_off
    off = (np.arange(num_frames)[:, None] + off_at_first) % 2 == 1  # (runs, N); no more runs than frames
    runs = np.where(off, rng.integers(1, longest_off + 1, size=shape), rng.geometric(1 / mean_on, size=shape))
    switches = np.zeros((num_frames + 1, num_objects), dtype=int)
    switches[np.minimum(np.cumsum(runs, axis=0), num_frames), np.arange(num_objects)] = 1  # the last row is a bin
    return (np.cumsum(switches[:-1], axis=0) + off_at_first) % 2 == 1
