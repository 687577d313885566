"""Annotations of YouTube-VIS 2019 and 2021 and of OVIS."""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tltm_graph.formats.annotations import (
    JsonEntriesWriter,
    fill_boxes,
    from_box,
    inside,
    is_integer,
    read_categories,
    to_box,
    to_crowd,
    to_id,
    to_label,
    to_rle,
    to_score,
    to_size,
)
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.io.json_lists import JsonListReader
from tltm_graph.io.spool import Spool
from tltm_graph.io.text import shown
from tltm_graph.ops.rle import Rle, check_rles, rle_areas
from tltm_graph.structures import Observation, Track, Tracks

_WHAT = "YouTube-VIS annotations"


def read_youtube_vis(path: str | Path, images: str | Path | None = None) -> VideoSet:
    """Open an annotation file of YouTube-VIS 2019 or 2021 or of OVIS.

    The file is parsed once and kept as text. The annotations of a video are read when its tracks are; masks stay
    encoded. The name of a video is that of the folder of its frames.

    Args:
        path: ``{"videos": [{"id", "width", "height", "length", "file_names"}], "categories": [{"id", "name"}],
            "annotations": [{"id", "video_id", "category_id", "segmentations", "bboxes", "areas", "iscrowd"}]}``, with
            an entry or null for each frame in ``segmentations``, ``bboxes`` and ``areas``. Masks are polygons or run
            lengths, compressed or not; ``bboxes``, ``areas`` and ``iscrowd`` are optional. The id of an annotation is
            the id of the track. Without the list ``annotations`` the videos have no tracks.
        images: Folder that the ``file_names`` are relative to.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or of another kind. An error in an annotation is raised, with file, video,
            annotation and frame, when the tracks of its video are read.
    """
    parts = JsonListReader(path, "annotations", "video_id", _WHAT)
    class_names, category_ids = read_categories(parts.content, path)
    labels = {category_id: label for label, category_id in enumerate(category_ids)}
    entries, annotations = parts.content.get("videos"), parts.content.get("annotations")
    if annotations is not None:  # a list is not in the content
        raise ValueError(f"Expected 'annotations' as a list or null in '{path}', got a {type(annotations).__name__}")
    if not isinstance(entries, list):
        raise ValueError(f"Expected {_WHAT} in '{path}', got no list of 'videos': it is of another format")
    videos = [_video(entry, f"video {number} of '{path}'", images) for number, entry in enumerate(entries)]
    unknown = sorted(set(parts.keys()) - {video.id for video in videos}, key=str)
    if unknown:
        raise ValueError(f"Expected annotations of the {len(videos)} videos of '{path}', got video {shown(unknown[0])}")
    if len({video.name for video in videos}) < len(videos):
        videos = [replace(video, name=str(video.id)) for video in videos]  # frames of several videos in one folder
    if parts.found:
        videos = [replace(video, load=partial(_load_tracks, parts, video, labels)) for video in videos]
    return VideoSet(videos, class_names, category_ids, name=str(path))


def _video(entry: Any, where: str, images: str | Path | None) -> Video:
    try:
        names = entry["file_names"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError("'file_names' is no list of names")
        video_id, size = entry["id"], to_size(entry["height"], entry["width"], where)
    except (KeyError, TypeError) as error:
        raise ValueError(f"Expected 'id', 'height', 'width' and 'file_names' in {where}, got {error!r}") from error
    if not is_integer(video_id):
        raise ValueError(f"Expected a whole number as 'id' in {where}, got {shown(video_id)}")
    if entry.get("length", len(names)) != len(names):
        raise ValueError(f"Expected {shown(entry['length'])} file names as 'length' says, got {len(names)} in {where}")
    return Video(
        name=Path(names[0]).parent.name or str(video_id) if names else str(video_id),
        num_frames=len(names),
        size=size,
        id=video_id,
        images=None if images is None else tuple(inside(images, name, where) for name in names),
        frame_names=tuple(Path(name).stem for name in names),
    )


def _load_tracks(parts: JsonListReader, video: Video, labels: Mapping[int, int]) -> Tracks:
    tracks: dict[int, Track] = {}
    num_frames = video.num_frames or 0
    for number, entry in parts.elements(video.id):
        where = f"annotation {shown(entry.get('id', number))} of video '{video.name}' in '{parts.path}'"
        track_id = to_id(entry.get("id"), "id", where)
        if track_id in tracks:
            raise ValueError(f"Expected each annotation once, got the id twice: {where}")
        label = to_label(entry.get("category_id"), labels, where)
        columns = frame_columns(entry, ("segmentations", "bboxes", "areas"), num_frames, where)
        crowd = to_crowd(entry.get("iscrowd"), where)
        tracks[track_id] = whole_track(columns, video, label, [1.0] * num_frames, crowd, where)
    return Tracks(tracks, video.size, num_frames)


class TrackEntriesWriter(JsonEntriesWriter):
    """Base of the writers of one entry for each track, which are written when a video ends."""

    _spool: Spool | None = None

    @abstractmethod
    def _entry(self, track_id: int, track: Track, where: str) -> dict[str, Any]: ...

    def _begin(self, video: Video) -> None:
        super()._begin(video)
        self._spool = Spool(self.path)

    def _write(self, frame: int, observations: list[Observation]) -> None:
        assert self._spool is not None
        self._spool.add(frame, observations)

    def _end(self) -> None:
        assert self.video is not None
        assert self._spool is not None
        for track_id in self._spool.track_ids():
            where = f"track {track_id} of video '{self.video.name}'"
            self._opened().add(self._entry(track_id, self._spool.track(track_id), where), where)
        self._spool.close()
        self._spool = None

    def _discard(self) -> None:
        super()._discard()
        if self._spool is not None:
            self._spool.close()
            self._spool = None


class YoutubeVisWriter(TrackEntriesWriter):
    """Write annotations in the format of YouTube-VIS, to train and score with other software.

    Annotation ids are unique in the file, track ids only in their video. The ids of a video are kept if they are all
    above those of the videos before; otherwise its annotations are numbered from there on. Frames are named
    ``<video>/<frame>``, with the suffix of the video's images. ``areas`` are the annotated ones, or else the pixels of
    the masks. A video needs a size or a mask.
    """

    _head = '{"annotations": ['

    def __init__(
        self, path: str | Path, class_names: Sequence[str] | None = None, category_ids: Sequence[int] | None = None
    ) -> None:
        super().__init__(path, class_names or ("object",), category_ids)
        self._videos: list[dict[str, Any]] = []
        self._last_id = 0
        self._keep_ids = True
        self._size: tuple[int, int] | None = None

    def _end(self) -> None:
        assert self.video is not None
        assert self._spool is not None
        ids = self._spool.track_ids()
        self._keep_ids = not ids or ids[0] > self._last_id
        self._size = self.video.size
        super()._end()
        if self._size is None:
            raise ValueError(f"Expected the size of video '{self.video.name}', or masks to take it from, got neither")
        stems = self.video.frame_names or tuple(f"{frame:05d}" for frame in range(self.num_frames))
        suffix = self.video.images[0].suffix if self.video.images else ".jpg"
        self._videos.append(
            {
                "id": self.video.id,
                "width": self._size[1],
                "height": self._size[0],
                "length": self.num_frames,
                "file_names": [f"{self.video.name}/{stem}{suffix}" for stem in stems[: self.num_frames]],
            }
        )

    def _entry(self, track_id: int, track: Track, where: str) -> dict[str, Any]:
        assert self.video is not None
        if self._size is None and track.masks is not None:
            self._size = track.masks[0]["size"][0], track.masks[0]["size"][1]
        self._last_id = track_id if self._keep_ids else self._last_id + 1
        areas = track.areas or (None if track.masks is None else rle_areas(track.masks).tolist())
        return {
            "id": self._last_id,
            "video_id": self.video.id,
            "category_id": self.category_id(track.label),
            "iscrowd": int(track.crowd),
            "length": self.num_frames,
            "segmentations": by_frame(track.frames, track.masks, self.num_frames),
            "bboxes": by_frame(track.frames, [from_box(box) for box in track.boxes], self.num_frames),
            "areas": by_frame(track.frames, areas, self.num_frames),
        }

    def _tail(self) -> str:
        members = {"categories": self._categories(), "videos": self._videos}
        text = ",\n".join(f'"{name}": {json.dumps(value, ensure_ascii=False)}' for name, value in members.items())
        return f"],\n{text}}}\n"


def frame_columns(
    entry: dict[str, Any], names: Sequence[str], num_frames: int, where: str
) -> dict[str, list[Any] | None]:
    """Take the lists of an annotation or a result that hold a value or null for each frame of the video.

    Args:
        entry: The annotation or result.
        names: Names of the lists, "segmentations" and "bboxes" among them; a list may be missing.
        num_frames: Length of the video.
        where: Name of the entry, for error messages.

    Raises:
        ValueError: If a list has another length, or there are neither masks nor boxes.
    """
    columns = {name: entry.get(name) for name in names}
    for name, values in columns.items():
        if values is not None and (not isinstance(values, list) or len(values) != num_frames):
            length = len(values) if isinstance(values, list) else type(values).__name__
            raise ValueError(
                f"Expected '{name}' with an entry or null for each of the {num_frames} frames, got {length} in {where}"
            )
    if columns["segmentations"] is None and columns["bboxes"] is None:
        raise ValueError(f"Expected 'segmentations' or 'bboxes', got neither in {where}")
    return columns


def whole_track(
    columns: Mapping[str, list[Any] | None], video: Video, label: int, scores: list[float], crowd: bool, where: str
) -> Track:
    """Make a track from one value for each frame: its frames are those with a mask or, without any mask, with a box.

    An empty mask stands for null. A track without a frame becomes one empty mask in the first frame, because it still
    counts as missed or as a false positive.

    Args:
        columns: Masks, boxes and areas, from :func:`frame_columns`.
        video: Video of the track.
        label: Class index of the track.
        scores: Score of each frame of the video.
        crowd: Region that is not scored.
        where: Name of the entry, for error messages.

    Raises:
        ValueError: If a mask, box or area is not valid, or a track without a frame is in a video of unknown size.
    """
    segmentations, boxes, areas = columns["segmentations"], columns["bboxes"], columns.get("areas")
    masks: tuple[Rle, ...] | None = None
    frames = [frame for frame, mask in enumerate(segmentations or ()) if mask is not None]
    size = video.size or (0, 0)
    if frames:
        assert segmentations is not None
        masks = tuple(to_rle(segmentations[frame], size, f"frame {frame} of {where}") for frame in frames)
        check_rles(masks, size, lambda i: f"frame {frames[i]} of {where}")
        filled = np.flatnonzero(rle_areas(masks)).tolist()
        if filled:
            frames, masks = [frames[i] for i in filled], tuple(masks[i] for i in filled)
    else:
        frames = [frame for frame, box in enumerate(boxes or ()) if box is not None]
    if not frames:
        if video.size is None or not video.num_frames:
            raise ValueError(f"Expected a mask or a box in at least one frame, got none in {where}")
        empty = {"size": list(size), "counts": [size[0] * size[1]]}
        frames, boxes, areas, masks = [0], None, None, (to_rle(empty, size, "an empty mask"),)
    given = [None if boxes is None else boxes[frame] for frame in frames]
    filled_boxes = given if masks is None else fill_boxes(given, masks)
    corners = tuple(to_box(box, f"frame {frame} of {where}") for frame, box in zip(frames, filled_boxes, strict=True))
    track_areas = None if areas is None else [areas[frame] for frame in frames]
    return Track(
        frames=tuple(frames),
        boxes=corners,
        scores=tuple(scores[frame] for frame in frames),
        labels=(label,) * len(frames),
        masks=masks,
        crowd=crowd,
        areas=None if not track_areas or None in track_areas else tuple(to_score(area, where) for area in track_areas),
    )


def by_frame(frames: Sequence[int], values: Sequence[Any] | None, num_frames: int) -> list[Any]:
    """Spread values over all frames of a video, with None for the other frames and without ``values``."""
    column: list[Any] = [None] * num_frames
    for frame, value in zip(frames, values or (), strict=False):
        column[frame] = value
    return column
