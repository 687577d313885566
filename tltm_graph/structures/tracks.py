from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch

from tltm_graph.limits import check_length
from tltm_graph.ops.rle import Rle, decode_rle, encode_rle
from tltm_graph.structures.detections import Detections

Box = tuple[float, float, float, float]
"""Corners (x0, y0, x1, y1) in pixels."""


class Observation(NamedTuple):
    """One object in one frame of a track: a row of a file of tracks.

    Args:
        id: Track id, at least 0.
        box: Corners (x0, y0, x1, y1) in pixels.
        score: Confidence.
        label: Class index from 0.
        mask: Run-length encoded mask, or None if only the box is known.
        crowd: Ground truth only: True for a region of several objects, or one that metrics ignore.
        area: Ground truth only: annotated area in pixels, which may differ from that of the mask.
    """

    id: int
    box: Box
    score: float = 1.0
    label: int = 0
    mask: Rle | None = None
    crowd: bool = False
    area: float | None = None


@dataclass(frozen=True)
class Track:
    """One object followed through a video, ordered by frame.

    Args:
        frames: Indices of the frames with an observation, strictly increasing.
        boxes: Corners (x0, y0, x1, y1) in pixels, one per frame.
        scores: Confidence, one per frame.
        labels: Class index from 0, one per frame.
        masks: Run-length encoded mask, one per frame, or None if only boxes are known.
        crowd: Ground truth only: True for a region that metrics ignore, together with predictions on it.
        areas: Ground truth only: annotated area in pixels, one per frame; None for the area of the masks.

    Raises:
        ValueError: If the lengths differ or the frames are not strictly increasing.
    """

    frames: tuple[int, ...]
    boxes: tuple[Box, ...]
    scores: tuple[float, ...]
    labels: tuple[int, ...]
    masks: tuple[Rle, ...] | None = None
    crowd: bool = False
    areas: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        columns = ("frames", "boxes", "scores", "labels", "masks", "areas")
        lengths = {name: len(getattr(self, name)) for name in columns if getattr(self, name) is not None}
        if len(set(lengths.values())) > 1 or not self.frames:
            raise ValueError(f"Expected at least one frame and equal lengths in a track, got {lengths}")
        if any(later <= earlier for earlier, later in pairwise(self.frames)):
            raise ValueError("Expected the frames of a track to be strictly increasing")

    def __len__(self) -> int:
        return len(self.frames)

    def observation(self, track_id: int, position: int) -> Observation:
        """Observation in the frame ``frames[position]``, with the id of the track."""
        return Observation(
            id=track_id,
            box=self.boxes[position],
            score=self.scores[position],
            label=self.labels[position],
            mask=None if self.masks is None else self.masks[position],
            crowd=self.crowd,
            area=None if self.areas is None else self.areas[position],
        )

    @property
    def score(self) -> float:
        """Mean confidence of the observations."""
        if min(self.scores) == max(self.scores):
            return self.scores[0]  # exact: the rounding of a sum would order tracks of equal score
        return sum(self.scores) / len(self.scores)

    @property
    def label(self) -> int:
        """Most frequent class; of equally frequent ones the smallest index."""
        counts = Counter(self.labels)
        return min(counts, key=lambda label: (-counts[label], label))


@dataclass(frozen=True)
class Tracks(Mapping[int, Track]):
    """Mapping from id to track: all objects of one video.

    Args:
        tracks: Tracks by id.
        size: Height and width of the video in pixels; None if unknown, for tracks without masks.
        num_frames: Length of the video, including frames without objects.

    Raises:
        ValueError: If the video is longer than :attr:`tltm_graph.limits.Limits.max_length`, or an id needs more than 63
            bits.
    """

    tracks: dict[int, Track]
    size: tuple[int, int] | None
    num_frames: int

    def __post_init__(self) -> None:
        check_length(self.num_frames, "tracks")
        if max(self.tracks, default=0) >= 2**63:
            raise ValueError(f"Expected track ids below 2⁶³, got {max(self.tracks)}: renumber the tracks")

    @classmethod
    def from_stream(
        cls, stream: Iterable[tuple[int, Detections]], size: tuple[int, int], num_frames: int | None = None
    ) -> "Tracks":
        """Build tracks from the detections that have an id (≥ 0). Frames may come in any order.

        Args:
            stream: Pairs of a frame index and the detections of that frame, with ids.
            size: Height and width of the video in pixels.
            num_frames: Length of the video; None for up to the last frame of the stream.

        Raises:
            ValueError: If detections have no ids, or one track has masks in some frames only.
        """
        last, rows = -1, []
        for frame, detections in stream:
            last = max(last, frame)
            rows += [(frame, observation) for observation in observations_of(frame, detections)]
        return cls.from_observations(rows, size, last + 1 if num_frames is None else num_frames)

    @classmethod
    def from_observations(
        cls,
        observations: Iterable[tuple[int, Observation]],
        size: tuple[int, int] | None,
        num_frames: int | None = None,
    ) -> "Tracks":
        """Build tracks from observations, in any order.

        Args:
            observations: Pairs of a frame index and an :class:`Observation`.
            size: Height and width of the video in pixels, None if unknown.
            num_frames: Length of the video; None for up to the last observation.

        Raises:
            ValueError: If an id occurs twice in a frame, or a track has masks in some frames only.
        """
        rows: dict[int, list[tuple[int, Observation]]] = {}
        last = -1
        for frame, observation in observations:
            last = max(last, frame)
            rows.setdefault(observation.id, []).append((frame, observation))
        tracks = {track_id: _track(track_id, rows.pop(track_id)) for track_id in sorted(rows)}
        return cls(tracks, size, last + 1 if num_frames is None else num_frames)

    def observations(self) -> Iterator[tuple[int, list[Observation]]]:
        """Iterate over all frames of the video in order, with their observations in the order of tracks."""
        position = dict.fromkeys(self.tracks, 0)
        by_frame: dict[int, list[int]] = {}
        for track_id, track in self.tracks.items():
            for frame in track.frames:
                by_frame.setdefault(frame, []).append(track_id)
        for frame in range(self.num_frames):
            rows = []
            for track_id in by_frame.get(frame, ()):
                rows.append(self.tracks[track_id].observation(track_id, position[track_id]))
                position[track_id] += 1
            yield frame, rows

    def at(self, frame: int) -> Detections:
        """Detections of one frame, with ids and decoded masks; empty outside the video."""
        ids, rows = [], []
        for track_id, track in self.tracks.items():
            i = bisect_left(track.frames, frame)
            if i < len(track) and track.frames[i] == frame:
                ids.append(track_id)
                rows.append((track, i))
        masks = [track.masks[i] for track, i in rows if track.masks is not None]
        return Detections(
            boxes=torch.tensor([track.boxes[i] for track, i in rows], dtype=torch.float32).reshape(-1, 4),
            scores=torch.tensor([track.scores[i] for track, i in rows], dtype=torch.float32),
            labels=torch.tensor([track.labels[i] for track, i in rows], dtype=torch.int64),
            masks=decode_rle(masks, (masks[0]["size"][0], masks[0]["size"][1])) if masks else None,
            ids=torch.tensor(ids, dtype=torch.int64),
        )

    def __getitem__(self, track_id: int) -> Track:
        return self.tracks[track_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self.tracks)

    def __len__(self) -> int:
        return len(self.tracks)


def observations_of(frame: int, detections: Detections) -> list[Observation]:
    """Convert the detections of one frame that have an id (≥ 0) to observations.

    Raises:
        ValueError: If the detections have no ids.
    """
    if detections.ids is None:
        raise ValueError(f"Expected detections with ids, got none in frame {frame}: run them through a Tracker")
    tracked = detections[detections.ids >= 0].to("cpu")
    assert tracked.ids is not None
    columns = (tracked.ids, tracked.boxes, tracked.scores, tracked.labels)
    masks = encode_rle(tracked.masks) if tracked.masks is not None else [None] * len(tracked)
    return [
        Observation(track_id, tuple(box), score, label, mask)
        for track_id, box, score, label, mask in zip(*(column.tolist() for column in columns), masks, strict=True)
    ]


def _track(track_id: int, rows: list[tuple[int, Observation]]) -> Track:
    rows.sort(key=lambda row: row[0])
    frames = tuple(frame for frame, _ in rows)
    for frame, following in pairwise(frames):
        if frame == following:
            raise ValueError(f"Expected each id at most once in a frame, got id {track_id} twice in frame {frame}")
    _, boxes, scores, labels, masks, crowd, areas = zip(*(observation for _, observation in rows), strict=True)
    if len({mask is None for mask in masks}) > 1:
        raise ValueError(f"Expected masks in every frame of track {track_id} or in none, got them in some")
    return Track(
        frames=frames,
        boxes=boxes,
        scores=scores,
        labels=labels,
        masks=None if masks[0] is None else masks,
        crowd=all(crowd),
        areas=None if None in areas else areas,
    )
