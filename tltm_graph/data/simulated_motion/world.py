from dataclasses import dataclass, replace
from typing import Self

import numpy as np


@dataclass(frozen=True, eq=False)
class World:
    """What there is to be seen, exactly: boxes of N objects and of K things that hide them, over T frames.

    Args:
        size: Height and width of the picture.
        boxes: Whole objects, as corners (x0, y0, x1, y1) in pixels (T, N, 4), also where they stick out of the picture
            or are hidden. Without meaning where not present.
        depths: How far away each is (T, N): the nearer hides the farther, equally far ones do not hide each other.
        present: Whether each is there and in the picture, bool (T, N).
        labels: Their classes (N,), from 0.
        occluders: Boxes of what hides objects and is none itself (T, K, 4).
        occluder_depths: How far away that is (T, K), infinity where it is not in the picture.
    """

    size: tuple[int, int]
    boxes: np.ndarray
    depths: np.ndarray
    present: np.ndarray
    labels: np.ndarray
    occluders: np.ndarray
    occluder_depths: np.ndarray

    @property
    def num_frames(self) -> int:
        return self.present.shape[0]

    @property
    def num_objects(self) -> int:
        return self.present.shape[1]

    @property
    def num_labels(self) -> int:
        return int(self.labels.max(initial=0)) + 1

    def take(self, frames: np.ndarray) -> Self:
        """The same world at some of the frames, int (T',)."""
        timed = ("boxes", "depths", "present", "occluders", "occluder_depths")
        return replace(self, **{name: getattr(self, name)[frames] for name in timed})
