from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch

from tltm_graph.ops.rle import Rle, decode_rle, encode_rle
from tltm_graph.structures.detections import Detections

Box = tuple[float, float, float, float]
"""Corners (x0, y0, x1, y1) in pixels."""


class Observation(NamedTuple):
    """One object in one frame, the row that files of tracks are made of.

    Args:
        id: Of the track, at least 0.
        box: (x0, y0, x1, y1) in pixels.
        score: Confidence.
        label: Class index from 0.
        mask: Run-length encoded mask, None where only the box is known.
        crowd: Truth only: a region of several objects that nobody told apart, or one that is not to be scored.
        area: Truth only: pixels of the object according to the annotation, which may differ from the mask's.
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
        frames: Indices of the frames it was seen in, strictly increasing.
        boxes: (x0, y0, x1, y1) in pixels, one per frame.
        scores: Confidence, one per frame.
        labels: Class index from 0, one per frame.
        masks: Run-length encoded mask, one per frame, or None where only boxes are known.
        crowd: Truth only: not one object but a region that is not to be scored; predictions on it do not count.
        areas: Truth only: pixels according to the annotation, one per frame; None to count those of the masks.

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
        lengths = {
            "frames": len(self.frames),
            "boxes": len(self.boxes),
            "scores": len(self.scores),
            "labels": len(self.labels),
        }
        if self.masks is not None:
            lengths["masks"] = len(self.masks)
        if self.areas is not None:
            lengths["areas"] = len(self.areas)
        if len(set(lengths.values())) > 1 or not self.frames:
            raise ValueError(f"Expected at least one frame and equal lengths in a track, got {lengths}")
        if any(later <= earlier for earlier, later in pairwise(self.frames)):
            raise ValueError("Expected the frames of a track to be strictly increasing")

    def __len__(self) -> int:
        return len(self.frames)

    def observation(self, track_id: int, position: int) -> Observation:
        """The row at ``position`` of the track's frames."""
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
        """Mean confidence over the frames the object was seen in."""
        if min(self.scores) == max(self.scores):
            return self.scores[0]  # exactly: a sum would round, and order tracks that a file scores alike
        return sum(self.scores) / len(self.scores)

    @property
    def label(self) -> int:
        """The class seen most often; the smallest index of those seen equally often."""
        counts = Counter(self.labels)
        return min(counts, key=lambda label: (-counts[label], label))


@dataclass(frozen=True)
class Tracks(Mapping[int, Track]):
    """All objects of one video, by id.

    Args:
        tracks: Track of each id.
        size: Height and width of the video in pixels, None if unknown and there are no masks.
        num_frames: Length of the video, counting frames in which nothing was seen.
    """

    tracks: dict[int, Track]
    size: tuple[int, int] | None
    num_frames: int

    @classmethod
    def from_stream(
        cls, stream: Iterable[tuple[int, Detections]], size: tuple[int, int], num_frames: int | None = None
    ) -> "Tracks":
        """Collects the detections that have an id (≥ 0); the frames may come in any order.

        Args:
            stream: Pairs of frame index and the detections of that frame, with ids.
            size: Height and width of the video in pixels.
            num_frames: Length of the video; by default up to the last frame of the stream.

        Raises:
            ValueError: If detections have no ids, or one track has masks in some frames only.
        """
        last = -1

        def rows() -> Iterator[tuple[int, Observation]]:
            nonlocal last
            for frame, detections in stream:
                last = max(last, frame)
                for observation in observations_of(frame, detections):
                    yield frame, observation

        tracks = cls.from_observations(rows(), size, 0).tracks
        return cls(tracks, size, last + 1 if num_frames is None else num_frames)

    @classmethod
    def from_observations(
        cls,
        observations: Iterable[tuple[int, Observation]],
        size: tuple[int, int] | None,
        num_frames: int | None = None,
    ) -> "Tracks":
        """Collects pairs of frame index and observation, in any order.

        Args:
            observations: Pairs of frame index and :class:`Observation`.
            size: Height and width of the video in pixels, None if unknown.
            num_frames: Length of the video; by default up to the last observation.

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
        """Every frame of the video in order with what is seen in it, in the order of the ids; masks stay encoded."""
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
        """The objects of one frame, masks decoded, ids attached; empty beyond the ends of the video."""
        ids, rows = [], []
        for track_id, track in self.tracks.items():
            i = bisect_left(track.frames, frame)
            if i < len(track) and track.frames[i] == frame:
                ids.append(track_id)
                rows.append((track, i))
        masks = [track.masks[i] for track, i in rows if track.masks is not None]
        return Detections(
            boxes=torch.tensor([track.boxes[i] for track, i in rows]).reshape(-1, 4),
            scores=torch.tensor([track.scores[i] for track, i in rows]),
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
    """The objects of one frame that have an id (≥ 0), as rows.

    Raises:
        ValueError: If the detections have no ids.
    """
    if detections.ids is None:
        raise ValueError(f"Expected detections with ids, got none in frame {frame}: run them through a Tracker")
    known = detections[detections.ids >= 0].to("cpu")
    assert known.ids is not None
    columns = (known.ids, known.boxes, known.scores, known.labels)
    masks = encode_rle(known.masks) if known.masks is not None else [None] * len(known)
    return [
        Observation(track_id, tuple(box), score, label, mask)
        for track_id, box, score, label, mask in zip(*(column.tolist() for column in columns), masks, strict=True)
    ]


def _track(track_id: int, rows: list[tuple[int, Observation]]) -> Track:
    rows.sort(key=lambda row: row[0])
    frames = tuple(frame for frame, _ in rows)
    for frame, after in pairwise(frames):
        if frame == after:
            raise ValueError(f"Expected each id at most once in a frame, got id {track_id} twice in frame {frame}")
    _, boxes, scores, labels, masks, crowd, areas = zip(*(observation for _, observation in rows), strict=True)
    if len({mask is None for mask in masks}) > 1:
        raise ValueError(f"Expected masks in every frame of track {track_id} or in none, got a mixture")
    return Track(
        frames=frames,
        boxes=boxes,
        scores=scores,
        labels=labels,
        masks=None if masks[0] is None else masks,
        crowd=all(crowd),
        areas=None if None in areas else areas,
    )
