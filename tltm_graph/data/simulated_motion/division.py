from dataclasses import replace

import numpy as np

from tltm_graph.data.simulated_motion.world import World

_GROWTH = 20  # frames in which daughters grow up


def divide(rng: np.random.Generator, world: World, share: float) -> World:
    """Some of the objects become two, as cells do: the mother is gone, her daughters are new objects.

    They begin side by side, within the mother's box and three quarters of her size, go on along her way, part, and grow
    to nine tenths of her size.

    Args:
        rng: Of who divides, when, and which way the daughters part.
        world: In which objects divide.
        share: Of the objects that divide, each at some time in the middle two thirds of the video.
    """
    t, n = world.present.shape
    mothers = np.flatnonzero(rng.random(n) < share)
    when = rng.integers(t // 6, max(t // 6, 5 * t // 6) + 1, len(mothers))
    after = np.arange(t)[:, None] - when  # (T, D), frames since the division
    boxes = world.boxes[:, mothers]
    centres, sizes = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    angle = rng.uniform(0, 2 * np.pi, len(mothers))
    apart = (0.3 + rng.uniform(0.005, 0.06, len(mothers)) * np.clip(after, 0, 60))[..., None] * sizes
    away = apart * np.stack([np.cos(angle), np.sin(angle)], axis=-1)  # (T, D, 2)
    half = (0.75 + 0.15 * np.clip(after / _GROWTH, 0, 1))[..., None] * sizes / 2
    daughters = [np.concatenate([middle - half, middle + half], axis=-1) for middle in (centres + away, centres - away)]

    height, width = world.size
    alive = world.present[:, mothers] & (after >= 0)
    born = [alive & (d[..., 2:] > 0).all(axis=-1) & (d[..., :2] < [width, height]).all(axis=-1) for d in daughters]
    present = world.present.copy()
    present[:, mothers] &= after < 0
    return replace(
        world,
        boxes=np.concatenate([world.boxes, *daughters], axis=1),
        depths=np.concatenate([world.depths, world.depths[:, mothers], world.depths[:, mothers]], axis=1),
        present=np.concatenate([present, *born], axis=1),
        labels=np.concatenate([world.labels, world.labels[mothers], world.labels[mothers]]),
    )
