"""A pinhole camera above a ground plane, and the ways it moves.

Ground positions are x to the right of the straight line that the camera moves along, and z along it, in metres.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tltm_graph.synthetic.processes import jolts, mixture, ornstein_uhlenbeck

_MIN_DEPTH = 0.3  # m: nearer points are projected at this distance


class Movement(NamedTuple):
    """Movement of a camera, each (T,): turn to the right and tilt down, in radians, and way ahead, in metres."""

    yaw: np.ndarray
    pitch: np.ndarray
    forward: np.ndarray


class Projection(NamedTuple):
    """Upright things in the picture, each (T, N): middle column, top and bottom row, and distance in metres."""

    middle: np.ndarray
    top: np.ndarray
    bottom: np.ndarray
    depth: np.ndarray


@dataclass(frozen=True, eq=False)
class PinholeCamera:
    """Pinhole camera that moves along a straight line and turns.

    Args:
        size: Height and width of the picture in pixels; the optical axis passes through its middle.
        focal: Focal length in pixels.
        height: Height above the ground, in metres.
        movement: Position and direction of each frame; at a pitch of 0 the camera looks at the horizon.
    """

    size: tuple[int, int]
    focal: float
    height: float
    movement: Movement

    @property
    def travelled(self) -> float:
        """Largest distance from the start, in metres."""
        return float(self.movement.forward.max(initial=0))

    def project(self, x: np.ndarray, z: np.ndarray, tall: np.ndarray) -> Projection:
        """Project upright things to the picture.

        Args:
            x: Ground positions to the right, (T, N) or (N,).
            z: Ground positions ahead, (T, N) or (N,).
            tall: Heights in metres, (N,).
        """
        yaw, pitch, forward = (angle[:, None] for angle in self.movement)
        ahead = z - forward
        right, ahead = np.cos(yaw) * x - np.sin(yaw) * ahead, np.sin(yaw) * x + np.cos(yaw) * ahead
        depth, bottom = self._project_row(ahead, pitch, self.height)
        _, top = self._project_row(ahead, pitch, self.height - tall)
        return Projection(self.size[1] / 2 + right * self.pixels_per_metre(depth), top, bottom, depth)

    def _project_row(
        self, ahead: np.ndarray, pitch: np.ndarray, below: float | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute distance and row of points from their metres ahead of the camera and below it."""
        depth = np.cos(pitch) * ahead + np.sin(pitch) * below
        down = np.cos(pitch) * below - np.sin(pitch) * ahead
        return depth, self.size[0] / 2 + down * self.pixels_per_metre(depth)

    def pixels_per_metre(self, depth: np.ndarray) -> np.ndarray:
        """Compute the scale at a distance in metres."""
        return self.focal / np.maximum(depth, _MIN_DEPTH)

    def scatter(
        self, rng: np.random.Generator, count: int, depths: tuple[float, float], reach: float, nearest: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw ground positions x and z, each (N,), in front of points of the camera's way.

        Args:
            rng: Source of the positions.
            count: Number of positions N.
            depths: Minimum and maximum distance in metres.
            reach: Maximum distance to the sides, as a fraction of the half width of the view.
            nearest: Distance in metres below which the width of the view no longer shrinks.
        """
        z = rng.uniform(*depths, count) + self.travelled * rng.random(count)
        camera_z = self.travelled * rng.random(count)
        side = np.maximum(nearest, z - camera_z) * (self.size[1] / 2 / self.focal)
        return rng.uniform(-reach, reach, count) * side, z


def stand(rng: np.random.Generator, num_frames: int, fps: float) -> Movement:
    """Keep the camera still."""
    return Movement(*np.zeros((3, num_frames)))


def pan(rng: np.random.Generator, num_frames: int, fps: float) -> Movement:
    """Turn to and fro by up to 3 to 29 degrees, every 2.5 to 20 seconds."""
    swing = rng.uniform(0.05, 0.4) * np.arange(num_frames) / fps + rng.random()
    return stand(rng, num_frames, fps)._replace(yaw=rng.uniform(0.05, 0.5) * np.sin(2 * np.pi * swing))


def shake(rng: np.random.Generator, num_frames: int, fps: float) -> Movement:
    """Hold the camera in a trembling hand."""
    deviation = rng.uniform(0.001, 0.02)
    yaw = ornstein_uhlenbeck(rng, (num_frames,), fps * rng.uniform(0.1, 0.6), deviation)
    pitch = ornstein_uhlenbeck(rng, (num_frames,), fps * rng.uniform(0.1, 0.4), deviation)
    return Movement(yaw, pitch, np.zeros(num_frames))


def walk(rng: np.random.Generator, num_frames: int, fps: float) -> Movement:
    """Carry the camera while walking: it trembles, nods with each step and turns."""
    hand, time = shake(rng, num_frames, fps), np.arange(num_frames) / fps
    nod = rng.uniform(0, 0.008) * np.sin(2 * np.pi * rng.uniform(1.5, 2.2) * time)
    turning = ornstein_uhlenbeck(rng, (num_frames,), fps, rng.uniform(0, 0.12))  # radians per second
    return Movement(hand.yaw + np.cumsum(turning) / fps, hand.pitch + nod, rng.uniform(0.3, 1.6) * time)


def drive(rng: np.random.Generator, num_frames: int, fps: float) -> Movement:
    """Mount the camera on a car that starts at up to 12 m/s."""
    acceleration = ornstein_uhlenbeck(rng, (num_frames,), 2 * fps, 1.0)
    speed = np.maximum(0, rng.uniform(0, 12) + np.cumsum(acceleration) / fps)
    turning = ornstein_uhlenbeck(rng, (num_frames,), 2 * fps, rng.uniform(0, 0.15))
    return Movement(np.cumsum(turning) / fps, np.zeros(num_frames), np.cumsum(speed) / fps)


Ride = Callable[[np.random.Generator, int, float], Movement]
RIDES: tuple[Ride, ...] = (stand, pan, shake, walk, drive)


def draw_camera(rng: np.random.Generator, ride: Ride, num_frames: int, fps: float) -> PinholeCamera:
    """Draw a camera in a hand or on a mast that looks at most as far down as to a point 8 to 30 m away."""
    width = int(rng.choice([640, 960, 1280, 1920]))
    size = int(width * rng.choice([0.5625, 0.75, 0.5625, 0.4])), width
    height = mixture(rng, (0.5, 1.2, 2.2), (0.5, 2.2, 8.0))
    tilt = np.arctan2(max(0.0, height - 1.2), rng.uniform(8, 30)) * rng.uniform(0.5, 1)
    movement = ride(rng, num_frames, fps)
    jumps = jolts(rng, num_frames, deviation=(0.04,))[:, 0]
    movement = movement._replace(yaw=movement.yaw + jumps, pitch=movement.pitch + tilt)
    return PinholeCamera(size, width * rng.uniform(0.6, 1.4), height, movement)
