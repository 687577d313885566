"""Boxes that belong to more than one object, to a part of one, or to one that has a box already."""

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, Self

import numpy as np
from scipy.stats import beta, norm

from tltm_graph.synthetic.boxes import displace, overlapping_iou, stretch
from tltm_graph.synthetic.observations import FALSE, Found, Observations
from tltm_graph.synthetic.processes import alternating, chance, logistic, mixture, ornstein_uhlenbeck
from tltm_graph.synthetic.worlds import World

_LEAST_INSIDE = 0.15  # of its area: what is less inside of the picture is never found


class Bursts(NamedTuple):
    """Objects are lost for many frames in a row, whatever can be seen of them.

    Args:
        at_first: Probability to be lost when the video begins.
        mean_seen: Mean number of frames before an object is lost.
        longest: Most frames that it is.
    """

    at_first: float
    mean_seen: float
    longest: int


@dataclass(frozen=True)
class Recall:
    r"""Which objects are found in which frame. Without arguments nearly all that are inside of the picture.

    An object is found with the probability :math:`\sigma(\ell)(1 - m)`, with log-odds

    .. math:: \ell = b + f + \min\left(0, \frac{v - v_0}{s}\right) + \min\left(0, 3 \log \frac{h}{h_0}\right)

    where :math:`v` is how much of it is visible and :math:`h` its height in pixels.

    Args:
        base: :math:`b`.
        visible: :math:`v_0`: objects of which less is visible are hard to find.
        softness: :math:`s`.
        height: :math:`h_0`: smaller objects are hard to find. At 0 none are.
        flicker: Deviation of :math:`f`, which comes and goes.
        flicker_memory: How fast it does, in frames.
        bias: Deviation of what is added to :math:`f` of an object in all frames.
        misses: Mean of :math:`m`: half of it for half of the objects, one and a half times it for the others.
        bursts: What is lost beside that, or None.
    """

    base: float = 20.0
    visible: float = 0.0
    softness: float = 1.0
    height: float = 0.0
    flicker: float = 0.0
    flicker_memory: float = 1.0
    bias: float = 0.0
    misses: float = 0.0
    bursts: Bursts | None = None

    @classmethod
    def draw(cls, rng: np.random.Generator, picture_height: int) -> Self:
        """One at random, for pictures of so many pixels."""
        return cls(
            base=rng.uniform(1.5, 5),
            visible=mixture(rng, (0.3, 0, 0), (0.7, 0.25, 0.7)),
            softness=rng.uniform(0.03, 0.15),
            height=mixture(rng, (0.3, 0, 0), (0.7, 0.01, 0.08)) * picture_height,
            flicker=mixture(rng, (0.3, 0, 0), (0.7, 0.3, 2)),
            flicker_memory=rng.uniform(1, 12),
            bias=rng.uniform(0, 1.2),
            misses=mixture(rng, (0.2, 0, 0), (0.5, 0, 0.1), (0.3, 0.05, 0.3)),
            bursts=Bursts(rng.uniform(0.05, 0.25), rng.uniform(10, 50), int(rng.integers(2, 31)))
            if chance(rng, 0.45)
            else None,
        )

    def find(self, rng: np.random.Generator, observations: Observations, world: World) -> tuple[np.ndarray, np.ndarray]:
        r"""Which observations become detections, bool (R,), and :math:`\ell` of all (R,)."""
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
        found = rng.random(len(logits)) < logistic(logits) * (1 - misses)
        found &= observations.inside > _LEAST_INSIDE
        if self.bursts is not None:
            found &= ~alternating(rng, world.present.shape, *self.bursts)[at]
        return found, logits


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

    def locate(
        self, rng: np.random.Generator, observations: Observations, found: np.ndarray, world: World
    ) -> np.ndarray:
        """Boxes (S, 4) of the observations that are found, a bool mask (R,)."""
        boxes = (observations.boxes if self.whole else observations.clipped)[found]
        visible, objects = observations.visible[found], observations.objects[found]
        missing = np.where(visible < 0.8, self.shrinking * (1 - visible), 0) * (boxes[:, 2] - boxes[:, 0])
        from_left = (rng.random(world.num_objects) < 0.5)[objects]
        boxes[:, 0] += np.where(from_left, missing, 0)
        boxes[:, 2] -= np.where(from_left, 0, missing)

        drift = ornstein_uhlenbeck(rng, (*world.present.shape, 4), self.drift_memory, self.drift)
        noise = rng.normal(size=boxes.shape) * self.noise * np.where(visible < 0.7, 1.5, 1)[:, None]
        boxes = displace(boxes, noise + drift[observations.frames[found], objects])
        if self.gross == 0:
            return boxes
        shape, memory = world.present.shape, self.gross_memory
        errs = ornstein_uhlenbeck(rng, (*shape, 1), memory, 1.0)[..., 0] > norm.isf(self.gross)
        away = ornstein_uhlenbeck(rng, (*shape, 4), 2 * memory, 0.25)
        errors = np.where(errs[..., None], away, 0)[observations.frames[found], objects]
        return stretch(boxes, errors)


class Scoring(Protocol):
    """How sure a detector says it is."""

    def of_objects(self, rng: np.random.Generator, logits: np.ndarray) -> np.ndarray:
        """Scores (S,) of objects that are found with these log-odds (S,)."""

    def of_nothing(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Scores (F,) of false positives."""


@dataclass(frozen=True)
class ConstantScores:
    """All scores are 1: those of files that have none."""

    def of_objects(self, rng: np.random.Generator, logits: np.ndarray) -> np.ndarray:
        return np.ones(len(logits))

    def of_nothing(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return np.ones(count)


@dataclass(frozen=True)
class InformativeScores:
    r"""Higher for what is easier to find: :math:`\sigma(a \ell - b + 0.7 \varepsilon)`.

    False positives get :math:`\sigma(1.2 \varepsilon)`.

    Args:
        slope: :math:`a`.
        offset: :math:`b`.
    """

    slope: float
    offset: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """One at random."""
        return cls(slope=rng.uniform(0.5, 1.2), offset=rng.uniform(-1, 2))

    def of_objects(self, rng: np.random.Generator, logits: np.ndarray) -> np.ndarray:
        return logistic(self.slope * logits - self.offset + 0.7 * rng.normal(size=len(logits)))

    def of_nothing(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return logistic(1.2 * rng.normal(size=count))


def merge_overlapping(rng: np.random.Generator, found: Found, probability: float, memory: float) -> Found:
    """Two boxes of objects that overlap with an IoU above 0.25 become one, for a few frames in a row.

    In three of ten cases that is the box around both, otherwise one in between, mostly near to one of them. It keeps
    the id of the nearer one; :func:`reidentified` tells what it shows.

    Args:
        rng: Of everything.
        found: Detections of objects.
        probability: That two that overlap are one in a frame.
        memory: How long it goes on, in frames.
    """
    one, other, iou = overlapping_iou(found.frames, found.boxes)
    close = iou > 0.25
    one, other = one[close], other[close]
    ids = np.sort(np.stack([found.ids[one], found.ids[other]]), axis=0)
    _, pair = np.unique(ids[0] * (found.ids.max(initial=0) + 1) + ids[1], return_inverse=True)
    shape = int(found.frames.max(initial=-1)) + 1, int(pair.max(initial=-1)) + 1
    rank, around, nearness = (
        norm.cdf(ornstein_uhlenbeck(rng, shape, memory, 1.0))[found.frames[one], pair] for _ in range(3)
    )
    flipped = found.ids[one] > found.ids[other]
    weights = beta.ppf(np.where(flipped, 1 - nearness, nearness), 0.7, 0.7)
    boxes, kept_ids, left = found.boxes.copy(), found.ids.copy(), np.ones(len(found), dtype=bool)
    for row in np.flatnonzero(rank < probability).tolist():
        kept, lost, weight = one[row], other[row], weights[row]
        if not (left[kept] and left[lost]):
            continue  # an earlier pair has taken one of them
        left[lost] = False
        kept_ids[kept] = found.ids[kept if weight > 0.5 else lost]
        if around[row] < 0.3:
            np.minimum(boxes[kept, :2], boxes[lost, :2], out=boxes[kept, :2])
            np.maximum(boxes[kept, 2:], boxes[lost, 2:], out=boxes[kept, 2:])
        else:
            boxes[kept] = weight * boxes[kept] + (1 - weight) * boxes[lost]
    return replace(found, boxes=boxes, ids=kept_ids).take(left)


def partial_boxes(rng: np.random.Generator, found: Found, probability: float, memory: float) -> Found:
    """Boxes around 40 to 70 of 100 of the width and height of some of the others, with half of their score or more.

    Those of an object come for a few frames in a row, around much the same part of it; see :func:`merge_overlapping`.
    """
    rank, *where = _drawn(rng, found, memory, 5)
    chosen = rank < probability
    parts = found.take(chosen)
    begin, share = (np.stack(pair, axis=1)[chosen] for pair in (where[:2], where[2:]))
    sizes = parts.boxes[:, 2:] - parts.boxes[:, :2]
    begin, end = 0.5 * begin, np.minimum(0.5 * begin + 0.4 + 0.3 * share, 1.1)
    boxes = np.concatenate([parts.boxes[:, :2] + begin * sizes, parts.boxes[:, :2] + end * sizes], axis=1)
    return _false(parts, boxes, rng.uniform(0.5, 1, len(parts)))


def duplicates(rng: np.random.Generator, found: Found, probability: float, memory: float) -> Found:
    """Second boxes of some of the others, a fifth of a box away, with 0.4 of their score or more.

    Those of an object come for a few frames in a row, in much the same place; see :func:`merge_overlapping`.
    """
    rank, *away = _drawn(rng, found, memory, 5)
    chosen = rank < probability
    copies = found.take(chosen)
    boxes = displace(copies.boxes, 0.2 * norm.ppf(np.stack(away, axis=1)[chosen]))
    return _false(copies, boxes, rng.uniform(0.4, 1, len(copies)))


def _drawn(rng: np.random.Generator, found: Found, memory: float, count: int) -> list[np.ndarray]:
    """So many numbers from 0 to 1 for each detection (R,), which change slowly for those of one id."""
    shape = int(found.frames.max(initial=-1)) + 1, int(found.ids.max(initial=-1)) + 1
    return [norm.cdf(ornstein_uhlenbeck(rng, shape, memory, 1.0))[found.frames, found.ids] for _ in range(count)]


def _false(found: Found, boxes: np.ndarray, sureness: np.ndarray) -> Found:
    return Found(found.frames, boxes, found.scores * sureness, found.labels, np.full(len(found), FALSE))


def false_positives(
    rng: np.random.Generator, observations: Observations, world: World, rate: float, noise: float, scoring: Scoring
) -> Found:
    """Boxes around nothing, as large as objects of their frame and anywhere in the picture.

    Three of ten come again at the same place, for a time of 15 frames on average and in 30 to 95 of 100 frames of it:
    these have one id, from the number of objects on; the others have :data:`FALSE`.

    Args:
        rng: Of everything.
        observations: What could be seen.
        world: Where it is.
        rate: How many new ones there are for each observation, on average.
        noise: Deviation of centre and log size of those that come again, in boxes; 0.01 at least.
        scoring: How sure the detector is of them.
    """
    like = np.repeat(np.arange(len(observations.frames)), rng.poisson(rate, len(observations.frames)))
    frames, count = observations.frames[like], len(like)
    sizes = observations.boxes[like, 2:] - observations.boxes[like, :2]
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
