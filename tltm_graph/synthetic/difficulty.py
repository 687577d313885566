from dataclasses import dataclass


@dataclass(frozen=True)
class Difficulty:
    """What makes a rendered scene hard, and how much of it there is.

    Lengths are shares of the shorter side of the picture, so that a scene looks the same at any size; times are in
    ticks of the camera, which are frames unless frames are dropped.

    Args:
        objects: Fewest and most objects of a scene of :func:`moving_shapes`.
        look_alikes: Probability that an object has the class, colours, texture and size of another one.
        meetings: Probability that an object's next waypoint is where another one, its look-alike if it has one, will
            be at that time.
        stride: Shortest and longest time between two waypoints of an object.
        leaves: Probability that its next waypoint is outside the picture.
        absence: Shortest and longest time until it comes in again, at another place.
        approach: How much larger or smaller it becomes, as the logarithm of the factor.
        wobble: How far its outline moves, at most, as a share of its radius.
        squeeze: How much longer one of its axes becomes, as the logarithm of the factor.
        spin: Fastest turning, in radians a tick.
        pan: How far the camera looks away from the middle.
        zoom: How much it zooms, as the logarithm of the factor.
        whips: Probability that its next move is one of a few ticks.
        exposure: Share of a tick that the shutter is open: the length of motion blur.
        drops: Probability that ticks are lost before a frame.
        longest_drop: Most ticks that are lost at once.
        bursts: Probability that a burst of degraded frames begins, once three clean ones have passed.
        shake: Bursts: radius of the shaking.
        defocus: Bursts: standard deviation of the blur.
        noise: Bursts: standard deviation of the noise, in grey levels.
        lighting: Bursts: change of exposure, as the logarithm of the factor.
        grain: Standard deviation of the noise that is always there, in grey levels.
        clutter: Patches on the background that look like the objects' surfaces but are nothing.
        camouflage: 0: a pale background, 1: one as colourful as the objects.
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


EASY = Difficulty(
    objects=(2, 5),
    look_alikes=0.25,
    meetings=0.15,
    stride=(30, 60),
    leaves=0.15,
    absence=(5, 30),
    approach=0.15,
    wobble=0.06,
    squeeze=0.1,
    spin=0.03,
    pan=0.1,
    zoom=0.05,
    whips=0.0,
    exposure=0.25,
    drops=0.0,
    longest_drop=0,
    bursts=0.03,
    shake=0.01,
    defocus=0.008,
    noise=15.0,
    lighting=0.3,
    grain=2.0,
    clutter=4,
    camouflage=0.0,
)
"""Few objects that move slowly before a calm background."""

STANDARD = Difficulty(
    objects=(3, 8),
    look_alikes=0.5,
    meetings=0.45,
    stride=(10, 32),
    leaves=0.4,
    absence=(4, 30),
    approach=0.35,
    wobble=0.12,
    squeeze=0.2,
    spin=0.08,
    pan=0.25,
    zoom=0.2,
    whips=0.3,
    exposure=0.5,
    drops=0.08,
    longest_drop=5,
    bursts=0.1,
    shake=0.04,
    defocus=0.018,
    noise=35.0,
    lighting=0.8,
    grain=4.0,
    clutter=14,
    camouflage=0.5,
)
"""Everything that makes real videos hard, in moderation."""

HARD = Difficulty(
    objects=(4, 8),
    look_alikes=0.75,
    meetings=0.5,
    stride=(8, 24),
    leaves=0.3,
    absence=(5, 60),
    approach=0.5,
    wobble=0.18,
    squeeze=0.28,
    spin=0.14,
    pan=0.4,
    zoom=0.3,
    whips=0.4,
    exposure=0.8,
    drops=0.12,
    longest_drop=8,
    bursts=0.2,
    shake=0.06,
    defocus=0.024,
    noise=55.0,
    lighting=1.2,
    grain=8.0,
    clutter=28,
    camouflage=0.9,
)
"""All of it strongly."""

DIFFICULTIES = {"easy": EASY, "standard": STANDARD, "hard": HARD}
"""The presets by name, for command lines. They never change: scores on them are compared."""
