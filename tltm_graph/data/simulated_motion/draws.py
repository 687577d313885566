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
