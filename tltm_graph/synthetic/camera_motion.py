"""A pinhole camera above a ground plane, and the ways it moves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tltm_graph.synthetic.processes import jolts, mixture, ornstein_uhlenbeck

_NEAREST = 0.3  # m: nothing is projected as if it were nearer


class Movement(NamedTuple):
    """How a camera turns to the right and down, in radians, and goes ahead, in metres; each (T,)."""

    yaw: np.ndarray
    pitch: np.ndarray
    forward: np.ndarray


class Standing(NamedTuple):
    """Upright things in the picture: column of the middle, rows of top and bottom, distance in metres; each (T, N)."""

    middle: np.ndarray
    top: np.ndarray
    bottom: np.ndarray
    depth: np.ndarray


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera that moves along a straight line and turns.

    Ground positions are x to the right of that line and z along it, in metres.

    Args:
        size: Height and width of the picture in pixels; its middle is on the optical axis.
        focal: Focal length in pixels.
        height: Metres above the ground.
        movement: Where it is and looks, frame by frame; a pitch of 0 looks at the horizon.
    """

    size: tuple[int, int]
    focal: float
    height: float
    movement: Movement

    @property
    def travelled(self) -> float:
        """Metres from the first frame to the last."""
        return float(self.movement.forward.max(initial=0))

    def project(self, x: np.ndarray, z: np.ndarray, tall: np.ndarray) -> Standing:
        """Upright things in the picture.

        Args:
            x: Where they stand, to the right (T, N) or (N,).
            z: Where they stand, ahead (T, N) or (N,).
            tall: Their heights in metres (N,).
        """
        yaw, pitch, forward = (angle[:, None] for angle in self.movement)
        ahead = z - forward
        right, ahead = np.cos(yaw) * x - np.sin(yaw) * ahead, np.sin(yaw) * x + np.cos(yaw) * ahead
        depth, bottom = self._row(ahead, pitch, self.height)
        _, top = self._row(ahead, pitch, self.height - tall)
        return Standing(self.size[1] / 2 + right * self.pixels_per_metre(depth), top, bottom, depth)

    def _row(self, ahead: np.ndarray, pitch: np.ndarray, below: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance and row of points so many metres ahead of the camera and below it."""
        depth = np.cos(pitch) * ahead + np.sin(pitch) * below
        down = np.cos(pitch) * below - np.sin(pitch) * ahead
        return depth, self.size[0] / 2 + down * self.pixels_per_metre(depth)

    def pixels_per_metre(self, depth: np.ndarray) -> np.ndarray:
        """The scale of what is so many metres away."""
        return self.focal / np.maximum(depth, _NEAREST)

    def scatter(
        self, rng: np.random.Generator, count: int, depths: tuple[float, float], reach: float, nearest: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ground positions x and z, each (N,), in front of where the camera comes along.

        Args:
            rng: Of the positions.
            count: N.
            depths: Least and greatest distance in metres.
            reach: How far to the sides: at 1 as far as a camera sees that stands somewhere on the way.
            nearest: Positions nearer to that camera, in metres, are as far to the sides as these.
        """
        z = rng.uniform(*depths, count) + self.travelled * rng.random(count)
        seen_from = self.travelled * rng.random(count)
        side = np.maximum(nearest, z - seen_from) * (self.size[1] / 2 / self.focal)
        return rng.uniform(-reach, reach, count) * side, z


def stand(rng: np.random.Generator, num_frames: int, fps: float) -> Movement:
    """It does not move."""
    return Movement(*np.zeros((3, num_frames)))


def pan(rng: np.random.Generator, num_frames: int, fps: float) -> Movement:
    """It looks to and fro: up to 3 to 29 degrees, every 2.5 to 20 seconds."""
    swing = rng.uniform(0.05, 0.4) * np.arange(num_frames) / fps + rng.random()
    return stand(rng, num_frames, fps)._replace(yaw=rng.uniform(0.05, 0.5) * np.sin(2 * np.pi * swing))


def shake(rng: np.random.Generator, num_frames: int, fps: float) -> Movement:
    """It is held in a hand that trembles."""
    deviation = rng.uniform(0.001, 0.02)
    yaw = ornstein_uhlenbeck(rng, (num_frames,), fps * rng.uniform(0.1, 0.6), deviation)
    pitch = ornstein_uhlenbeck(rng, (num_frames,), fps * rng.uniform(0.1, 0.4), deviation)
    return Movement(yaw, pitch, np.zeros(num_frames))


def walk(rng: np.random.Generator, num_frames: int, fps: float) -> Movement:
    """It is carried by someone who walks: it trembles, nods with each step and wanders."""
    hand, time = shake(rng, num_frames, fps), np.arange(num_frames) / fps
    nod = rng.uniform(0, 0.008) * np.sin(2 * np.pi * rng.uniform(1.5, 2.2) * time)
    turning = ornstein_uhlenbeck(rng, (num_frames,), fps, rng.uniform(0, 0.12))  # radians a second
    return Movement(hand.yaw + np.cumsum(turning) / fps, hand.pitch + nod, rng.uniform(0.3, 1.6) * time)


def drive(rng: np.random.Generator, num_frames: int, fps: float) -> Movement:
    """It is on a car, at up to 12 m/s at first."""
    accelerating = ornstein_uhlenbeck(rng, (num_frames,), 2 * fps, 1.0)
    speed = np.maximum(0, rng.uniform(0, 12) + np.cumsum(accelerating) / fps)
    turning = ornstein_uhlenbeck(rng, (num_frames,), 2 * fps, rng.uniform(0, 0.15))
    return Movement(np.cumsum(turning) / fps, np.zeros(num_frames), np.cumsum(speed) / fps)


Ride = Callable[[np.random.Generator, int, float], Movement]
RIDES: tuple[Ride, ...] = (stand, pan, shake, walk, drive)


def draw_camera(rng: np.random.Generator, ride: Ride, num_frames: int, fps: float) -> Camera:
    """A camera of a passer-by or on a mast, that looks down on a point 8 to 30 m away or less far down."""
    width = int(rng.choice([640, 960, 1280, 1920]))
    size = int(width * rng.choice([0.5625, 0.75, 0.5625, 0.4])), width
    height = mixture(rng, (0.5, 1.2, 2.2), (0.5, 2.2, 8.0))
    tilt = np.arctan2(max(0.0, height - 1.2), rng.uniform(8, 30)) * rng.uniform(0.5, 1)
    movement = ride(rng, num_frames, fps)
    knocked = jolts(rng, num_frames, deviation=(0.04,))[:, 0]
    movement = movement._replace(yaw=movement.yaw + knocked, pitch=movement.pitch + tilt)
    return Camera(size, width * rng.uniform(0.6, 1.4), height, movement)
