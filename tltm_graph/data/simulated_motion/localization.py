from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.stats import norm

from tltm_graph.data.simulated_motion.boxes import displace, stretch
from tltm_graph.data.simulated_motion.draws import chance, mixture
from tltm_graph.data.simulated_motion.processes import ornstein_uhlenbeck
from tltm_graph.data.simulated_motion.sightings import Sightings
from tltm_graph.data.simulated_motion.world import World


@dataclass(frozen=True)
class Localization:
    """Where the box of an object that is found is. Without arguments it is exact.

    Args:
        noise: Deviation of centre and log size in each frame, in boxes; one and a half times that of what is hidden.
        drift: Deviation of what is added to it and changes slowly.
        drift_memory: How slowly, in frames.
        whole: Whether boxes are of whole objects, also outside of the picture.
        shrinking: Of objects that are hidden in part, how much less wide the box is than the object: this share of what
            cannot be seen. Which side is missing is up to the object.
        gross: Share of boxes that are far off: sides lie a quarter of the box away, give or take. What errs does so for
            a few frames.
        gross_memory: How long, in frames.
    """

    noise: float = 0.0
    drift: float = 0.0
    drift_memory: float = 1.0
    whole: bool = True
    shrinking: float = 0.0
    gross: float = 0.0
    gross_memory: float = 1.0

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """One at random."""
        return cls(
            noise=mixture(rng, (0.05, 0, 0), (0.45, 0.005, 0.03), (0.5, 0.02, 0.08)),
            drift=rng.uniform(0, 0.05),
            drift_memory=rng.uniform(2, 10),
            whole=chance(rng, 0.4),
            shrinking=0.4 if chance(rng, 0.5) else 0.0,
            gross=mixture(rng, (0.2, 0, 0), (0.45, 0, 0.08), (0.35, 0.04, 0.25)),
            gross_memory=rng.uniform(0.5, 5),
        )

    def locate(self, rng: np.random.Generator, sightings: Sightings, found: np.ndarray, world: World) -> np.ndarray:
        """Boxes (S, 4) of the sightings that are found, a bool mask (R,)."""
        boxes = (sightings.boxes if self.whole else sightings.clipped)[found]
        visible, objects = sightings.visible[found], sightings.objects[found]
        missing = np.where(visible < 0.8, self.shrinking * (1 - visible), 0) * (boxes[:, 2] - boxes[:, 0])
        from_left = (rng.random(world.num_objects) < 0.5)[objects]
        boxes[:, 0] += np.where(from_left, missing, 0)
        boxes[:, 2] -= np.where(from_left, 0, missing)

        drift = ornstein_uhlenbeck(rng, (*world.present.shape, 4), self.drift_memory, self.drift)
        noise = rng.normal(size=boxes.shape) * self.noise * np.where(visible < 0.7, 1.5, 1)[:, None]
        boxes = displace(boxes, noise + drift[sightings.frames[found], objects])
        if self.gross == 0:
            return boxes
        shape, memory = world.present.shape, self.gross_memory
        errs = ornstein_uhlenbeck(rng, (*shape, 1), memory, 1.0)[..., 0] > norm.isf(self.gross)
        away = ornstein_uhlenbeck(rng, (*shape, 4), 2 * memory, 0.25)
        errors = np.where(errs[..., None], away, 0)[sightings.frames[found], objects]
        return stretch(boxes, errors)
