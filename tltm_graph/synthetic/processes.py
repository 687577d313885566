"""Random processes over the frames of a video: correlated noise, jumps, lifetimes and on-off switches."""

import numpy as np


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Draw True with this probability."""
    return bool(rng.random() < probability)


def mixture(rng: np.random.Generator, *parts: tuple[float, float, float]) -> float:
    """Draw from a mixture of uniform distributions, each given as (probability, low, high)."""
    _, low, high = parts[rng.choice(len(parts), p=[probability for probability, _, _ in parts])]
    return float(rng.uniform(low, high))


def logistic(logits: np.ndarray) -> np.ndarray:
    """Convert log-odds to probabilities."""
    return 0.5 + 0.5 * np.tanh(logits / 2)  # does not overflow


def ornstein_uhlenbeck(rng: np.random.Generator, shape: tuple[int, ...], memory: float, deviation: float) -> np.ndarray:
    r"""Draw stationary Gaussian noise with exponentially decaying correlation.

    .. math:: x_t = a x_{t-1} + \sigma \sqrt{1 - a^2} \, \varepsilon_t, \quad a = e^{-1 / \tau}

    Args:
        rng: Source of the noise.
        shape: Shape (T, …) with frames first. The other axes are independent.
        memory: Correlation time :math:`\tau`, in frames.
        deviation: Standard deviation :math:`\sigma` of the value in any frame.
    """
    from scipy.signal import lfilter  # imported here: the import takes longer than most commands of tltm_graph

    decay = np.exp(-1 / max(memory, 1e-3))
    noise = deviation * rng.normal(size=shape)
    noise[1:] *= np.sqrt(1 - decay**2)
    return lfilter([1.0], [1.0, -decay], noise, axis=0) if len(noise) else noise


def jolts(rng: np.random.Generator, num_frames: int, deviation: tuple[float, ...]) -> np.ndarray:
    """Draw the displacements (T, D) of a camera that keeps each of one to five jumps. 85 % of cameras have no jump.

    Args:
        rng: Source of the jumps.
        num_frames: Number of frames T.
        deviation: Standard deviation of a jump along each axis, (D,).
    """
    moves = np.zeros((num_frames, len(deviation)))
    if num_frames > 1 and chance(rng, 0.15):
        when = rng.integers(1, num_frames, size=rng.integers(1, 6))
        np.add.at(moves, when, rng.normal(size=(len(when), len(deviation))) * deviation)
    return np.cumsum(moves, axis=0)


def lifetimes(rng: np.random.Generator, num_frames: int, num_objects: int) -> np.ndarray:
    """Draw the frames in which each object exists, bool (T, N).

    In 60 % of the worlds some objects begin late, each with a probability of 0 to 0.5, anywhere in the video. In 60 %
    some end early, each with a probability of 0 to 0.6, anywhere in the last five sixths.
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
    """Draw independent on-off switches, bool (T, N), True where off.

    Args:
        rng: Source of the switches.
        shape: Numbers of frames and switches (T, N).
        starts_off: Probability that a switch is off in the first frame.
        mean_on: Mean length of an "on" run, in frames; lengths have a geometric distribution.
        longest_off: Maximum length of an "off" run, in frames; lengths from 1 on are equally likely.
    """
    num_frames, num_switches = shape
    off_at_first = rng.random(num_switches) < starts_off
    off = (np.arange(num_frames)[:, None] + off_at_first) % 2 == 1  # (runs, N); no more runs than frames
    runs = np.where(off, rng.integers(1, longest_off + 1, size=shape), rng.geometric(1 / mean_on, size=shape))
    toggles = np.zeros((num_frames + 1, num_switches), dtype=int)
    toggles[np.minimum(np.cumsum(runs, axis=0), num_frames), np.arange(num_switches)] = 1  # the last row is a bin
    return (np.cumsum(toggles[:-1], axis=0) + off_at_first) % 2 == 1
