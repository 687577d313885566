"""What a few frames in a row suffer from while the ones before are clean."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageFilter

from tltm_graph.synthetic.difficulty import Difficulty


@dataclass(frozen=True)
class Shake:
    """The camera is knocked and goes round: the picture jumps and smears.

    Args:
        radius: Of the circle, as a share of the shorter side.
        phase: Where on it, in radians.
    """

    radius: float
    phase: float

    def offset(self, tick: float) -> np.ndarray:
        """Of the camera, (2,)."""
        angle = 2.3 * tick + self.phase  # radians: a frame lands far from the one before
        return self.radius * np.array([np.cos(angle), np.sin(angle)])

    def speed(self, tick: float) -> np.ndarray:
        """Its change a tick, (2,)."""
        angle = 2.3 * tick + self.phase
        return 2.3 * self.radius * np.array([-np.sin(angle), np.cos(angle)])


@dataclass(frozen=True)
class Defocus:
    """The lens hunts.

    Args:
        deviation: Of the blur, as a share of the shorter side.
    """

    deviation: float


@dataclass(frozen=True)
class Noise:
    """The sensor is starved of light.

    Args:
        deviation: In grey levels.
    """

    deviation: float


@dataclass(frozen=True)
class Lighting:
    """A flash or a shadow, from one side and in a colour of its own.

    Args:
        gain: Logarithm of the factor, of each channel (3,).
        slope: Change of it across the picture, along x and y (2,).
    """

    gain: tuple[float, float, float]
    slope: tuple[float, float]


Burst = Shake | Defocus | Noise | Lighting


def draw_burst(difficulty: Difficulty, random: np.random.Generator) -> Burst:
    """One of the four, between six tenths of its full strength and all of it."""
    strength = random.uniform(0.6, 1.0)
    kind = random.integers(4)
    if kind == 0:
        return Shake(strength * difficulty.shake, random.uniform(0, 2 * np.pi))
    if kind == 1:
        return Defocus(strength * difficulty.defocus)
    if kind == 2:
        return Noise(strength * difficulty.noise)
    light = strength * difficulty.lighting
    gain = light * random.choice([-1.0, 0.8]) + light * random.uniform(-0.2, 0.2, 3)
    slope = light * random.uniform(-0.6, 0.6, 2)
    return Lighting(tuple(gain.tolist()), tuple(slope.tolist()))


def spoil(pixels: np.ndarray, burst: Burst | None, grain: float, random: np.random.Generator) -> np.ndarray:
    """What the lens and the sensor make of a picture.

    Args:
        pixels: RGB, uint8 (H, W, 3).
        burst: What goes wrong; shaking has happened already.
        grain: Standard deviation of the noise that is always there, in grey levels.
        random: Of the noise.

    Returns:
        RGB, uint8 (H, W, 3).
    """
    if isinstance(burst, Defocus):
        blur = ImageFilter.GaussianBlur(burst.deviation * min(pixels.shape[:2]))
        pixels = np.asarray(Image.fromarray(pixels).filter(blur))
    if isinstance(burst, Lighting):
        pixels = _relight(pixels, burst)
    deviation = np.hypot(grain, burst.deviation) if isinstance(burst, Noise) else grain
    return _add_noise(pixels, float(deviation), random)


def _relight(pixels: np.ndarray, light: Lighting) -> np.ndarray:
    height, width = pixels.shape[:2]
    x = np.exp(light.slope[0] * np.linspace(-1, 1, width, dtype=np.float32))
    y = np.exp(light.slope[1] * np.linspace(-1, 1, height, dtype=np.float32))
    gain = (x[:, None] * np.exp(np.array(light.gain, dtype=np.float32))).ravel()  # (W · 3,)
    lit = pixels.reshape(height, width * 3) * gain
    lit *= y[:, None]
    return np.minimum(lit, 255, out=lit).astype(np.uint8).reshape(pixels.shape)


def _add_noise(pixels: np.ndarray, deviation: float, random: np.random.Generator) -> np.ndarray:
    values = _normal_numbers()
    begin = int(random.integers(len(values)))
    noise = values[begin : begin + pixels.size]
    if len(noise) < pixels.size:
        noise = values.take(np.arange(begin, begin + pixels.size), mode="wrap")
    noisy = noise * np.int16(round(2 * deviation))  # int16 holds deviations of up to 128
    noisy >>= 6
    noisy += pixels.reshape(-1)
    return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8).reshape(pixels.shape)


@cache
def _normal_numbers() -> np.ndarray:
    """A million of them, times 32, int16: drawing new ones for each frame would take longer than painting it."""
    return np.clip(np.random.default_rng(0).normal(0, 32, 1 << 20), -127, 127).astype(np.int16)
