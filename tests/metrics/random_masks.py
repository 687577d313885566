"""Masks of every awkward kind, for comparisons with an oracle."""

import numpy as np
from hypothesis import strategies as st


def random_mask(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Empty, full, noise, a rectangle (often at the edge of the frame), or a disk partly outside."""
    y, x = np.ogrid[:height, :width]
    kind = rng.integers(5)
    if kind == 0:
        return np.zeros((height, width), dtype=bool)
    if kind == 1:
        return np.ones((height, width), dtype=bool)
    if kind == 2:
        return rng.random((height, width)) < rng.random()
    if kind == 3:
        top, bottom = np.sort(rng.integers(0, height + 1, 2))
        left, right = np.sort(rng.integers(0, width + 1, 2))
        return (y >= top) & (y < bottom) & (x >= left) & (x < right)
    centre_y, centre_x, radius = rng.random(3) * (height, width, max(height, width) / 2)
    return (y - centre_y) ** 2 + (x - centre_x) ** 2 <= radius**2


def random_masks(rng: np.random.Generator, num: int, height: int, width: int) -> np.ndarray:
    """Masks of one frame, bool (N, H, W)."""
    return np.array([random_mask(rng, height, width) for _ in range(num)], dtype=bool).reshape(num, height, width)


def flattened(masks: np.ndarray, ids: list[int]) -> np.ndarray:
    """A label map of masks (N, H, W); later ones lie on top."""
    pixels = np.zeros(masks.shape[1:], dtype=np.uint16)
    for mask, object_id in zip(masks, ids, strict=True):
        pixels[mask] = object_id
    return pixels


def sizes() -> st.SearchStrategy[tuple[int, int]]:
    """Height and width, with those at which a word of 64 pixels ends."""
    side = st.one_of(st.integers(2, 140), st.sampled_from([63, 64, 65, 128]))
    return st.tuples(side, side)


def generators() -> st.SearchStrategy[np.random.Generator]:
    """Sources of random masks."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)
