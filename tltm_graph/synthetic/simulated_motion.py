"""Simulated videos of detections with known identities: a world of moving objects, and a detector with errors."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.structures import Detections
from tltm_graph.synthetic.detector_noise import (
    Localization,
    Recall,
    duplicates,
    false_positives,
    merge_overlapping,
    partial_boxes,
)
from tltm_graph.synthetic.observations import (
    NO_OBJECT,
    DetectionRows,
    Observations,
    assign_ids,
    non_maximum_suppression,
)
from tltm_graph.synthetic.processes import chance, logistic, mixture
from tltm_graph.synthetic.streets import draw_street
from tltm_graph.synthetic.worlds import World, draw_blobs


@dataclass(frozen=True)
class Scoring:
    r"""Scores that are higher for easier objects.

    At log-odds :math:`\ell` they are :math:`\sigma(a \ell - b + 0.7 \varepsilon)`. False positives get
    :math:`\sigma(1.2 \varepsilon)`.

    Args:
        slope: Factor of the log-odds, :math:`a`.
        offset: Amount subtracted, :math:`b`.
    """

    slope: float
    offset: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw random settings."""
        return cls(slope=rng.uniform(0.5, 1.2), offset=rng.uniform(-1, 2))

    def score_objects(self, rng: np.random.Generator, logits: np.ndarray) -> np.ndarray:
        """Draw scores (S,) of objects that are detected with these log-odds (S,)."""
        return logistic(self.slope * logits - self.offset + 0.7 * rng.normal(size=len(logits)))

    def score_false_positives(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw scores (F,) of false positives."""
        return logistic(1.2 * rng.normal(size=count))


@dataclass(frozen=True)
class SimulatedDetector:
    """Detector with simulated errors. By default it detects every object exactly, and nothing else.

    Args:
        recall: Probability that an object is detected.
        localization: Errors of the boxes.
        scoring: Scores; None if all scores are 1, as in files without scores.
        wrong_labels: Probability that a class is drawn at random.
        merging: Probability that boxes of overlapping objects are merged (:func:`merge_overlapping`).
        parts: Probability of an additional box around a part of an object.
        duplicates: Probability of a duplicate of a detection.
        memory: Correlation time of merging, parts and duplicates, in frames.
        false_positives: Mean number of new boxes around nothing, for each object in the picture.
        nms: Maximum IoU of two detections; 1 for no suppression.
    """

    recall: Recall = field(default_factory=Recall)
    localization: Localization = field(default_factory=Localization)
    scoring: Scoring | None = None
    wrong_labels: float = 0.0
    merging: float = 0.0
    parts: float = 0.0
    duplicates: float = 0.0
    memory: float = 1.0
    false_positives: float = 0.0
    nms: float = 1.0

    @classmethod
    def draw(cls, rng: np.random.Generator, picture_height: int) -> Self:
        """Draw random settings for pictures of this height in pixels."""
        return cls(
            recall=Recall.draw(rng, picture_height),
            localization=Localization.draw(rng),
            scoring=None if chance(rng, 0.35) else Scoring.draw(rng),
            wrong_labels=mixture(rng, (0.5, 0, 0), (0.5, 0, 0.05)),
            merging=mixture(rng, (0.3, 0, 0), (0.7, 0, 0.9)),
            parts=mixture(rng, (0.5, 0, 0), (0.5, 0, 0.04)),
            duplicates=mixture(rng, (0.6, 0, 0), (0.4, 0, 0.05)),
            memory=rng.uniform(0.5, 12),
            false_positives=mixture(rng, (0.2, 0, 0), (0.5, 0, 0.06), (0.3, 0.05, 0.3)),
            nms=mixture(rng, (0.6, 0.4, 0.8), (0.4, 1, 1)),
        )

    def detect(self, rng: np.random.Generator, world: World) -> DetectionRows:
        """Draw the detections of all frames of a world, in random order within a frame.

        Ids below the number of objects are those of the objects that the detections show (:func:`assign_ids`). Greater
        ids are those of false positives. Each id occurs once in a frame.
        """
        observations = Observations.of(world)
        detected, logits = self.recall.detect(rng, observations, world)
        frames, objects = observations.frames[detected], observations.objects[detected]
        boxes = self.localization.locate(rng, observations, detected, world)
        wrong = rng.random(len(frames)) < self.wrong_labels
        labels = np.where(wrong, rng.integers(0, world.num_labels, len(frames)), world.labels[objects])
        scores = np.ones(len(frames)) if self.scoring is None else self.scoring.score_objects(rng, logits[detected])
        rows = DetectionRows(frames, boxes, scores, labels, objects)

        rows = merge_overlapping(rng, rows, self.merging, self.memory)
        rows = DetectionRows.cat([rows, partial_boxes(rng, rows, self.parts, self.memory)])
        copies = duplicates(rng, rows, self.duplicates, self.memory)
        false = false_positives(rng, observations, world, self.false_positives, self.localization.noise)
        if self.scoring is not None:
            false = replace(false, scores=self.scoring.score_false_positives(rng, len(false)))
        rows = DetectionRows.cat([rows, copies, false])
        rows = rows.take(non_maximum_suppression(rows.frames, rows.boxes, rows.scores, self.nms))
        rows = assign_ids(rows, observations, self.localization.whole, world.num_objects)
        rows = rows.take(np.lexsort((rng.random(len(rows)), rows.frames)))
        free_id = max(world.num_objects, int(rows.ids.max(initial=NO_OBJECT)) + 1)
        without = rows.ids == NO_OBJECT
        return replace(rows, ids=np.where(without, free_id + np.cumsum(without) - 1, rows.ids))


@dataclass(frozen=True, eq=False)
class DetectionSequence:
    """Detections of a video with known identities.

    Args:
        size: Height and width of the frames in pixels.
        times: Times of the frames in seconds, increasing (T,).
        frames: Detections of each frame, with ``ids``. Detections with the same id show the same object or false
            positive; -1 means unknown.
        objects: Whether each detection shows an object, int8 for each frame: 1, 0 for a false positive, -1 for unknown.
            None if it is unknown for all.
        relation: Scores transitions by the ``features`` of the detections, which are its nodes: edge logits (E,) of a
            graph (:class:`tltm_graph.tracking.Relation`). None for no such model.

    Raises:
        ValueError: If the numbers of times and frames differ, times do not increase, or ids are missing.
    """

    size: tuple[int, int]
    times: tuple[float, ...]
    frames: tuple[Detections, ...]
    objects: tuple[Tensor, ...] | None = None
    relation: Callable[[HeteroData], Tensor] | None = None

    def __post_init__(self) -> None:
        if len(self.times) != len(self.frames):
            raise ValueError(f"Expected a time for each frame, got {len(self.times)} for {len(self.frames)} frames")
        for earlier, later in pairwise(self.times):
            if not later > earlier:
                raise ValueError(f"Expected increasing 'times', got {later} s after {earlier} s")
        for index, detections in enumerate(self.frames):
            if detections.ids is None:
                raise ValueError(f"Expected the 'ids' of all detections, got none in frame {index}")

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        count = sum(len(detections) for detections in self.frames)
        return f"{type(self).__name__}({len(self)} frames, {count} detections, size={self.size})"


def simulate_motion(seed: int, num_frames: int | None = None) -> DetectionSequence:
    """Draw a world of moving objects and the detections of a random detector. No data set is involved.

    60 % of the worlds are streets with people and cars, seen by a camera that stands, pans, shakes, walks or drives
    (:func:`draw_street`). The others are blobs in the plane of the picture (:func:`draw_blobs`). Each world has its own
    :class:`SimulatedDetector`: from a detector with few errors to one with many misses, false positives and merged
    boxes, and without scores.

    In 12 % of the videos frames are dropped; in half of these, times are as if there were no gaps. One in six videos
    claims 30 frames per second whatever its rate is, as happens when the rate is not in the file.

    Args:
        seed: Seed of all random draws, at least 0. The same seed gives the same sequence.
        num_frames: Number of frames; by default 60 to 199, of which some may then be dropped.

    Returns:
        Boxes in pixels, float32, partly outside the picture; scores in [0, 1]; up to four classes; ids from 0, each
        once in a frame, those of false positives greater than those of objects. Frames may be empty.

    Raises:
        ValueError: If ``seed`` or ``num_frames`` is negative.
    """
    if seed < 0 or (num_frames is not None and num_frames < 0):
        raise ValueError(f"Expected a seed and a number of frames of at least 0, got {seed} and {num_frames}")
    timing_rng, world_rng, detector_rng = np.random.default_rng(seed).spawn(3)
    fps = float(timing_rng.choice([5, 7, 10, 14, 15, 20, 25, 30]))
    kept_share = timing_rng.uniform(0.6, 0.95) if chance(timing_rng, 0.12) else 1.0
    if num_frames is None:
        num_frames = int(timing_rng.integers(60, 200) * kept_share)
    num_ticks = round(num_frames / kept_share)
    ticks = np.sort(timing_rng.permutation(num_ticks)[:num_frames])
    gaps_in_times = chance(timing_rng, 0.5)
    claimed_fps = 30.0 if chance(timing_rng, 1 / 6) else fps

    world = (draw_street if chance(world_rng, 0.6) else draw_blobs)(world_rng, num_ticks, fps).take(ticks)
    times = (ticks if gaps_in_times else np.arange(num_frames)) / claimed_fps
    return simulate_detections(detector_rng, world, times)


def simulate_detections(rng: np.random.Generator, world: World, times: np.ndarray) -> DetectionSequence:
    """Draw a random detector and its detections of a world.

    Args:
        rng: Source of the detector and its errors.
        world: Objects and occluders.
        times: Times of the frames of the world, in seconds (T,).
    """
    rows = SimulatedDetector.draw(rng, world.size[0]).detect(rng, world)
    frames = _split_frames(rows, world.num_frames)
    objects = tuple((seen.ids < world.num_objects).to(torch.int8) for seen in frames if seen.ids is not None)
    return DetectionSequence(world.size, tuple(times.tolist()), frames, objects)


def _split_frames(rows: DetectionRows, num_frames: int) -> tuple[Detections, ...]:
    ends = np.searchsorted(rows.frames, np.arange(num_frames), side="right").tolist()
    boxes, scores = rows.boxes.astype(np.float32), rows.scores.astype(np.float32)
    # Slices of arrays rather than of tensors: a pickled slice of a tensor would hold all frames.
    return tuple(
        Detections(
            boxes=torch.from_numpy(boxes[begin:end]),
            scores=torch.from_numpy(scores[begin:end]),
            labels=torch.from_numpy(rows.labels[begin:end]),
            ids=torch.from_numpy(rows.ids[begin:end]),
        )
        for begin, end in pairwise([0, *ends])
    )
