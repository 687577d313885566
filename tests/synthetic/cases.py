"""Worlds small enough to know the right detections."""

import numpy as np

from tltm_graph.synthetic.worlds import World

SIZE = (200, 300)


def world(boxes, depths=None, occluders=(), occluder_depths=(), num_frames=1, labels=None) -> World:
    """Make a world with the same boxes in each frame; without depths nothing is occluded."""
    boxes = np.array(boxes, dtype=float).reshape(-1, 4)
    count = len(boxes)

    def always(values, *shape):
        return np.broadcast_to(np.array(values, dtype=float).reshape(shape), (num_frames, *shape)).copy()

    return World(
        size=SIZE,
        boxes=always(boxes, count, 4),
        depths=always(np.zeros(count) if depths is None else depths, count),
        present=np.ones((num_frames, count), dtype=bool),
        labels=np.zeros(count, dtype=np.int64) if labels is None else np.array(labels),
        occluders=always(occluders, len(occluder_depths), 4),
        occluder_depths=always(occluder_depths, len(occluder_depths)),
    )


def apart(count: int, num_frames: int) -> World:
    """Make a world of objects of 8×16 pixels that do not touch."""
    x, y = np.arange(count) % 20 * 14.0, np.arange(count) // 20 * 18.0
    return world(np.stack([x, y, x + 8, y + 16], axis=1), num_frames=num_frames)


def crowd(rng: np.random.Generator, count: int, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw frames (R,) and boxes (R, 4), many of which overlap; some frames are empty."""
    corners = rng.uniform(-20, 200, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 80, (count, 2))], axis=1)
    return np.sort(rng.integers(0, num_frames, count)), boxes
