from dataclasses import dataclass
from typing import Self

import numpy as np

from tltm_graph.data.simulated_motion.boxes import displace
from tltm_graph.data.simulated_motion.draws import mixture
from tltm_graph.data.simulated_motion.found import FALSE, Found
from tltm_graph.data.simulated_motion.sightings import Sightings
from tltm_graph.data.simulated_motion.world import World


@dataclass(frozen=True)
class FalsePositives:
    """Boxes around nothing, as large as objects of their frame and anywhere in the picture.

    Some come again at the same place, for a while and in 30 to 95 of 100 frames of it: these have one id, from 0 on.
    The others have :data:`FALSE`.

    Args:
        rate: How many new ones there are for each sighting, on average.
        again: Share of those that come again.
        lasting: For how many frames these do, on average.
    """

    rate: float = 0.0
    again: float = 0.3
    lasting: float = 15.0

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Some at random; those that come again are as many as the objects at most, counted each time."""
        rate = mixture(rng, (0.2, 0, 0), (0.5, 0, 0.06), (0.3, 0.05, 0.3))
        again = mixture(rng, (0.3, 0, 0), (0.7, 0.1, 0.5))
        lasting = mixture(rng, (0.7, 5, 30), (0.3, 30, 150))
        return cls(rate, again, max(1.0, min(lasting, 1 / max(0.6 * rate * again, 1e-3))))

    def find(self, rng: np.random.Generator, sightings: Sightings, world: World, noise: float) -> Found:
        """Boxes around nothing in all frames, with scores of 1.

        Args:
            rng: Of everything.
            sightings: What could be seen.
            world: Where it is.
            noise: Deviation of centre and log size of those that come again, in boxes; 0.01 at least.
        """
        like = np.repeat(np.arange(len(sightings.frames)), rng.poisson(self.rate, len(sightings.frames)))
        frames, count = sightings.frames[like], len(like)
        sizes = sightings.boxes[like, 2:] - sightings.boxes[like, :2]
        half = sizes * np.exp(rng.normal(0, 0.2, (count, 2))) / 2
        centres = rng.random((count, 2)) * [world.size[1], world.size[0]]
        boxes = np.concatenate([centres - half, centres + half], axis=1)
        labels = rng.integers(0, world.num_labels, count)

        stays = rng.random(count) < self.again
        ids = np.where(stays, np.cumsum(stays) - 1, FALSE)
        more = np.where(stays, rng.geometric(1 / self.lasting, count) - 1, 0)  # frames in which it may come again
        which = np.repeat(np.arange(count), more)
        after = 1 + np.arange(len(which)) - np.repeat(np.cumsum(more) - more, more)
        seen = rng.random(len(which)) < rng.uniform(0.3, 0.95, count)[which]
        seen &= frames[which] + after < world.num_frames
        which, after = which[seen], after[seen]
        moved = displace(boxes[which], rng.normal(size=(len(which), 4)) * max(0.01, noise))
        return Found(
            np.concatenate([frames, frames[which] + after]),
            np.concatenate([boxes, moved]),
            np.ones(count + len(which)),
            np.concatenate([labels, labels[which]]),
            np.concatenate([ids, ids[which]]),
        )
