"""Errors of a simulated detector: misses, inexact, merged and partial boxes, duplicates and false positives."""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from scipy.stats import beta, norm

from tltm_graph.synthetic.observations import NO_OBJECT, DetectionRows, Observations, overlapping_iou
from tltm_graph.synthetic.processes import alternating, chance, logistic, mixture, ornstein_uhlenbeck
from tltm_graph.synthetic.worlds import World

_MIN_INSIDE = 0.15  # an object with less of its area in the picture is never detected


class MissBursts(NamedTuple):
    """Runs of frames in which an object is not detected, however visible it is.

    Args:
        at_first: Probability that an object is missed when the video begins.
        mean_seen: Mean number of frames before an object is missed.
        longest: Maximum length of a run, in frames.
    """

    at_first: float
    mean_seen: float
    longest: int


@dataclass(frozen=True)
class Recall:
    r"""Probability that an object is detected in a frame. By default nearly all objects in the picture are detected.

    The probability is :math:`\sigma(\ell)(1 - m)`, with log-odds

    .. math:: \ell = b + f + \min\left(0, \frac{v - v_0}{s}\right) + \min\left(0, 3 \log \frac{h}{h_0}\right)

    where :math:`v` is the visible fraction of the object and :math:`h` its height in pixels.

    Args:
        base: Log-odds of an easy object, :math:`b`.
        visible: Visible fraction below which objects are hard to detect, :math:`v_0`.
        softness: Softness of that limit, :math:`s`.
        height: Height in pixels below which objects are hard to detect, :math:`h_0`; 0 for no limit.
        flicker: Standard deviation of :math:`f`, which varies over time.
        flicker_memory: Correlation time of :math:`f`, in frames.
        bias: Standard deviation of a constant part of :math:`f` of each object.
        misses: Mean of :math:`m`. Half of the objects have half of it, the others one and a half times it.
        bursts: Additional runs of misses, or None.
    """

    base: float = 20.0
    visible: float = 0.0
    softness: float = 1.0
    height: float = 0.0
    flicker: float = 0.0
    flicker_memory: float = 1.0
    bias: float = 0.0
    misses: float = 0.0
    bursts: MissBursts | None = None

    @classmethod
    def draw(cls, rng: np.random.Generator, picture_height: int) -> Self:
        """Draw random settings for pictures of this height in pixels."""
        return cls(
            base=rng.uniform(1.5, 5),
            visible=mixture(rng, (0.3, 0, 0), (0.7, 0.25, 0.7)),
            softness=rng.uniform(0.03, 0.15),
            height=mixture(rng, (0.3, 0, 0), (0.7, 0.01, 0.08)) * picture_height,
            flicker=mixture(rng, (0.3, 0, 0), (0.7, 0.3, 2)),
            flicker_memory=rng.uniform(1, 12),
            bias=rng.uniform(0, 1.2),
            misses=mixture(rng, (0.2, 0, 0), (0.5, 0, 0.1), (0.3, 0.05, 0.3)),
            bursts=MissBursts(rng.uniform(0.05, 0.25), rng.uniform(10, 50), int(rng.integers(2, 31)))
            if chance(rng, 0.45)
            else None,
        )

    def detect(
        self, rng: np.random.Generator, observations: Observations, world: World
    ) -> tuple[np.ndarray, np.ndarray]:
        r"""Draw which observations are detected, bool (R,), and return the log-odds :math:`\ell` of all (R,)."""
        at = observations.frames, observations.objects
        flicker = ornstein_uhlenbeck(rng, world.present.shape, self.flicker_memory, self.flicker)
        tall = observations.boxes[:, 3] - observations.boxes[:, 1]
        logits = (
            self.base
            + (flicker + rng.normal(0, self.bias, world.num_objects))[at]
            + np.minimum(0, (observations.visible - self.visible) / self.softness)
            + np.minimum(0, 3 * np.log(np.maximum(tall, 1) / max(self.height, 1)))
        )
        misses = self.misses * rng.choice([0.5, 1.5], world.num_objects)[observations.objects]
        detected = rng.random(len(logits)) < logistic(logits) * (1 - misses)
        detected &= observations.inside > _MIN_INSIDE
        if self.bursts is not None:
            detected &= ~alternating(rng, world.present.shape, *self.bursts)[at]
        return detected, logits


@dataclass(frozen=True)
class Localization:
    """Errors of the boxes of detected objects. By default boxes are exact.

    Args:
        noise: Standard deviation of centre and log size, independent in each frame, in box sizes. It is one and a half
            times as large if less than 70 % of an object is visible.
        drift: Standard deviation of a slowly varying error of centre and log size, in box sizes.
        drift_memory: Correlation time of the drift, in frames.
        whole: Whether boxes include parts outside the picture.
        shrinking: Loss of width of partly occluded objects, as a fraction of the invisible part. An object always loses
            it on the same side.
        gross: Fraction of boxes with gross errors, whose sides are off by about a quarter of the box.
        gross_memory: Correlation time of gross errors, in frames.
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
        """Draw random settings."""
        return cls(
            noise=mixture(rng, (0.05, 0, 0), (0.45, 0.005, 0.03), (0.5, 0.02, 0.08)),
            drift=rng.uniform(0, 0.05),
            drift_memory=rng.uniform(2, 10),
            whole=chance(rng, 0.4),
            shrinking=0.4 if chance(rng, 0.5) else 0.0,
            gross=mixture(rng, (0.2, 0, 0), (0.45, 0, 0.08), (0.35, 0.04, 0.25)),
            gross_memory=rng.uniform(0.5, 5),
        )

    def locate(
        self, rng: np.random.Generator, observations: Observations, detected: np.ndarray, world: World
    ) -> np.ndarray:
        """Draw boxes (S, 4) of the detected observations, given as a bool mask (R,)."""
        boxes = (observations.boxes if self.whole else observations.clipped)[detected]
        visible, objects = observations.visible[detected], observations.objects[detected]
        missing = np.where(visible < 0.8, self.shrinking * (1 - visible), 0) * (boxes[:, 2] - boxes[:, 0])
        from_left = (rng.random(world.num_objects) < 0.5)[objects]
        boxes[:, 0] += np.where(from_left, missing, 0)
        boxes[:, 2] -= np.where(from_left, 0, missing)

        shape, at = world.present.shape, (observations.frames[detected], objects)
        drift = ornstein_uhlenbeck(rng, (*shape, 4), self.drift_memory, self.drift)
        noise = rng.normal(size=boxes.shape) * self.noise * np.where(visible < 0.7, 1.5, 1)[:, None]
        boxes = displace(boxes, noise + drift[at])
        if self.gross == 0:
            return boxes
        is_gross = ornstein_uhlenbeck(rng, (*shape, 1), self.gross_memory, 1.0)[..., 0] > norm.isf(self.gross)
        errors = ornstein_uhlenbeck(rng, (*shape, 4), 2 * self.gross_memory, 0.25)
        return move_sides(boxes, np.where(is_gross[..., None], errors, 0)[at])


def displace(boxes: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Change the centres and sizes of boxes.

    Args:
        boxes: Corners (R, 4).
        by: Amounts added to x and y of the centre, in box sizes, and to log width and log height (R, 4).
    """
    sizes = boxes[:, 2:] - boxes[:, :2]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 + sizes * by[:, :2]
    half = sizes * np.exp(by[:, 2:]) / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def move_sides(boxes: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """Move each side of boxes (N, 4) by amounts (N, 4) in box sizes, clipped to a third of the box."""
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return boxes + np.clip(amounts, -1 / 3, 1 / 3) * size


def merge_overlapping(
    rng: np.random.Generator, detections: DetectionRows, probability: float, memory: float
) -> DetectionRows:
    """Merge boxes of objects that overlap with an IoU above 0.25, for a few frames in a row.

    In 30 % of the cases the merged box is the union; otherwise it lies in between, mostly near one of the two. It keeps
    the id of the nearer one; :func:`assign_ids` later decides which object it shows.

    Args:
        rng: Source of all random numbers.
        detections: Detections of objects.
        probability: Probability that two overlapping boxes are merged in a frame.
        memory: Correlation time of merging, in frames.
    """
    first, second, iou = overlapping_iou(detections.frames, detections.boxes)
    close = iou > 0.25
    first, second = first[close], second[close]
    ids = np.sort(np.stack([detections.ids[first], detections.ids[second]]), axis=0)
    _, pair = np.unique(ids[0] * (detections.ids.max(initial=0) + 1) + ids[1], return_inverse=True)
    shape = int(detections.frames.max(initial=-1)) + 1, int(pair.max(initial=-1)) + 1
    merging, kind, nearness = (
        norm.cdf(ornstein_uhlenbeck(rng, shape, memory, 1.0))[detections.frames[first], pair] for _ in range(3)
    )
    flipped = detections.ids[first] > detections.ids[second]
    weights = beta.ppf(np.where(flipped, 1 - nearness, nearness), 0.7, 0.7)
    boxes, merged_ids = detections.boxes.copy(), detections.ids.copy()
    remaining = np.ones(len(detections), dtype=bool)
    for row in np.flatnonzero(merging < probability).tolist():
        kept, lost, weight = first[row], second[row], weights[row]
        if not (remaining[kept] and remaining[lost]):
            continue  # an earlier pair has taken one of them
        remaining[lost] = False
        merged_ids[kept] = detections.ids[kept if weight > 0.5 else lost]
        if kind[row] < 0.3:
            np.minimum(boxes[kept, :2], boxes[lost, :2], out=boxes[kept, :2])
            np.maximum(boxes[kept, 2:], boxes[lost, 2:], out=boxes[kept, 2:])
        else:
            boxes[kept] = weight * boxes[kept] + (1 - weight) * boxes[lost]
    return replace(detections, boxes=boxes, ids=merged_ids).take(remaining)


def partial_boxes(
    rng: np.random.Generator, detections: DetectionRows, probability: float, memory: float
) -> DetectionRows:
    """Draw false positives around parts of objects: 40 to 70 % of width and height, at 50 to 100 % of the score.

    Each detection has one with this probability. Those of one object appear for a few frames in a row, around a similar
    part; ``memory`` is the correlation time in frames.
    """
    rank, *part = _draw_per_object(rng, detections, memory, 5)
    chosen = rank < probability
    wholes = detections.take(chosen)
    begin, share = (np.stack(pair, axis=1)[chosen] for pair in (part[:2], part[2:]))
    sizes = wholes.boxes[:, 2:] - wholes.boxes[:, :2]
    begin, end = 0.5 * begin, np.minimum(0.5 * begin + 0.4 + 0.3 * share, 1.1)
    boxes = np.concatenate([wholes.boxes[:, :2] + begin * sizes, wholes.boxes[:, :2] + end * sizes], axis=1)
    return _without_object(wholes, boxes, rng.uniform(0.5, 1, len(wholes)))


def duplicates(rng: np.random.Generator, detections: DetectionRows, probability: float, memory: float) -> DetectionRows:
    """Draw duplicates about a fifth of a box away, at 40 to 100 % of the score.

    Each detection has one with this probability. Those of one object appear for a few frames in a row, at a similar
    place; ``memory`` is the correlation time in frames.
    """
    rank, *offset = _draw_per_object(rng, detections, memory, 5)
    chosen = rank < probability
    originals = detections.take(chosen)
    boxes = displace(originals.boxes, 0.2 * norm.ppf(np.stack(offset, axis=1)[chosen]))
    return _without_object(originals, boxes, rng.uniform(0.4, 1, len(originals)))


def _draw_per_object(
    rng: np.random.Generator, detections: DetectionRows, memory: float, count: int
) -> list[np.ndarray]:
    """Draw ``count`` numbers in [0, 1] for each detection (R,), which vary slowly for those of one id."""
    shape = int(detections.frames.max(initial=-1)) + 1, int(detections.ids.max(initial=-1)) + 1
    at = detections.frames, detections.ids
    return [norm.cdf(ornstein_uhlenbeck(rng, shape, memory, 1.0))[at] for _ in range(count)]


def _without_object(detections: DetectionRows, boxes: np.ndarray, factor: np.ndarray) -> DetectionRows:
    """Replace boxes, multiply scores by a factor and remove ids."""
    ids = np.full(len(detections), NO_OBJECT)
    return replace(detections, boxes=boxes, scores=detections.scores * factor, ids=ids)


def false_positives(
    rng: np.random.Generator, observations: Observations, world: World, rate: float, noise: float
) -> DetectionRows:
    """Draw boxes around nothing, as large as objects of their frame and anywhere in the picture.

    30 % of them stay at one place for 15 frames on average, in 30 to 95 % of these frames. Each of those gets one id,
    from the number of objects on; the others get :data:`NO_OBJECT`.

    Args:
        rng: Source of all random numbers.
        observations: Objects of all frames.
        world: World of the observations.
        rate: Mean number of new false positives for each observation.
        noise: Standard deviation of centre and log size of repeated ones, in box sizes; at least 0.01 is used.

    Returns:
        False positives with scores of 1.
    """
    like = np.repeat(np.arange(len(observations.frames)), rng.poisson(rate, len(observations.frames)))
    frames, count = observations.frames[like], len(like)
    sizes = observations.boxes[like, 2:] - observations.boxes[like, :2]
    half = sizes * np.exp(rng.normal(0, 0.2, (count, 2))) / 2
    centres = rng.random((count, 2)) * [world.size[1], world.size[0]]
    boxes = np.concatenate([centres - half, centres + half], axis=1)
    labels = rng.integers(0, world.num_labels, count)

    stays = rng.random(count) < 0.3
    ids = np.where(stays, world.num_objects + np.cumsum(stays) - 1, NO_OBJECT)
    duration = np.where(stays, rng.geometric(1 / 15, count) - 1, 0)  # frames after the first
    which = np.repeat(np.arange(count), duration)
    after = 1 + np.arange(len(which)) - np.repeat(np.cumsum(duration) - duration, duration)
    detected = rng.random(len(which)) < rng.uniform(0.3, 0.95, count)[which]
    detected &= frames[which] + after < world.num_frames
    which, after = which[detected], after[detected]
    moved = displace(boxes[which], rng.normal(size=(len(which), 4)) * max(0.01, noise))
    return DetectionRows(
        np.concatenate([frames, frames[which] + after]),
        np.concatenate([boxes, moved]),
        np.ones(count + len(which)),
        np.concatenate([labels, labels[which]]),
        np.concatenate([ids, ids[which]]),
    )
