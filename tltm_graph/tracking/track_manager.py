from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, Self

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor
from torch_geometric.data import HeteroData
from torchvision.ops import box_iou

from tltm_graph.association import Assignment
from tltm_graph.detectors import Detector
from tltm_graph.structures import Detections
from tltm_graph.structures.motion import Motion
from tltm_graph.tracking.memory import Memory
from tltm_graph.tracking.motion import MotionFilters

_EMBEDDING_WINDOW = 30  # observations that the mean embedding averages over
_EVIDENCE_WINDOW = 30  # observations that the evidence of a track averages over
_HALF = 0.5  # share of a mask that a weaker duplicate must cover to suppress a birth


class TrackManagement(Protocol):
    """Rules of a tracker's memory: prediction, birth, confirmation and removal of tracks.

    :class:`TrackManager` is the default, :class:`tltm_graph.published.PublishedTrackManager` the released code's.
    """

    def start(self, next_id: int = 1) -> Any:
        """Create a memory without tracks."""
        ...

    def restore(self, tensors: Mapping[str, Tensor], next_id: int) -> Any:
        """Restore a memory from its ``tensors()``."""
        ...

    def calibrate(self, memory: Any, scores: Tensor) -> tuple[Any, Tensor]:
        """Learn from the scores (N,) of a frame; return them as probabilities of showing an object, for the graph."""
        ...

    def predict(self, memory: Any, time: float) -> Detections:
        """Predict the tracks (M rows) at ``time``, with ids and embeddings."""
        ...

    def add_motion(self, graph: HeteroData, memory: Any, time: float) -> None:
        """Add what is known of the tracks' motion to the previous nodes of a frame-pair graph."""
        ...

    def update(
        self, memory: Any, detections: Detections, assignment: Assignment, time: float, objects: Tensor | None = None
    ) -> tuple[Any, Tensor, Tensor]:
        """Update the memory with a frame: see :meth:`TrackManager.update`."""
        ...


class TrackManager:
    r"""Motion, birth, confirmation and removal of tracks.

    *Motion.* :class:`tltm_graph.tracking.MotionFilters` predict each box; the middle filter gives the position of a
    track. Lost tracks move with the camera, whose motion is estimated from the matched tracks.

    *Appearance.* Each track keeps the embedding of its last observation and the mean over the last 30 or so.

    *Birth.* An unmatched detection of score ``new_track_threshold`` or more starts a track, unless it is a duplicate:
    more than ``duplicate_threshold`` of its mask lies within that of a matched or stronger detection of the same class,
    or the IoU of the masks exceeds it for another class. No track starts either if a weaker duplicate that covers more
    than half of the mask already continues one. Without masks, boxes of different classes with an IoU above 0.9 are
    duplicates; boxes of the same class are not, since people stand in front of each other.

    *Confirmation.* The probability :math:`p` that a track is an object, rather than a false positive, is

    .. math:: logit\ p = 0.6\, \bar e + 0.4\, e + 0.15\, o

    with :math:`e` the log-odds of its detection by the :class:`~tltm_graph.tracking.ScoreCurve`, which the
    stream itself teaches, :math:`\bar e` their mean over the last 30 observations, and :math:`o` the log-odds of the
    affinity within [-1, 5], 0 if it does not estimate them. A track is confirmed once :math:`p \ge`
    ``object_threshold`` at an observation from the ``min_hits``-th on, or at any one if :math:`p \ge`
    ``confirm_threshold`` or there is no confirmed track. The id of a confirmed track is shown as long as :math:`p \ge`
    ``shown_threshold``: a weak detection may keep a track alive without being shown.

    *Removal.* A confirmed track is removed after more than ``max_time_since_update`` frames without an observation, a
    tentative one after more than ``max_tentative_time`` frames for each observation. Beyond ``max_tracks``, the tracks
    lost for longest are removed first.

    Args:
        max_time_since_update: Maximum time since update of a confirmed track, in frames of the video's pace.
        min_hits: Number of observations before a track is confirmed, at least 1; 1 confirms by the probability alone.
        object_threshold: Minimum probability, in [0, 1], that a track is an object, to confirm it.
        confirm_threshold: Probability, in [0, 1], that confirms a track before ``min_hits``.
        shown_threshold: Minimum probability, in [0, 1], to show the id of a confirmed track.
        new_track_threshold: Minimum detection score, in [0, 1], that starts a track; see
            :meth:`~tltm_graph.tracking.ScoreCurve.nominal` for scores of another scale.
        duplicate_threshold: Share of a mask within another, in [0, 1], above which it is a duplicate; 1 turns duplicate
            suppression off.
        max_tracks: Maximum number of tracks in memory, at least 1.
        max_tentative_time: Maximum time since update of a tentative track, in frames for each observation.
        motion: Motion filters.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        max_time_since_update: int = 60,
        min_hits: int = 2,
        object_threshold: float = 0.5,
        confirm_threshold: float = 0.9,
        shown_threshold: float = 0.4,
        new_track_threshold: float = 0.3,
        duplicate_threshold: float = 0.7,
        max_tracks: int = 256,
        max_tentative_time: int = 8,
        motion: MotionFilters | None = None,
    ) -> None:
        if min_hits < 1 or max_tracks < 1 or max_time_since_update < 0 or max_tentative_time < 0:
            raise ValueError(
                "Expected min_hits and max_tracks of at least 1, max_time_since_update and max_tentative_time of at "
                f"least 0, got {min_hits}, {max_tracks}, {max_time_since_update} and {max_tentative_time}"
            )
        self.max_time_since_update = max_time_since_update
        self.min_hits = min_hits
        self.object_threshold = object_threshold
        self.confirm_threshold = confirm_threshold
        self.shown_threshold = shown_threshold
        self.new_track_threshold = new_track_threshold
        self.duplicate_threshold = duplicate_threshold
        self.max_tracks = max_tracks
        self.max_tentative_time = max_tentative_time
        self.motion = motion or MotionFilters()

    @classmethod
    def for_detector(cls, detector: Detector, **options: Any) -> Self:
        """Build a track manager with the ``new_track_threshold`` of a detector, unless it is among the options."""
        if detector.new_track_threshold is not None:
            options = {"new_track_threshold": detector.new_track_threshold} | options
        return cls(**options)

    def start(self, next_id: int = 1) -> Memory:
        """Create a memory without tracks."""
        return Memory.empty(next_id)

    def restore(self, tensors: Mapping[str, Tensor], next_id: int) -> Memory:
        """Restore a memory from :meth:`Memory.tensors`."""
        return Memory.from_tensors(tensors, next_id)

    def calibrate(self, memory: Memory, scores: Tensor) -> tuple[Memory, Tensor]:
        """Add the scores of a frame to the curve of the memory; return its probabilities for them."""
        curve = memory.curve.observe(scores.numpy())
        return replace(memory, curve=curve), torch.from_numpy(expit(curve.log_odds(scores.numpy())))

    def predict(self, memory: Memory, time: float) -> Detections:
        """Predict the tracks at ``time``: their last state with the predicted box."""
        return memory.detections(self.motion.predict(memory.motion, time)[:, 1])

    def add_motion(self, graph: HeteroData, memory: Memory, time: float) -> None:
        """Add the motion state and the mean embedding of the tracks to the previous nodes of a graph."""
        nodes = graph["previous"]
        nodes.places = torch.from_numpy(self.motion.predict(memory.motion, time))
        nodes.motion = torch.from_numpy(memory.motion.table)
        if memory.mean_embeddings is not None:
            nodes.mean_x = memory.mean_embeddings

    def update(
        self,
        memory: Memory,
        detections: Detections,
        assignment: Assignment,
        time: float,
        objects: Tensor | None = None,
    ) -> tuple[Memory, Tensor, Tensor]:
        """Update the memory with the detections of a frame.

        Args:
            memory: Tracks before the frame.
            detections: Detections of the frame (N rows), with embeddings if the affinity has some. Boxes, scores and
                labels are on the CPU.
            assignment: Matches, births and misses.
            time: Time of the frame, in frames of the video's pace.
            objects: Log-odds that each detection shows an object (N,), None if the affinity does not estimate it.

        Returns:
            The tracks after the frame; the track of each detection (N,), -1 for none; and the id to show for each
            detection (N,), the same but -1 for tentative tracks.
        """
        previous, current, misses = (x.numpy() for x in (assignment.previous, assignment.current, assignment.misses))
        scores = detections.scores.numpy()
        log_odds = memory.curve.log_odds(scores)
        births = self._births(detections.replace(scores=torch.from_numpy(memory.curve.nominal(scores))), assignment)
        detections = detections.replace(scores=torch.from_numpy(expit(log_odds)))
        lost = misses[self._survives(memory, time)[misses]]
        observed = np.concatenate([current, births])
        motion = self._moved(memory.motion, detections, (previous, current, births, lost), time)
        next_id = memory.next_id + len(births)
        ids = np.concatenate([memory.ids[previous], np.arange(memory.next_id, next_id), memory.ids[lost]])
        now, count = log_odds[observed], len(observed)
        evidence = np.concatenate([memory.evidence[previous], now[len(previous) :]])
        evidence[: len(previous)] += (now - evidence)[: len(previous)] / np.minimum(
            memory.hits[previous] + 1, _EVIDENCE_WINDOW
        )
        certainty = _certainty(now, evidence, None if objects is None else objects.numpy()[observed])
        joined = Memory(
            ids=ids,
            confirmed=np.concatenate([memory.confirmed[previous], np.zeros(len(births), bool), memory.confirmed[lost]]),
            motion=motion,
            scores=np.concatenate([detections.scores.numpy()[observed], memory.scores[lost]]),
            labels=np.concatenate([detections.labels.numpy()[observed], memory.labels[lost]]),
            next_id=next_id,
            evidence=np.concatenate([evidence, memory.evidence[lost]]),
            certainty=np.concatenate([certainty, memory.certainty[lost]]),
            curve=memory.curve.follow(time, ids[:count], ids[len(previous) : count], scores[births]),
            **_embeddings(memory, detections.embeddings, previous, observed, lost),
        )
        joined.confirmed[:count] |= self._confirms(joined, certainty, not memory.confirmed.any())
        kept = self._select(joined, time)
        in_memory = np.full(count, True) if kept is None else np.isin(np.arange(count), kept)
        tracks, shown = np.full(len(detections), -1), np.full(len(detections), -1)
        tracks[observed] = np.where(in_memory, joined.ids[:count], -1)
        visible = joined.confirmed[:count] & (certainty >= self.shown_threshold)
        shown[observed] = np.where(visible, tracks[observed], -1)
        return joined if kept is None else joined[kept], torch.from_numpy(tracks), torch.from_numpy(shown)

    def _moved(self, motion: Motion, detections: Detections, rows: tuple[np.ndarray, ...], time: float) -> Motion:
        """Motion of the matched, the new and the lost tracks after the frame, in this order."""
        previous, current, births, lost = rows
        boxes, scores = detections.boxes.double().numpy(), detections.scores.numpy()
        predicted = self.motion.predict(motion, time)
        clear = self.motion.clearness(boxes, current, predicted, previous)
        before, expected, observed = motion[previous], predicted[previous], boxes[current]
        matched = self.motion.update(before, expected, observed, scores[current], time, clear)
        born = self.motion.start(boxes[births], scores[births], time, motion)
        missed = self.motion.compensate_camera(motion[lost], before, expected, observed, time)
        return Motion.join([matched, born, missed])

    def _confirms(self, memory: Memory, certainty: np.ndarray, at_once: bool) -> np.ndarray:
        """Decide which observed tracks, the first rows of ``memory``, the frame confirms (K,), bool."""
        enough = (memory.hits[: len(certainty)] >= self.min_hits) | (certainty >= self.confirm_threshold) | at_once
        return (certainty >= self.object_threshold) & enough

    def _births(self, detections: Detections, assignment: Assignment) -> np.ndarray:
        births = assignment.births.numpy()
        births = births[detections.scores.numpy()[births] >= self.new_track_threshold]
        if self.duplicate_threshold < 1 and len(births):
            # Duplicates may still continue a track: where a detector alternates between an object and a part of it, the
            # part is often the only detection.
            candidates, matched = detections[torch.from_numpy(births)], detections[assignment.current]
            covered, covering = _mask_coverage(candidates, matched)  # (births, matched) each
            stronger = candidates.scores[:, None] > matched.scores[None]
            continued = (covering > self.duplicate_threshold) & (covered > _HALF) & stronger
            earlier = (_mask_coverage(candidates, candidates)[0] > self.duplicate_threshold).tril(diagonal=-1)
            accepted = ~(covered > self.duplicate_threshold).any(dim=1)
            births = births[(accepted & ~continued.any(dim=1) & ~(earlier & accepted).any(dim=1)).numpy()]
        return births

    def _survives(self, memory: Memory, time: float) -> np.ndarray:
        """Decide which tracks stay in memory if they have no observation (M,), bool."""
        waited = np.rint(time - memory.motion.time)
        tentative = waited <= self.max_tentative_time * memory.hits
        return (waited <= self.max_time_since_update) & (memory.confirmed | tentative)

    def _select(self, memory: Memory, time: float) -> np.ndarray | None:
        """Rows of the tracks that stay if there are more than ``max_tracks``, else None."""
        if len(memory) <= self.max_tracks:
            return None
        # The least important first: by time since update, then hits, then score.
        order = np.lexsort((-memory.scores, -memory.hits, np.rint(time - memory.motion.time)))
        return np.sort(order[: self.max_tracks])

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"


def _certainty(now: np.ndarray, mean: np.ndarray, objects: np.ndarray | None) -> np.ndarray:
    """Probability that observed tracks are objects (K,).

    Args:
        now: Evidence of the observation (K,).
        mean: Mean evidence of the observations (K,).
        objects: Log-odds of the affinity (K,), None if it does not estimate them.
    """
    log_odds = 0.6 * mean + 0.4 * now
    # Heads learn from simulated detections: their verdict on those of a real detector weighs little.
    return expit(log_odds if objects is None else log_odds + 0.15 * objects.clip(-1, 5))


def _mask_coverage(objects: Detections, others: Detections) -> tuple[Tensor, Tensor]:
    """Share of each object's mask within each other's mask of its class, and the reverse (N, M). ``objects`` not empty.

    For different classes both are the IoU of the masks. Without masks both are 1 for boxes of different classes with an
    IoU above 0.9, else 0.
    """
    same_class = objects.labels[:, None] == others.labels[None, :]
    if objects.masks is None or others.masks is None:
        same_box = ((box_iou(objects.boxes, others.boxes) > 0.9) & ~same_class).float()
        return same_box, same_box
    extent = objects.boxes[:, 2:] - objects.boxes[:, :2]
    # For large masks every fourth pixel both ways is enough, at a sixteenth of the cost.
    stride = 4 if float(extent.min()) >= 32 else 1
    masks, other_masks = (m[:, ::stride, ::stride].flatten(1).float() for m in (objects.masks, others.masks))
    intersection = (masks @ other_masks.T).cpu()
    area, other_area = masks.sum(dim=1).cpu()[:, None], other_masks.sum(dim=1).cpu()[None, :]
    union = area + other_area - intersection
    covered, covering = (
        intersection / torch.where(same_class, denominator, union).clamp(min=1) for denominator in (area, other_area)
    )
    return covered, covering


def _embeddings(
    memory: Memory, observed: Tensor | None, previous: np.ndarray, rows: np.ndarray, lost: np.ndarray
) -> dict[str, Tensor | None]:
    """Last and mean embedding of the tracks ``previous``, the new ones and the ``lost`` ones; old observations fade.

    Args:
        memory: Tracks before the frame.
        observed: Embeddings of the detections (N, F).
        previous: Rows of the matched tracks.
        rows: Rows of their detections, then of the births.
        lost: Rows of the tracks without an observation.
    """
    if observed is None:
        if len(lost) and memory.embeddings is not None:
            raise ValueError("Expected embeddings of the detections, as those of the tracks, got none")
        return {"embeddings": None, "mean_embeddings": None}
    if len(memory) and memory.embeddings is None:
        raise ValueError("Expected detections without embeddings, as the tracks have none")
    device, index = observed.device, torch.from_numpy
    last = observed[index(rows).to(device)]
    if memory.embeddings is None or memory.mean_embeddings is None:
        return {"embeddings": last, "mean_embeddings": last}
    mean = memory.mean_embeddings[index(previous).to(device)]
    share = 1 / index(np.minimum(memory.hits[previous] + 1, _EMBEDDING_WINDOW)).to(last)
    means = mean + share[:, None] * (last[: len(previous)] - mean), last[len(previous) :]
    missed = index(lost).to(device)
    return {
        "embeddings": torch.cat([last, memory.embeddings[missed]]),
        "mean_embeddings": torch.cat([*means, memory.mean_embeddings[missed]]),
    }
