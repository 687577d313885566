"""Detections with known errors, made of the ground truth: missed objects, inaccurate boxes and masks, false positives.

The same seed gives the same detections on every machine; the generator is seeded again for each sequence. Detections
reveal nothing of the truth but positions: they have no ids, score 1 each, and come in a random order.
"""

from collections.abc import Callable, Iterator

import numpy as np
from pycocotools import mask as coco_mask

from tltm_graph.ops.rle import Rle, rle_to_box, to_coco
from tltm_graph.structures import Observation, Tracks

JITTER = 0.05
"""Standard deviation of the centre, in units of the box's size, and of the logarithm of the size."""
FALSE_RATE = 0.05
"""Probability of a false positive per true object of a frame, anywhere in the image."""
MISS_RATE = 0.1
"""Probability that a single observation is missing."""
LOST, LONGEST_LOSS, MEAN_SIGHT = 0.2, 15, 32
"""Probability that an object begins undetected, longest undetected run and mean length of a detected run, in frames."""

Missing = Callable[[Tracks, np.random.Generator], set[tuple[int, int]]]
"""Draws the missing observations of the truth, as pairs (frame, id)."""


def missing_singly(truth: Tracks, random: np.random.Generator) -> set[tuple[int, int]]:
    """Draw single missing observations, each with probability :data:`MISS_RATE`."""
    missing: set[tuple[int, int]] = set()
    for frame, rows in truth.observations():
        lost = random.random(len(rows)) < MISS_RATE
        missing.update((frame, row.id) for row, gone in zip(rows, lost.tolist(), strict=True) if gone)
    return missing


def missing_in_bursts(truth: Tracks, random: np.random.Generator) -> set[tuple[int, int]]:
    """Draw missing runs of 1 to :data:`LONGEST_LOSS` frames of each object: about a fifth of its observations."""
    missing: set[tuple[int, int]] = set()
    for track_id, track in sorted(truth.items()):
        position, lost = 0, bool(random.random() < LOST)
        while position < len(track):
            count = int(random.integers(1, LONGEST_LOSS + 1)) if lost else int(random.geometric(1 / MEAN_SIGHT))
            if lost:
                missing.update((frame, track_id) for frame in track.frames[position : position + count])
            position, lost = position + count, not lost
    return missing


def corrupted(truth: Tracks, missing: Missing, seed: int) -> Iterator[list[Observation]]:
    """Make the detections of each frame of a sequence.

    Args:
        truth: True tracks. If they have masks, detections have masks and tight boxes.
        missing: Draws the missed observations: :func:`missing_singly` or :func:`missing_in_bursts`.
        seed: Random seed.

    Yields:
        Detections of the next frame, with their row as id and label 0. Boxes may extend beyond the image, masks are
        clipped; detections whose mask lies outside of the image are dropped.

    Raises:
        ValueError: If the size of the video is unknown.
    """
    if truth.size is None:
        raise ValueError("Expected the truth of a video of known size, got none: false positives are drawn within it")
    random = np.random.default_rng(seed)
    gone = missing(truth, random)
    for frame, rows in truth.observations():
        boxes = np.array([row.box for row in rows]).reshape(-1, 4)  # (n, 4) xyxy
        kept = np.array([(frame, row.id) not in gone for row in rows], dtype=bool)
        true, false, copied = _jittered(boxes[kept], random), *_false(boxes, truth.size, random)
        source = np.concatenate([np.flatnonzero(kept), copied])
        order = random.permutation(len(source))
        placed, objects = np.concatenate([true, false])[order].tolist(), [rows[i] for i in source[order]]
        detected = [Observation(0, tuple(box), mask=row.mask) for box, row in zip(placed, objects, strict=True)]
        yield [row._replace(id=number) for number, row in enumerate(filter(None, map(_with_mask, detected)))]


def _jittered(boxes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    centre, size = _centre_and_size(boxes)
    noise = JITTER * random.normal(size=(len(boxes), 4))
    return _boxes(centre + size * noise[:, :2], size * np.exp(noise[:, 2:]))


def _false(boxes: np.ndarray, image: tuple[int, int], random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw false boxes (k, 4) of about the size of a true box, and the row of that box (k,)."""
    count = random.binomial(len(boxes), FALSE_RATE)
    copied = random.integers(0, max(len(boxes), 1), size=count)
    noise, place = JITTER * random.normal(size=(count, 2)), random.random((count, 2))
    return _boxes(place * image[::-1], _centre_and_size(boxes)[1][copied] * np.exp(noise)), copied


def _centre_and_size(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]


def _boxes(centre: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1)


def _with_mask(detection: Observation) -> Observation | None:
    """Stretch the mask to the box of the detection; None if it lies outside of the image."""
    if detection.mask is None:
        return detection
    stretched = _stretched(detection.mask, detection.box)
    if stretched is None:
        return None
    x, y, width, height = rle_to_box(stretched)
    return detection._replace(mask=stretched, box=(x, y, x + width, y + height))


def _stretched(mask: Rle, box: tuple[float, ...]) -> Rle | None:
    """Scale the mask from its tight box to another box, by nearest neighbours."""
    height, width = mask["size"]
    x, y, w, h = map(int, rle_to_box(mask))
    crop = coco_mask.decode(to_coco([mask])[0])[y : y + h, x : x + w]
    x0, y0, x1, y1 = (round(value) for value in box)
    columns, rows = _sources(x0, max(x1, x0 + 1), w, width), _sources(y0, max(y1, y0 + 1), h, height)
    canvas = np.zeros((height, width), dtype=np.uint8, order="F")
    left, top = max(x0, 0), max(y0, 0)
    canvas[top : top + len(rows), left : left + len(columns)] = crop[np.ix_(rows, columns)]
    encoded = coco_mask.encode(canvas)
    if not coco_mask.area(encoded):
        return None
    return Rle(size=[height, width], counts=encoded["counts"].decode("ascii"))


def _sources(low: int, high: int, cells: int, length: int) -> np.ndarray:
    """Source cell of each pixel from ``low`` to ``high`` that lies within ``length``."""
    pixels = np.arange(max(low, 0), min(high, length))
    return np.floor((pixels - low + 0.5) * cells / (high - low)).astype(np.int64)
