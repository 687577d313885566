import numpy as np

from tltm_graph.data.simulated_motion.boxes import displace
from tltm_graph.data.simulated_motion.found import FALSE, Found
from tltm_graph.data.simulated_motion.scoring import Scoring
from tltm_graph.data.simulated_motion.sightings import Sightings
from tltm_graph.data.simulated_motion.world import World


def false_positives(
    rng: np.random.Generator, sightings: Sightings, world: World, rate: float, noise: float, scoring: Scoring
) -> Found:
    """Boxes around nothing, as large as objects of their frame and anywhere in the picture.

    Three of ten come again at the same place, for a time of 15 frames on average and in 30 to 95 of 100 frames of it:
    these have one id, from the number of objects on; the others have :data:`FALSE`.

    Args:
        rng: Of everything.
        sightings: What could be seen.
        world: Where it is.
        rate: How many new ones there are for each sighting, on average.
        noise: Deviation of centre and log size of those that come again, in boxes; 0.01 at least.
        scoring: How sure the detector is of them.
    """
    like = np.repeat(np.arange(len(sightings.frames)), rng.poisson(rate, len(sightings.frames)))
    frames, count = sightings.frames[like], len(like)
    sizes = sightings.boxes[like, 2:] - sightings.boxes[like, :2]
    half = sizes * np.exp(rng.normal(0, 0.2, (count, 2))) / 2
    centres = rng.random((count, 2)) * [world.size[1], world.size[0]]
    boxes = np.concatenate([centres - half, centres + half], axis=1)
    labels = rng.integers(0, world.num_labels, count)

    stays = rng.random(count) < 0.3
    ids = np.where(stays, world.num_objects + np.cumsum(stays) - 1, FALSE)
    again = np.where(stays, rng.geometric(1 / 15, count) - 1, 0)  # frames in which it may
    which = np.repeat(np.arange(count), again)
    after = 1 + np.arange(len(which)) - np.repeat(np.cumsum(again) - again, again)
    seen = rng.random(len(which)) < rng.uniform(0.3, 0.95, count)[which]
    seen &= frames[which] + after < world.num_frames
    which, after = which[seen], after[seen]
    moved = displace(boxes[which], rng.normal(size=(len(which), 4)) * max(0.01, noise))
    return Found(
        np.concatenate([frames, frames[which] + after]),
        np.concatenate([boxes, moved]),
        scoring.of_nothing(rng, count + len(which)),
        np.concatenate([labels, labels[which]]),
        np.concatenate([ids, ids[which]]),
    )
