import json
import os
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tltm_graph.io.atomic import write_atomically
from tltm_graph.ops import encode_rle
from tltm_graph.structures import Detections, Track, Tracks


class TrackWriter:
    """Writes the tracks of one video in the YouTube-VIS results format, frame by frame.

    One entry a track: ``video_id``, ``score`` (mean), ``category_id`` (majority, from 1), ``segmentations`` (one RLE or
    null for each frame). Added to the standard: ``track_id``, ``bboxes`` ([x, y, w, h] or null for each frame) and
    ``scores``, so that the file also serves detectors without masks and can be read back.

    Frames are spooled to disk and the file is put together at the end: memory does not grow with the video. The file
    appears under its name when the writer is closed; if the ``with`` block fails, nothing is left behind.

    Args:
        path: Where to.
        video_id: Written into every entry.
    """

    def __init__(self, path: str | Path, video_id: int = 1) -> None:
        self.path = Path(path)
        self.video_id = video_id
        self.num_frames = 0
        self._spool = self.path.with_name(f".{self.path.stem}.{os.getpid()}.spool")
        self._spool.unlink(missing_ok=True)
        self._database = sqlite3.connect(self._spool)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE seen (track INT, frame INT, score REAL, label INT, box TEXT, rle TEXT)")

    def write(self, frame: int, detections: Detections) -> None:
        """Adds the objects of ``frame`` that have an id."""
        if detections.ids is None:
            raise ValueError(f"Expected detections with ids, got none in frame {frame}: run them through a Tracker")
        known = detections[detections.ids >= 0].to("cpu")
        assert known.ids is not None
        boxes = known.boxes.clone()
        boxes[:, 2:] -= boxes[:, :2]
        rles = (
            [json.dumps(rle) for rle in encode_rle(known.masks)] if known.masks is not None else ["null"] * len(known)
        )
        columns = known.ids, known.scores, known.labels, boxes
        rows = zip(*(column.tolist() for column in columns), rles, strict=True)
        self._database.executemany(
            "INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?)",
            (
                (track, frame, score, label, json.dumps([round(value, 3) for value in box]), rle)
                for track, score, label, box, rle in rows
            ),
        )
        self.num_frames = max(self.num_frames, frame + 1)

    def close(self) -> None:
        """Puts the file together and gives it its name."""
        try:
            self._database.execute("CREATE INDEX by_track ON seen (track, frame)")
            with write_atomically(self.path) as temporary, open(temporary, "w", encoding="utf-8") as file:
                separator = "[\n"
                for track in self._track_ids():
                    file.write(separator + json.dumps(self._entry(track), separators=(",", ":")))
                    separator = ",\n"
                file.write("[]\n" if separator == "[\n" else "\n]\n")
        finally:
            self._drop_spool()

    def _track_ids(self) -> list[int]:
        return [row[0] for row in self._database.execute("SELECT DISTINCT track FROM seen ORDER BY track")]

    def _entry(self, track: int) -> dict[str, Any]:
        query = "SELECT frame, score, label, box, rle FROM seen WHERE track = ? ORDER BY frame"
        frames, scores, labels, boxes, rles = zip(*self._database.execute(query, (track,)), strict=True)
        summary = Track(frames, ((0.0, 0.0, 0.0, 0.0),) * len(frames), scores, labels)
        per_frame: dict[str, list[Any]] = {
            name: [None] * self.num_frames for name in ("segmentations", "bboxes", "scores")
        }
        for frame, score, box, rle in zip(frames, scores, boxes, rles, strict=True):
            per_frame["segmentations"][frame] = json.loads(rle)
            per_frame["bboxes"][frame] = json.loads(box)
            per_frame["scores"][frame] = round(score, 5)
        return {
            "video_id": self.video_id,
            "track_id": track,
            "category_id": summary.label + 1,
            "score": round(summary.score, 5),
            **per_frame,
        }

    def _drop_spool(self) -> None:
        self._database.close()
        self._spool.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._drop_spool()


def read_tracks(path: str | Path, size: tuple[int, int] | None = None) -> Tracks:
    """Reads the tracks that :class:`TrackWriter` wrote for one video.

    Args:
        path: The file.
        size: Height and width of the video; by default that of the masks, if there are any.

    Raises:
        ValueError: If the file is not of this format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a file with tracks, found none at '{path}'")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        tracks = {entry["track_id"]: _track(entry) for entry in entries}
        lengths = {len(entry["bboxes"]) for entry in entries}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"Expected tracks as written by tltm_graph in '{path}', got {type(error).__name__}: {error}"
        ) from error
    masks = next((track.masks for track in tracks.values() if track.masks is not None), None)
    if masks is not None:
        size = masks[0]["size"][0], masks[0]["size"][1]
    return Tracks(tracks, size, max(lengths, default=0))


def _track(entry: dict[str, Any]) -> Track:
    frames = tuple(frame for frame, box in enumerate(entry["bboxes"]) if box is not None)
    masks = tuple(entry["segmentations"][frame] for frame in frames)
    boxes = (entry["bboxes"][frame] for frame in frames)
    return Track(
        frames=frames,
        boxes=tuple((x, y, x + w, y + h) for x, y, w, h in boxes),
        scores=tuple(entry["scores"][frame] for frame in frames),
        labels=(entry["category_id"] - 1,) * len(frames),
        masks=None if None in masks else masks,
    )
