"""JSON files of the TLTM authors: videos, their frames, and the annotations of each frame."""

import gzip
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from tltm_graph.formats.annotations import (
    check_masks,
    fill_boxes,
    from_box,
    inside,
    is_integer,
    to_box,
    to_crowd,
    to_id,
    to_label,
    to_rle,
)
from tltm_graph.formats.class_maps import YOUTUBE_VIS_2019
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.writer import TracksWriter
from tltm_graph.io.output import roll_back, write_atomically
from tltm_graph.io.text import read_json, shown
from tltm_graph.limits import check_pixels
from tltm_graph.ops.rle import Rle
from tltm_graph.structures import Observation, Tracks


def read_tltm_json(
    path: str | Path, images: str | Path | None = None, class_names: Sequence[str] = YOUTUBE_VIS_2019
) -> VideoSet:
    """Open a video file of the TLTM authors.

    Args:
        path: ``{"videos": [{"video_id", "width", "height", "frames": [{"frame_name", "annotations": [{"bbox" [x, y, w,
            h], "category_id" from 1, "track_id", "segmentation", "iscrowd"}]}]}]}``. A video without ``video_id``, or
            with -1, gets a number after all others. A video without any ``annotations`` has no tracks. Masks are run
            lengths or polygons.
        images: Folder that the ``frame_name`` are relative to.
        class_names: Names of the categories from 1; the file does not have them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or of another kind. An error in an annotation is raised, with file, video, frame
            and track, when the tracks of its video are read.
    """
    content = read_json(path, "videos in the TLTM authors' format")
    entries = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ValueError(f"Expected videos in the TLTM authors' format in '{path}', got no list of 'videos'")
    names = tuple(class_names)
    ids = [entry.get("video_id", -1) if isinstance(entry, dict) else -1 for entry in entries]
    next_id = max((video_id for video_id in ids if is_integer(video_id)), default=0) + 1
    videos = []
    for number, (entry, video_id) in enumerate(zip(entries, ids, strict=True)):
        if not is_integer(video_id) or video_id < 0:
            video_id, next_id = next_id, next_id + 1
        videos.append(_video(entry, video_id, images, len(names), f"video {number} of '{path}'"))
    if len({video.name for video in videos}) < len(videos):
        videos = [replace(video, name=str(video.id)) for video in videos]
    return VideoSet(videos, names, name=str(path))


def _video(entry: Any, video_id: int, images: str | Path | None, num_classes: int, where: str) -> Video:
    try:
        frames = entry["frames"]
        names = [str(frame["frame_name"]) for frame in frames]
        size = (int(entry["height"]), int(entry["width"]))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(
            f"Expected 'width', 'height' and 'frames' with a 'frame_name' in {where}, got {shown(error)}"
        ) from error
    check_pixels(*size, where)
    name = Path(names[0]).parent.name if names else ""
    labels = {category: category - 1 for category in range(1, num_classes + 1)}
    annotated = any("annotations" in frame for frame in frames)
    return Video(
        name=name or str(video_id),
        num_frames=len(frames),
        size=size,
        id=video_id,
        images=None if images is None else tuple(inside(images, file, where) for file in names),
        frame_names=tuple(Path(file).stem for file in names),
        load=partial(_load_tracks, frames, size, labels, f"{where} ('{name}')") if annotated else None,
    )


def _load_tracks(frames: list[dict[str, Any]], size: tuple[int, int], labels: Mapping[int, int], where: str) -> Tracks:
    rows: list[tuple[int, int, dict[str, Any]]] = []
    masks: list[Rle | None] = []
    places: list[str] = []
    for frame, content in enumerate(frames):
        track_ids: set[int] = set()
        entries = content.get("annotations") or []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError(
                f"Expected 'annotations' as a list of objects, got {shown(entries)} in frame {frame} of {where}"
            )
        for entry in entries:
            track_id = entry.get("track_id")
            place = f"track {shown(track_id)} in frame {frame} of {where}"
            if to_id(track_id, "track_id", place) in track_ids:
                raise ValueError(f"Expected each 'track_id' once in a frame, got it again: {place}")
            track_ids.add(track_id)
            masks.append(None if entry.get("segmentation") is None else to_rle(entry["segmentation"], size, place))
            rows.append((frame, track_id, entry))
            places.append(place)
    check_masks(masks, size, places.__getitem__)
    boxes = fill_boxes([entry.get("bbox") for _, _, entry in rows], masks)
    observations = []
    for (frame, track_id, entry), mask, box, place in zip(rows, masks, boxes, places, strict=True):
        label, crowd = to_label(entry.get("category_id"), labels, place), to_crowd(entry.get("iscrowd"), place)
        observations.append((frame, Observation(track_id, to_box(box, place), 1.0, label, mask, crowd)))
    try:
        return Tracks.from_observations(observations, size, len(frames))
    except ValueError as error:
        raise ValueError(f"{error}, in {where}") from error


class TltmJsonWriter(TracksWriter):
    """Write videos in the format of the TLTM authors, the only one their code reads; see :func:`read_tltm_json`."""

    def __init__(
        self, path: str | Path, class_names: Sequence[str] | None = None, category_ids: Sequence[int] | None = None
    ) -> None:
        super().__init__(path, class_names, category_ids)
        self._output = ExitStack()
        temporary = self._output.enter_context(write_atomically(self.path))
        opening = gzip.open if self.path.suffix == ".gz" else open
        self._file: IO[str] = self._output.enter_context(opening(temporary, "wt", encoding="utf-8"))
        self._separator = '{"videos": [\n'
        self._size: tuple[int, int] | None = None

    def _begin(self, video: Video) -> None:
        self._size = video.size
        self._file.write(f'{self._separator}{{"video_id": {video.id}, "frames": [')
        self._separator = ",\n"

    def _write(self, frame: int, observations: list[Observation]) -> None:
        assert self.video is not None
        entries = []
        for observation in observations:
            mask = observation.mask
            if self._size is None and mask is not None:
                self._size = mask["size"][0], mask["size"][1]
            entries.append(
                {
                    "bbox": from_box(observation.box),
                    "category_id": observation.label + 1,
                    "track_id": observation.id,
                    "segmentation": mask,
                    "iscrowd": int(observation.crowd),
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
        self._output.close()

    def _discard(self) -> None:
        roll_back(self._output)
