"""Difficulty of rendered scenes, and the presets of the benchmark."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Difficulty:
    """Settings that make a rendered scene hard.

    Lengths are fractions of the shorter side of the picture, so that a scene looks the same at any size. Times are in
    ticks of the camera: one tick is one frame unless frames are dropped.

    Args:
        objects: Minimum and maximum number of objects in a scene of :func:`moving_shapes`.
        look_alikes: Probability that an object copies the class, colours, texture and size of another one.
        meetings: Probability that the next waypoint of an object is the position that another object, its look-alike if
            it has one, will have at that time.
        stride: Minimum and maximum time between two waypoints of an object.
        leaves: Probability that the next waypoint of an object is outside the picture.
        absence: Minimum and maximum time until an object that left enters again, at another position.
        approach: Maximum growth or shrinkage of an object, as the logarithm of the factor.
        wobble: Maximum deformation of an outline, as a fraction of its radius.
        squeeze: Maximum stretch of one axis of an object, as the logarithm of the factor.
        spin: Maximum angular speed of an object, in radians per tick.
        pan: Maximum distance of the camera from the middle of the world.
        zoom: Maximum zoom, as the logarithm of the factor.
        whips: Probability that the next camera move takes only a few ticks.
        exposure: Fraction of a tick that the shutter is open: the length of motion blur.
        drops: Probability that ticks are dropped before a frame.
        longest_drop: Maximum number of ticks dropped at once.
        bursts: Probability that a burst of degraded frames begins, once three clean frames have passed.
        shake: Maximum radius of the camera shake in a burst.
        defocus: Maximum standard deviation of the blur in a burst.
        noise: Maximum standard deviation of the noise in a burst, in grey levels.
        lighting: Maximum change of exposure in a burst, as the logarithm of the factor.
        grain: Standard deviation of the noise in every frame, in grey levels.
        clutter: Number of background patches that have the textures of objects but the outline of no class.
        camouflage: Colourfulness of the background, from 0 (pale) to 1 (as colourful as the objects).
    """

    objects: tuple[int, int]
    look_alikes: float
    meetings: float
    stride: tuple[float, float]
    leaves: float
    absence: tuple[float, float]
    approach: float
    wobble: float
    squeeze: float
    spin: float
    pan: float
    zoom: float
    whips: float
    exposure: float
    drops: float
    longest_drop: int
    bursts: float
    shake: float
    defocus: float
    noise: float
    lighting: float
    grain: float
    clutter: int
    camouflage: float


_PRESETS: dict[str, tuple[Any, Any, Any]] = {  # easy, standard, hard
    "objects": ((2, 5), (3, 8), (4, 8)),
    "look_alikes": (0.25, 0.5, 0.75),
    "meetings": (0.15, 0.45, 0.5),
    "stride": ((30, 60), (10, 32), (8, 24)),
    "leaves": (0.15, 0.4, 0.3),
    "absence": ((5, 30), (4, 30), (5, 60)),
    "approach": (0.15, 0.35, 0.5),
    "wobble": (0.06, 0.12, 0.18),
    "squeeze": (0.1, 0.2, 0.28),
    "spin": (0.03, 0.08, 0.14),
    "pan": (0.1, 0.25, 0.4),
    "zoom": (0.05, 0.2, 0.3),
    "whips": (0.0, 0.3, 0.4),
    "exposure": (0.25, 0.5, 0.8),
    "drops": (0.0, 0.08, 0.12),
    "longest_drop": (0, 5, 8),
    "bursts": (0.03, 0.1, 0.2),
    "shake": (0.01, 0.04, 0.06),
    "defocus": (0.008, 0.018, 0.024),
    "noise": (15.0, 35.0, 55.0),
    "lighting": (0.3, 0.8, 1.2),
    "grain": (2.0, 4.0, 8.0),
    "clutter": (4, 14, 28),
    "camouflage": (0.0, 0.5, 0.9),
}

EASY, STANDARD, HARD = (Difficulty(**{name: values[k] for name, values in _PRESETS.items()}) for k in range(3))

DIFFICULTIES = {"easy": EASY, "standard": STANDARD, "hard": HARD}
"""The presets by name. They never change, because published scores are compared on them.

- **easy:** few objects that move slowly in front of a calm background
- **standard:** all difficulties of real videos, at a moderate level
- **hard:** all difficulties of real videos, at a high level
"""
