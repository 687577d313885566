from dataclasses import dataclass

import numpy as np

from tltm_graph.data.simulated_motion.boxes import areas, intersections, overlapping_pairs
from tltm_graph.data.simulated_motion.world import World


@dataclass(frozen=True, eq=False)
class Sightings:
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
    def of(cls, world: World) -> "Sightings":
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
