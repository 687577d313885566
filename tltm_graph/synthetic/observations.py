from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from tltm_graph.synthetic.boxes import areas, intersections, overlapping_pairs
from tltm_graph.synthetic.worlds import World

FALSE = -1
"""The id of a detection of nothing that is seen once, until it gets one of its own."""


@dataclass(frozen=True, eq=False)
class Found:
    """Detections of all frames, one row each.

    Args:
        frames: Int (R,).
        boxes: Corners in pixels (R, 4).
        scores: From 0 to 1 (R,).
        labels: Int (R,).
        ids: Which object each is of, int (R,): :data:`FALSE` for none.
    """

    frames: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def take(self, rows: np.ndarray) -> Self:
        """Those at ``rows``, a bool mask or indices."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """The rows of several, in order."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True, eq=False)
class Observations:
    """Every object in every frame that it is present in, one row each, ordered by frame.

    Args:
        frames: Int (R,).
        objects: Int (R,).
        boxes: Whole objects, as corners in pixels (R, 4).
        clipped: What of them is in the picture (R, 4).
        inside: Share of their area that is in the picture (R,).
        visible: How much can be seen (R,): 1 of an object that nothing hides and of which little is outside, 0 of one
            that is hidden by a single thing, and the product where several hide it.
    """

    frames: np.ndarray
    objects: np.ndarray
    boxes: np.ndarray
    clipped: np.ndarray
    inside: np.ndarray
    visible: np.ndarray

    @classmethod
    def of(cls, world: World) -> "Observations":
        """What there is to be seen of a world."""
        frames, objects = np.nonzero(world.present)
        boxes, depths = world.boxes[frames, objects], world.depths[frames, objects]
        height, width = world.size
        clipped = np.clip(boxes, 0, [width, height, width, height])
        area = np.maximum(areas(clipped), 1e-6)
        inside = areas(clipped) / np.maximum(areas(boxes), 1e-6)

        one, other, shared = overlapping_pairs(frames, clipped)
        hides = depths[one] != depths[other]
        behind = np.where(depths[one] > depths[other], one, other)[hides]
        visible = np.ones(len(boxes))
        np.multiply.at(visible, behind, 1 - shared[hides] / area[behind])
        nearer = world.occluder_depths[frames] < depths[:, None]  # (R, K)
        hidden = intersections(clipped[:, None], world.occluders[frames]) / area[:, None]
        visible *= np.where(nearer, 1 - hidden, 1).prod(axis=1)
        return cls(frames, objects, boxes, clipped, inside, visible * np.minimum(1.3 * inside, 1))
