"""The JSON of the TLTM authors: frames with the annotations of each."""

import gzip
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from tltm_graph.formats.annotations import from_box, to_box, to_crowd, to_id, to_label, to_rle
from tltm_graph.formats.class_maps import YOUTUBE_VIS_2019
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.writer import TracksWriter
from tltm_graph.io import read_json, write_atomically
from tltm_graph.ops import check_rles
from tltm_graph.structures import Observation, Tracks


def read_tltm_json(
    path: str | Path, images: str | Path | None = None, class_names: Sequence[str] = YOUTUBE_VIS_2019
) -> VideoSet:
    """Opens a video file of the TLTM authors.

    Args:
        path: ``{"videos": [{"video_id", "width", "height", "frames": [{"frame_name", "annotations": [{"bbox" [x, y, w,
            h], "category_id" from 1, "track_id", "segmentation", "iscrowd"}]}]}]}``. A video without ``video_id`` (or
            with the -1 that stands for none) is numbered on after the others; one without any ``annotations`` has no
            tracks. Masks may be run lengths or polygons.
        images: Folder that the ``frame_name`` start from.
        class_names: Names of the categories from 1 on, which the file does not have.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or of another kind; what is wrong with an annotation is said, with file, video,
            frame and track, when the tracks of its video are asked for.
    """
    content = read_json(path, "videos in the TLTM authors' format")
    entries = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ValueError(f"Expected videos in the TLTM authors' format in '{path}', got no list of 'videos'")
    names = tuple(class_names)
    given = [entry.get("video_id", -1) if isinstance(entry, dict) else -1 for entry in entries]
    unused = iter(range(max((number for number in given if isinstance(number, int)), default=0) + 1, 1 << 60))
    videos = []
    for number, entry in enumerate(entries):
        where = f"video {number} of '{path}'"
        video_id = given[number] if isinstance(given[number], int) and given[number] >= 0 else next(unused)
        videos.append(_video(entry, video_id, images, len(names), where))
    if len({video.name for video in videos}) < len(videos):
        videos = [replace(video, name=str(video.id)) for video in videos]
    return VideoSet(videos, names, name=str(path))


def _video(entry: Any, video_id: int, images: str | Path | None, num_classes: int, where: str) -> Video:
    try:
        frames = entry["frames"]
        names = [str(frame["frame_name"]) for frame in frames]
        size = (int(entry["height"]), int(entry["width"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"Expected 'width', 'height' and 'frames' with a 'frame_name' in {where}, got {type(error).__name__}: "
            f"{error}"
        ) from error
    name = Path(names[0]).parent.name if names else ""
    labels = {category: category - 1 for category in range(1, num_classes + 1)}
    known = any("annotations" in frame for frame in frames)
    return Video(
        name=name or str(video_id),
        num_frames=len(frames),
        size=size,
        id=video_id,
        images=None if images is None else tuple(Path(images) / file for file in names),
        frame_names=tuple(Path(file).stem for file in names),
        load=partial(_tracks, frames, size, labels, f"{where} ('{name}')") if known else None,
    )


def _tracks(frames: list[dict[str, Any]], size: tuple[int, int], labels: Mapping[int, int], where: str) -> Tracks:
    rows: list[tuple[int, Observation]] = []
    places: list[str] = []
    for frame, content in enumerate(frames):
        seen: set[int] = set()
        entries = content.get("annotations") or []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError(
                f"Expected 'annotations' as a list of objects, got {str(entries)[:60]} in frame {frame} of {where}"
            )
        for entry in entries:
            track_id = entry.get("track_id")
            place = f"track {track_id} in frame {frame} of {where}"
            if to_id(track_id, "track_id", place) in seen:
                raise ValueError(f"Expected each 'track_id' once in a frame, got it again: {place}")
            seen.add(track_id)
            mask = None if entry.get("segmentation") is None else to_rle(entry["segmentation"], size, place)
            label = to_label(entry.get("category_id"), labels, place)
            box = to_box(entry.get("bbox"), mask, place)
            rows.append((frame, Observation(track_id, box, 1.0, label, mask, to_crowd(entry.get("iscrowd"), place))))
            places.append(place)
    masked = [i for i, (_, row) in enumerate(rows) if row.mask is not None]
    check_rles([row.mask for _, row in rows if row.mask is not None], size, lambda i: places[masked[i]])
    try:
        return Tracks.from_observations(rows, size, len(frames))
    except ValueError as error:
        raise ValueError(f"{error}, in {where}") from error


class TltmJsonWriter(TracksWriter):
    """Writes videos in the format of the TLTM authors, whose code reads no other; see :func:`read_tltm_json`."""

    def __init__(
        self, path: str | Path, class_names: Sequence[str] | None = None, category_ids: Sequence[int] | None = None
    ) -> None:
        super().__init__(path, class_names, category_ids)
        self._partial = self.path.with_name(f".{self.path.stem}.{os.getpid()}.videos{self.path.suffix}")
        opening = gzip.open if self.path.suffix == ".gz" else open
        self._file: IO[str] = opening(self._partial, "wt", encoding="utf-8")
        self._separator = '{"videos": [\n'
        self._size: tuple[int, int] | None = None

    def _begin(self, video: Video) -> None:
        self._size = video.size
        self._file.write(f'{self._separator}{{"video_id": {video.id}, "frames": [')
        self._separator = ",\n"

    def _write(self, frame: int, observations: list[Observation]) -> None:
        assert self.video is not None
        entries = []
        for row in observations:
            if row.mask is not None:
                self._size = self._size or (row.mask["size"][0], row.mask["size"][1])
            entries.append(
                {
                    "bbox": from_box(row.box),
                    "category_id": row.label + 1,
                    "track_id": row.id,
                    "segmentation": row.mask,
                    "iscrowd": int(row.crowd),
                }
            )
        stem = self.video.frame_names[frame] if self.video.frame_names else f"{frame:05d}"
        suffix = self.video.images[0].suffix if self.video.images else ".jpg"
        content = {"frame_name": f"{self.video.name}/{stem}{suffix}", "annotations": entries}
        self._file.write((",\n" if frame else "\n") + json.dumps(content, ensure_ascii=False, separators=(",", ":")))

    def _end(self) -> None:
        assert self.video is not None
        if self._size is None:
            raise ValueError(f"Expected the size of video '{self.video.name}', or masks to take it from, got neither")
        self._file.write(f'], "height": {self._size[0]}, "width": {self._size[1]}}}')

    def _close(self) -> None:
        self._file.write('{"videos": []}\n' if self._separator.startswith("{") else "]}\n")
        self._file.close()
        with write_atomically(self.path) as temporary:
            shutil.move(self._partial, temporary)

    def _discard(self) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)
