from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, Self

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torchvision.ops import box_convert, box_iou

from tltm_graph.association import Assignment
from tltm_graph.detectors import Detector
from tltm_graph.structures import Detections
from tltm_graph.tracking.memory import Memory
from tltm_graph.tracking.motion import MotionFilters

_EMBEDDING_WINDOW = 30  # observations that the mean embedding averages over
_HALF = 0.5  # share of a mask that a weaker duplicate must cover to suppress a birth


class TrackManagement(Protocol):
    """Rules of a tracker's memory: prediction, birth, confirmation and removal of tracks.

    :class:`TrackManager` is the default, :class:`tltm_graph.published.PublishedTrackManager` the released code's.
    """

    def start(self, device: torch.device | str, next_id: int = 1) -> Any:
        """Create a memory without tracks."""
        ...

    def restore(self, tensors: Mapping[str, Tensor], next_id: int) -> Any:
        """Restore a memory from its ``tensors()``."""
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

    *Confirmation.* A track is confirmed, and its id shown, once the affinity considers it an object rather than a false
    positive. If the affinity does not estimate that, it is confirmed after ``min_hits`` observations or one of score
    ``confirm_threshold``.

    *Removal.* A confirmed track is removed after more than ``max_time_since_update`` frames without an observation, a
    tentative one after more than ``max_tentative_time`` frames for each observation. Beyond ``max_tracks``, the tracks
    lost for longest are removed first.

    Args:
        max_time_since_update: Maximum time since update of a confirmed track, in frames of the video's pace.
        min_hits: Number of observations that confirms a track, at least 1; 1 shows every id at once.
        confirm_threshold: Detection score, in [0, 1], that confirms a track at once.
        new_track_threshold: Minimum detection score, in [0, 1], that starts a track.
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
        confirm_threshold: float = 0.6,
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
        self.confirm_threshold = confirm_threshold
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

    def start(self, device: torch.device | str = "cpu", next_id: int = 1) -> Memory:
        """Create a memory without tracks."""
        return Memory.empty(device, next_id)

    def restore(self, tensors: Mapping[str, Tensor], next_id: int) -> Memory:
        """Restore a memory from :meth:`Memory.tensors`."""
        return Memory.from_tensors(tensors, next_id)

    def predict(self, memory: Memory, time: float) -> Detections:
        """Predict the tracks at ``time``: their last state with the predicted box."""
        boxes = _middle_boxes(self.motion.predict(memory.motion, time))
        return memory.detections.replace(boxes=boxes, ids=memory.ids.to(boxes.device))

    def add_motion(self, graph: HeteroData, memory: Memory, time: float) -> None:
        """Add the motion state and the mean embedding of the tracks to the previous nodes of a graph."""
        motion, nodes = memory.motion, graph["previous"]
        nodes.places, nodes.velocities = self.motion.predict(motion, time), motion.velocities
        nodes.growths = motion.growths
        nodes.observations, nodes.noise, nodes.last = motion.observations, motion.noise, motion.last
        nodes.mean_scores = motion.score
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
            detections: Detections of the frame (N rows), with embeddings if the affinity has some.
            assignment: Matches, births and misses.
            time: Time of the frame, in frames of the video's pace.
            objects: Log-odds that each detection shows an object (N,), None if the affinity does not estimate it.

        Returns:
            The tracks after the frame; the track of each detection (N,), -1 for none; and the id to show for each
            detection (N,), the same but -1 for tentative tracks.
        """
        births = self._births(detections, assignment)
        detections = detections.replace(features=None)
        plain = detections.replace(masks=None)  # masks are large, and later frames do not read them
        clear = self.motion.clearness(plain.boxes, assignment.current, memory.motion, assignment.previous, time)
        before, observed = memory[assignment.previous], plain[assignment.current]
        matched = self._update_matched(before, observed, time, clear)
        born = self._start_tracks(plain[births], memory, time)
        lost = self._update_lost(memory[assignment.misses], before, observed, time)

        joined = Memory.join([matched, born, lost], next_id=memory.next_id + len(born))
        confirmed = joined.confirmed | self._confirm(joined, assignment.current, births, objects)
        joined = replace(joined, confirmed=confirmed)
        kept = self._select(joined, time)
        after = joined[kept]

        tracks = torch.full((len(detections),), -1)
        rows = torch.cat([assignment.current, births])  # their tracks are the first rows of `joined`
        in_memory = torch.isin(torch.arange(len(rows)), kept)
        tracks[rows[in_memory]] = joined.ids[: len(rows)][in_memory]
        shown = torch.where(torch.isin(tracks, after.ids[after.confirmed]), tracks, -1)
        return after, tracks, shown

    def _confirm(self, memory: Memory, current: Tensor, births: Tensor, objects: Tensor | None) -> Tensor:
        """Tracks to confirm (M,), bool. The first rows of ``memory`` are the detections ``current`` and ``births``."""
        if objects is None:
            return (memory.detections.scores >= self.confirm_threshold).cpu() | (memory.hits >= self.min_hits)
        observed = torch.cat([objects.cpu()[current], objects.cpu()[births]]) > 0
        return torch.cat([observed, torch.zeros(len(memory) - len(observed), dtype=torch.bool)])

    def _births(self, detections: Detections, assignment: Assignment) -> Tensor:
        births = assignment.births.to(detections.scores.device)
        accepted = detections.scores[births] >= self.new_track_threshold
        if self.duplicate_threshold < 1 and accepted.any():
            # Duplicates may still continue a track: where a detector alternates between an object and a part of it, the
            # part is often the only detection.
            candidates = detections[births]
            matched = detections[assignment.current]
            covered, covering = _mask_coverage(candidates, matched)  # (births, matched) each
            stronger = candidates.scores[:, None] > matched.scores[None]
            continued = (covering > self.duplicate_threshold) & (covered > _HALF) & stronger
            earlier = (_mask_coverage(candidates, candidates)[0] > self.duplicate_threshold).tril(diagonal=-1)
            accepted &= ~(covered > self.duplicate_threshold).any(dim=1)
            accepted &= ~continued.any(dim=1) & ~(earlier & accepted).any(dim=1)
        return assignment.births[accepted.cpu()]

    def _update_matched(self, tracks: Memory, observed: Detections, time: float, clear: Tensor) -> Memory:
        motion = self.motion.update(tracks.motion, observed.boxes, observed.scores, time, clear)
        return replace(
            tracks,
            motion=motion,
            detections=observed.replace(boxes=_middle_boxes(motion.places)),
            mean_embeddings=_mean_embeddings(observed.embeddings, tracks),
        )

    def _start_tracks(self, detections: Detections, memory: Memory, time: float) -> Memory:
        n, next_id = len(detections), memory.next_id
        return Memory(
            ids=torch.arange(next_id, next_id + n),
            confirmed=torch.zeros(n, dtype=torch.bool),
            motion=self.motion.start(detections.boxes, detections.scores, time, memory.motion),
            detections=detections,
            next_id=next_id + n,
            mean_embeddings=_mean_embeddings(detections.embeddings),
        )

    def _update_lost(self, memory: Memory, matched: Memory, observed: Detections, time: float) -> Memory:
        waited = memory.time_since_update(time).round().cpu()
        tentative = waited <= self.max_tentative_time * memory.hits
        rows = ((waited <= self.max_time_since_update) & (memory.confirmed | tentative)).nonzero().flatten()
        kept = memory[rows]
        motion = self.motion.compensate_camera(kept.motion, matched.motion, observed.boxes, time)
        return replace(kept, motion=motion, detections=kept.detections.replace(boxes=_middle_boxes(motion.places)))

    def _select(self, memory: Memory, time: float) -> Tensor:
        if len(memory) <= self.max_tracks:
            return torch.arange(len(memory))
        # By time since update, then hits, then score; stable sorts, the least important first.
        order = memory.detections.scores.cpu().argsort(descending=True, stable=True)
        order = order[memory.hits[order].argsort(descending=True, stable=True)]
        order = order[memory.time_since_update(time).round().cpu()[order].argsort(stable=True)]
        return order[: self.max_tracks].sort().values

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"


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
    intersection = masks @ other_masks.T
    area, other_area = masks.sum(dim=1)[:, None], other_masks.sum(dim=1)[None, :]
    union = area + other_area - intersection
    covered, covering = (
        intersection / torch.where(same_class, denominator, union).clamp(min=1) for denominator in (area, other_area)
    )
    return covered, covering


def _mean_embeddings(embeddings: Tensor | None, tracks: Memory | None = None) -> Tensor | None:
    """Running mean of the embeddings of each track with one more observation (M, F); old observations fade."""
    if embeddings is None or tracks is None or tracks.mean_embeddings is None:
        return embeddings
    mean = tracks.mean_embeddings
    share = 1 / (tracks.hits + 1).clamp(max=_EMBEDDING_WINDOW).to(embeddings)
    return mean + share[:, None] * (embeddings - mean)


def _middle_boxes(places: Tensor) -> Tensor:
    """Boxes of the middle filter, xyxy (M, 4)."""
    return box_convert(places[:, 1], "cxcywh", "xyxy")
