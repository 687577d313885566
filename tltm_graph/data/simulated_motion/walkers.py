from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Walkers:
    """What moves over the ground.

    Args:
        x: To the right, in metres (T, N).
        z: Ahead, in metres (T, N).
        heading: Where each is going, in radians (T, N): 0 is to the right, a quarter turn is ahead.
        speed: In metres a second, on the whole (N,).
    """

    x: np.ndarray
    z: np.ndarray
    heading: np.ndarray
    speed: np.ndarray
