"""Patterns in two colours, for objects and for what only looks like them."""

import colorsys
from collections.abc import Callable

import numpy as np
from PIL import Image

Pattern = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""Share of the second colour, in [0, 1], at coordinates u and v in units of the pattern's period."""


def _edge(value: np.ndarray) -> np.ndarray:
    """A soft step at 0."""
    return np.clip(2 * value + 0.5, 0, 1)


def _stripes(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return _edge(np.sin(2 * np.pi * u) + 0 * v + random.uniform(-0.4, 0.4))


def _checks(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return _edge(np.sin(np.pi * u) * np.sin(np.pi * v))


def _dots(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return _edge(np.sin(np.pi * u) ** 2 + np.sin(np.pi * v) ** 2 - random.uniform(1.1, 1.5))


def _rings(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return _edge(np.sin(2 * np.pi * np.hypot(u, v) + random.uniform(0, 2 * np.pi)))


def _zigzag(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return _edge(np.sin(2 * np.pi * (u + np.abs(v % 1 - 0.5))))


def _clouds(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return np.clip(0.5 + 1.3 * smooth_noise(np.broadcast_shapes(u.shape, v.shape), 5, random), 0, 1)


def _spots(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return _edge(3 * smooth_noise(np.broadcast_shapes(u.shape, v.shape), 8, random))


def _plain(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return np.clip(0.25 + 0.1 * (u + v), 0, 1)


PATTERNS: tuple[Pattern, ...] = (_stripes, _checks, _dots, _rings, _zigzag, _clouds, _spots, _plain)


def smooth_noise(shape: tuple[int, ...], cells: int, random: np.random.Generator) -> np.ndarray:
    """Noise that changes over about a ``cells``-th of the shorter side, mean 0, most of it in [-0.5, 0.5], (H, W)."""
    height, width = shape
    across = cells / min(shape)
    grid = (max(2, round(height * across)), max(2, round(width * across)))
    coarse = Image.fromarray(random.uniform(-0.5, 0.5, grid).astype(np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def colour(random: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> np.ndarray:
    """A colour of any hue, (3,) in [0, 255]."""
    return 255 * np.array(colorsys.hsv_to_rgb(random.random(), random.uniform(*saturation), random.uniform(*value)))


def colour_pair(random: np.random.Generator) -> np.ndarray:
    """A bright and a dark colour in random order, (2, 3) in [0, 255]."""
    pair = np.stack([colour(random, (0.3, 1.0), (0.75, 1.0)), colour(random, (0.3, 1.0), (0.15, 0.5))])
    return pair[random.permutation(2)]


def texture(side: int, random: np.random.Generator, colours: np.ndarray) -> Image.Image:
    """A square of one pattern, a little darker towards its rim, which makes an object look round.

    Args:
        side: Its side in pixels; it spans four units of an outline.
        random: Of the pattern, its period and its direction.
        colours: (2, 3) in [0, 255].
    """
    v, u = np.mgrid[-2 : 2 : side * 1j, -2 : 2 : side * 1j].astype(np.float32)
    pattern = PATTERNS[random.integers(len(PATTERNS))]
    angle, period = random.uniform(0, 2 * np.pi), random.uniform(0.35, 0.7)
    cos, sin = np.cos(angle) / period, np.sin(angle) / period
    weight = pattern(cos * u + sin * v, cos * v - sin * u, random)[..., None]
    shade = np.clip(1.1 - 0.3 * (u * u + v * v), 0.6, 1)[..., None]
    return Image.fromarray(np.clip((colours[0] + weight * (colours[1] - colours[0])) * shade, 0, 255).astype(np.uint8))
