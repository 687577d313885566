"""Frames for tests of the tracking metrics: drawn ones, and random ones that are hard to match."""

from collections.abc import Sequence

import numpy as np

from tests.metrics.official_tracking import Frame
from tltm_graph.metrics.overlap import FrameOverlap


def frame(truth: Sequence[int], predicted: Sequence[int], iou: object = None) -> FrameOverlap:
    """A frame with these ids; without ``iou`` equal ids overlap fully."""
    sides = np.array(truth, dtype=np.int64), np.array(predicted, dtype=np.int64)
    table = sides[0][:, None] == sides[1] if iou is None else iou
    return FrameOverlap(*sides, np.array(table, dtype=np.float64).reshape(len(truth), len(predicted)))


def drawn(truth: str, predicted: str) -> list[FrameOverlap]:
    """One object, present where ``truth`` has a letter; the letters of ``predicted`` are the tracks on it.

    A capital letter is the track of that letter at another place.
    """
    frames = []
    for true, track in zip(truth, predicted, strict=True):
        objects = [] if true == "." else [0]
        tracks = [] if track == "." else [ord(track.lower()) - ord("a")]
        frames.append(frame(objects, tracks, np.full((len(objects), len(tracks)), float(track.islower()))))
    return frames


def random_frames(seed: int, objects: int, tracks: int, frames: int, levels: int | None = None) -> list[FrameOverlap]:
    """Frames with ids that come and go, and with many or few overlaps. Ids are multiples of 7.

    Args:
        levels: Number of equal steps that overlaps are rounded to, so that they tie and hit thresholds. None
            for no rounding.
    """
    generator = np.random.default_rng(seed)
    result = []
    for _ in range(frames):
        present = [7 * np.flatnonzero(generator.random(n) < generator.choice([0, 0.4, 0.9])) for n in (objects, tracks)]
        truth, predicted = (generator.permutation(ids) for ids in present)
        iou = generator.random((len(truth), len(predicted))) ** 0.5
        if levels is not None:
            iou = np.round(iou * levels) / levels
        iou[generator.random(iou.shape) < generator.choice([0.2, 0.7, 0.95])] = 0
        result.append(FrameOverlap(truth, predicted, iou))
    return result


def plain(frames: Sequence[FrameOverlap]) -> list[Frame]:
    """The frames in the form of the transcription of the official code."""
    return [(f.truth_ids, f.predicted_ids, f.iou) for f in frames]
