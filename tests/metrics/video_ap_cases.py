"""Videos to score: made up ones in which everything ties, and real tracks of cells with what a tracker does to them."""

import gzip
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from tltm_graph import Tracks
from tltm_graph.ops import encode_rle
from tltm_graph.ops.rle import Rle
from tltm_graph.structures import Track

SIZE = (256, 320)
Case = tuple[int, Tracks, Tracks]
"""Id, true and predicted tracks of a video."""


@lru_cache(maxsize=4096)
def rectangle(y: int, x: int, height: int, width: int) -> Rle:
    """Mask of a rectangle in a frame of ``SIZE``."""
    mask = torch.zeros((1, *SIZE), dtype=torch.bool)
    mask[0, y : y + height, x : x + width] = True
    return encode_rle(mask)[0]


def track(
    rectangles: dict[int, tuple[int, int, int, int]], score: float = 1.0, label: int = 0, crowd: bool = False,
    areas: tuple[float, ...] | None = None,
) -> Track:  # fmt: skip
    """A track of rectangles (y, x, height, width) by frame."""
    return Track(
        frames=tuple(rectangles),
        boxes=tuple((float(x), float(y), float(x + w), float(y + h)) for y, x, h, w in rectangles.values()),
        scores=(score,) * len(rectangles),
        labels=(label,) * len(rectangles),
        masks=tuple(rectangle(*r) for r in rectangles.values()),
        crowd=crowd,
        areas=areas,
    )


def video(*tracks: Track, num_frames: int = 4) -> Tracks:
    return Tracks(dict(enumerate(tracks)), SIZE, num_frames)


def made_up(seed: int, num_classes: int) -> list[Case]:
    """Up to 4 videos of rectangles on a coarse grid: equal scores, equal overlaps, areas at the limits of the ranges.

    There are videos without truth or predictions, crowds, tracks without a pixel, some that start late or have gaps,
    areas that differ from those of the masks, and predictions of a class that does not exist.
    """
    random = np.random.default_rng(seed)

    def rectangles() -> dict[int, tuple[int, int, int, int]]:
        frames = random.choice(4, random.integers(1, 5), replace=False)
        y, x = random.integers(0, 3, 2) * 32
        height, width = random.choice([0, 32, 64, 128, 128, 128, 256], 2) if random.random() < 0.8 else (256, 256)
        steps = random.integers(0, 2, 4) * 32
        return {int(f): (int(y), int(x + steps[f]), int(height), int(width)) for f in sorted(frames)}

    def true_track() -> Track:
        seen = rectangles()
        areas = tuple(float(random.choice([0, 100, 128**2, 128**2 + 1, 256**2, 256**2 + 1])) for _ in seen)
        return track(
            seen,
            label=int(random.integers(num_classes)),
            crowd=random.random() < 0.2,
            areas=areas if random.random() < 0.3 else None,
        )

    def predicted_track(truth: list[Track]) -> Track:
        score = float(random.choice([0.1, 0.25, 0.5, 0.9]))
        label = int(random.integers(num_classes + 1)) if random.random() < 0.3 else int(random.integers(num_classes))
        if not truth or random.random() < 0.3:
            return track(rectangles(), score, label)
        copied = truth[random.integers(len(truth))]
        kept = sorted(random.choice(len(copied), random.integers(1, len(copied) + 1), replace=False))
        seen = {copied.frames[i]: tuple(map(int, np.array(copied.boxes[i])[[1, 0, 3, 2]])) for i in kept}
        return track({f: (y, x, y1 - y, x1 - x) for f, (y, x, y1, x1) in seen.items()}, score, copied.label)

    cases = []
    for video_id in random.permutation(9)[: random.integers(1, 5)]:
        truth = [true_track() for _ in range(random.integers(0, 5))]
        predicted = [predicted_track(truth) for _ in range(random.integers(0, 14))]
        cases.append((int(video_id), video(*truth), video(*predicted)))
    return cases


def read_cells(path: Path) -> Tracks:
    """The tracks of a file of one video in the format of YouTube-VIS."""
    with gzip.open(path, "rt") as file:
        content = json.load(file)
    (info,) = content["videos"]
    tracks = {}
    for row in content["annotations"]:
        frames = tuple(t for t, mask in enumerate(row["segmentations"]) if mask)
        boxes = [row["bboxes"][t] for t in frames]
        tracks[row["id"]] = Track(
            frames=frames,
            boxes=tuple((x, y, x + w, y + h) for x, y, w, h in boxes),
            scores=(1.0,) * len(frames),
            labels=(0,) * len(frames),
            masks=tuple(row["segmentations"][t] for t in frames),
            areas=tuple(row["areas"][t] for t in frames),
        )
    return Tracks(tracks, (info["height"], info["width"]), info["length"])


def perturbed(truth: Tracks, seed: int) -> Tracks:
    """What a bad tracker makes of a video: masks that come late, gaps, misses, doubles, exchanged identities."""
    random = np.random.default_rng(seed)
    tracks = list(truth.values())
    predicted = {}
    for number, own in enumerate(tracks):
        for _ in range(int(random.choice(3, p=[0.05, 0.8, 0.15]))):
            late, begin = random.integers(0, 5), random.integers(0, 1 + len(own) // 3)
            seen = {
                f: (own, max(i - late, 0)) for i, f in enumerate(own.frames) if i >= begin and random.random() < 0.95
            }
            if random.random() < 0.1:
                other, middle = tracks[number - 1], own.frames[len(own) // 2]
                seen = {f: row for f, row in seen.items() if f < middle}
                seen |= {f: (other, i) for i, f in enumerate(other.frames) if f >= middle}
            if seen:
                score = float(np.round(random.random(), 2))
                predicted[len(predicted)] = Track(
                    frames=tuple(seen),
                    boxes=tuple(of.boxes[i] for of, i in seen.values()),
                    scores=(score,) * len(seen),
                    labels=(0,) * len(seen),
                    masks=tuple(of.masks[i] for of, i in seen.values() if of.masks is not None),
                )
    return Tracks(predicted, truth.size, truth.num_frames)
