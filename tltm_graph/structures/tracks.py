from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch

from tltm_graph.ops.rle import Rle, decode_rle, encode_rle
from tltm_graph.structures.detections import Detections


@dataclass(frozen=True)
class Track:
    """One object followed through a video, ordered by frame.

    Args:
        frames: Indices of the frames it was seen in, strictly increasing.
        boxes: (x0, y0, x1, y1) in pixels, one per frame.
        scores: Confidence, one per frame.
        labels: Class index from 0, one per frame.
        masks: Run-length encoded mask, one per frame, or None where only boxes are known.

    Raises:
        ValueError: If the lengths differ or the frames are not strictly increasing.
    """

    frames: tuple[int, ...]
    boxes: tuple[tuple[float, float, float, float], ...]
    scores: tuple[float, ...]
    labels: tuple[int, ...]
    masks: tuple[Rle, ...] | None = None

    def __post_init__(self) -> None:
        lengths = {
            "frames": len(self.frames),
            "boxes": len(self.boxes),
            "scores": len(self.scores),
            "labels": len(self.labels),
        }
        if self.masks is not None:
            lengths["masks"] = len(self.masks)
        if len(set(lengths.values())) > 1 or not self.frames:
            raise ValueError(f"Expected at least one frame and equal lengths in a track, got {lengths}")
        if any(later <= earlier for earlier, later in zip(self.frames, self.frames[1:], strict=False)):
            raise ValueError("Expected the frames of a track to be strictly increasing")

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def score(self) -> float:
        """Mean confidence over the frames the object was seen in."""
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
        rows: dict[int, list[tuple[int, tuple[float, ...], float, int, Rle | None]]] = {}
        last = -1
        for frame, detections in stream:
            last = max(last, frame)
            if detections.ids is None:
                raise ValueError(f"Expected detections with ids, got none in frame {frame}: run them through a Tracker")
            known = detections[detections.ids >= 0]
            assert known.ids is not None
            masks = encode_rle(known.masks) if known.masks is not None else [None] * len(known)
            for i, (box, score, label, mask) in enumerate(
                zip(known.boxes.tolist(), known.scores.tolist(), known.labels.tolist(), masks, strict=True)
            ):
                rows.setdefault(int(known.ids[i]), []).append((frame, tuple(box), score, label, mask))
        tracks = {}
        for track_id, observations in sorted(rows.items()):
            frames, boxes, scores, labels, masks_ = zip(*sorted(observations, key=lambda row: row[0]), strict=True)
            if len({mask is None for mask in masks_}) > 1:
                raise ValueError(f"Expected masks in every frame of track {track_id} or in none, got a mixture")
            tracks[track_id] = Track(frames, boxes, scores, labels, None if masks_[0] is None else masks_)
        return cls(tracks, size, last + 1 if num_frames is None else num_frames)

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
