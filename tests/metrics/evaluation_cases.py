"""Scenes whose objects never overlap, and what a tracker makes of them."""

import numpy as np
import torch

from tltm_graph.ops import encode_rle
from tltm_graph.ops.rle import Rle
from tltm_graph.structures import Observation, Tracks

SIZE = (30, 40)
BAND = 5
"""Rows of an object: object i stays in rows ``BAND * i`` on, the last band is for false positives."""


def rectangle(top: int, left: int, bottom: int, right: int, size: tuple[int, int] = SIZE) -> Rle:
    mask = torch.zeros(1, *size, dtype=torch.bool)
    mask[0, top:bottom, left:right] = True
    return encode_rle(mask)[0]


def observation(track_id: int, top: int, left: int, bottom: int, right: int, **more) -> Observation:
    """A rectangle in rows ``top`` to ``bottom`` - 1 and columns ``left`` to ``right`` - 1, as box and mask."""
    box = (float(left), float(top), float(right), float(bottom))
    return Observation(track_id, box, mask=rectangle(top, left, bottom, right), **more)


def true_scene(seed: int, num_frames: int = 6, num_objects: int = 4, num_classes: int = 3) -> Tracks:
    """Objects that come, go and come back, each in a band of its own."""
    random = np.random.default_rng(seed)
    rows = []
    for number, track_id in enumerate(random.choice(np.arange(1, 20), num_objects, replace=False).tolist()):
        label, left = int(random.integers(num_classes)), int(random.integers(10))
        for frame in range(num_frames):
            if random.random() < 0.8:
                x = left + 2 * frame
                rows.append((frame, observation(track_id, BAND * number, x, BAND * number + 4, x + 8, label=label)))
    return Tracks.from_observations(rows, SIZE, num_frames)


def disturbed(truth: Tracks, seed: int, num_classes: int = 3) -> Tracks:
    """The true tracks with misses, switches, other classes, poor masks and false positives, one id for each band."""
    random = np.random.default_rng(seed)
    ids = {track_id: number for number, track_id in enumerate(truth)}
    rows = []
    for frame, seen in truth.observations():
        if random.random() < 0.3 and len(ids) > 1:
            first, second = random.choice(list(ids), 2, replace=False).tolist()
            ids[first], ids[second] = ids[second], ids[first]
        for row in seen:
            if random.random() < 0.2:
                continue
            left, top, right, bottom = (int(value) for value in row.box)
            left, right = left + int(random.integers(-3, 4)), right + int(random.integers(-1, 4))
            label = row.label if random.random() < 0.7 else int(random.integers(num_classes))
            score = float(random.random())
            rows.append((frame, observation(ids[row.id], top, max(0, left), bottom, right, label=label, score=score)))
        if random.random() < 0.4:
            rows.append((frame, observation(90, 25, 0, 29, 6, label=int(random.integers(num_classes)), score=0.5)))
    return Tracks.from_observations(rows, truth.size, truth.num_frames)


def pairs_of(seeds: range) -> dict[str, tuple[Tracks, Tracks]]:
    """The truth and the predictions of several videos, one of them without objects."""
    scenes = {f"video {seed}": true_scene(seed, num_frames=3 + seed % 4) for seed in seeds}
    pairs = {
        name: (truth, disturbed(truth, seed + 100)) for seed, (name, truth) in zip(seeds, scenes.items(), strict=True)
    }
    nothing = Tracks({}, SIZE, 4)
    return pairs | {"video nothing": (nothing, nothing)}
