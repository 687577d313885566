"""YouTube-VIS 2019 and 2021 and OVIS: annotations, and the results that their servers take."""

import json
import os
import shutil
import zipfile
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tltm_graph.data.annotations import categories_of, from_box, to_box, to_label, to_rle, to_score
from tltm_graph.data.video import Video, VideoSet
from tltm_graph.data.writer import TracksWriter
from tltm_graph.io import JsonParts, Spool, read_json, write_atomically
from tltm_graph.ops import Rle, check_rles, rle_areas
from tltm_graph.structures import Detections, Sighting, Track, Tracks, sightings_of

_WHAT = "YouTube-VIS annotations"


def read_youtube_vis(path: str | Path, images: str | Path | None = None) -> VideoSet:
    """Opens an annotation file of YouTube-VIS 2019 or 2021 or of OVIS, with or without annotations in it.

    The file is parsed once and kept as text; the annotations of a video are read when its tracks are asked for, and
    masks stay encoded even then. A video is called like the folder of its frames.

    Args:
        path: ``{"videos": [{"id", "width", "height", "length", "file_names"}], "categories": [{"id", "name"}],
            "annotations": [{"id", "video_id", "category_id", "segmentations", "bboxes", "areas", "iscrowd"}]}``, with
            an entry or null for each frame in ``segmentations``, ``bboxes`` and ``areas``. Masks may be compressed or
            uncompressed run lengths or polygons; ``bboxes``, ``areas`` and ``iscrowd`` may be left out. The id of an
            annotation becomes the id of the track. Without the list ``annotations`` the videos have no tracks.
        images: Folder that the ``file_names`` start from.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or of another kind. What is wrong with an annotation is said, with file, video,
            annotation and frame, when the tracks of its video are asked for.
    """
    parts = JsonParts(path, "annotations", "video_id", _WHAT)
    class_names, category_ids = categories_of(parts.content, path)
    labels = {category_id: label for label, category_id in enumerate(category_ids)}
    entries = parts.content.get("videos")
    if not isinstance(entries, list):
        raise ValueError(f"Expected {_WHAT} in '{path}', got no list of 'videos': it is of another format")
    videos = [_video(entry, f"video {number} of '{path}'", images) for number, entry in enumerate(entries)]
    unknown = sorted(set(parts.keys()) - {video.id for video in videos}, key=str)
    if unknown:
        raise ValueError(
            f"Expected annotations of the {len(videos)} videos of '{path}', got some of video {unknown[0]}"
        )
    if len({video.name for video in videos}) < len(videos):
        videos = [replace(video, name=str(video.id)) for video in videos]  # frames of several in one folder
    if parts.found:
        videos = [replace(video, load=partial(_annotated, parts, video, labels)) for video in videos]
    return VideoSet(videos, class_names, category_ids, name=str(path))


def _video(entry: Any, where: str, images: str | Path | None) -> Video:
    try:
        names = [str(name) for name in entry["file_names"]]
        video_id, size = entry["id"], (entry["height"], entry["width"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"Expected 'id', 'height', 'width' and 'file_names' in {where}, got {type(error).__name__}: {error}"
        ) from error
    if not isinstance(video_id, int) or not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(f"Expected whole numbers as 'id', 'height' and 'width' in {where}, got {video_id} and {size}")
    if entry.get("length", len(names)) != len(names):
        raise ValueError(f"Expected {entry['length']} file names as 'length' says, got {len(names)} in {where}")
    return Video(
        name=Path(names[0]).parent.name or str(video_id) if names else str(video_id),
        num_frames=len(names),
        size=size,
        id=video_id,
        images=None if images is None else tuple(Path(images) / name for name in names),
        frame_names=tuple(Path(name).stem for name in names),
    )


def _annotated(parts: JsonParts, video: Video, labels: Mapping[int, int]) -> Tracks:
    tracks: dict[int, Track] = {}
    for number, entry in parts.elements(video.id):
        where = f"annotation {entry.get('id', number)} of video '{video.name}' in '{parts.path}'"
        track_id = entry.get("id")
        if not isinstance(track_id, int) or track_id < 0:
            raise ValueError(f"Expected a whole number of at least 0 as 'id', got {track_id!r} in {where}")
        if track_id in tracks:
            raise ValueError(f"Expected each annotation once, got the id twice: {where}")
        label = to_label(entry.get("category_id"), labels, where)
        columns = _columns(entry, ("segmentations", "bboxes", "areas"), video.num_frames or 0, where)
        tracks[track_id] = _whole_track(
            columns, video, label, [1.0] * (video.num_frames or 0), bool(entry.get("iscrowd", 0)), where
        )
    return Tracks(tracks, video.size, video.num_frames or 0)


def read_youtube_vis_results(path: str | Path, videos: VideoSet | None = None) -> VideoSet:
    """Opens results in the format of the YouTube-VIS servers, or of ``tltm-graph track``: a JSON file, or a zip of one.

    Args:
        path: A list of ``{"video_id", "category_id", "score", "segmentations"}``, with a mask or null for each frame.
            What :class:`YoutubeVisResultsWriter` adds is used where it is there: ``track_id``, ``bboxes`` and
            ``scores`` for each frame. Without ``track_id`` tracks are numbered from 0 in the order of the file.
        videos: The data set the results are for, whose videos and classes are looked up. Without it, a video is called
            by its number and has the length of its longest track, and categories count from 1.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or of another kind, or has a result for a video or a class that ``videos`` does not
            have, of another length or with masks of another size; with file, entry and frame.
    """
    entries = _result_entries(Path(path))
    by_video: dict[int, list[tuple[int, dict[str, Any]]]] = {} if videos is None else {v.id: [] for v in videos}
    for number, entry in enumerate(entries):
        video_id = entry.get("video_id") if isinstance(entry, dict) else None
        if not isinstance(video_id, int):
            raise ValueError(f"Expected tracks with a 'video_id' in '{path}', got {str(entry)[:60]} as entry {number}")
        if videos is not None and video_id not in by_video:
            raise ValueError(
                f"Expected results for the {len(videos)} videos of '{videos.name}', got some for video {video_id} in "
                f"entry {number} of '{path}': the results are of another data set"
            )
        by_video.setdefault(video_id, []).append((number, entry))
    known = {} if videos is None else {video.id: video for video in videos}
    category_ids = None if videos is None else videos.category_ids
    labels = None if category_ids is None else {category: label for label, category in enumerate(category_ids)}
    results = []
    for video_id, rows in by_video.items():
        video = known.get(video_id) or _guessed_video(video_id, rows, path)
        load = partial(_result_tracks, rows, video, labels, path)
        results.append(replace(video, images=None, load=load, label_map=None))
    return VideoSet(results, None if videos is None else videos.class_names, category_ids, name=str(path))


def read_tracks(path: str | Path, size: tuple[int, int] | None = None) -> Tracks:
    """The tracks of the only video in a file of results, such as ``tltm-graph track`` writes.

    Args:
        path: See :func:`read_youtube_vis_results`.
        size: Height and width of the video; by default that of the masks, if there are any.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or of another kind, or has several videos.
    """
    videos = read_youtube_vis_results(path)
    if len(videos) > 1:
        raise ValueError(f"Expected tracks of one video in '{path}', got {len(videos)} videos")
    tracks = videos[0].tracks() if videos else Tracks({}, None, 0)
    return tracks if tracks.size is not None else replace(tracks, size=size)


def _result_entries(path: Path) -> list[Any]:
    what = "YouTube-VIS results"
    if path.suffix == ".zip" and path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if name.endswith(".json")]
                if len(names) != 1:
                    raise ValueError(f"Expected one JSON file in '{path}', got {names}")
                content = json.loads(archive.read(names[0]))
        except (zipfile.BadZipFile, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"Expected {what} in '{path}', got a damaged file: {error}") from error
    else:
        content = read_json(path, what)
    if not isinstance(content, list):
        raise ValueError(f"Expected {what} in '{path}', a list with one entry a track, got a {type(content).__name__}")
    return content


def _guessed_video(video_id: int, rows: list[tuple[int, dict[str, Any]]], path: str | Path) -> Video:
    lengths, size = set(), None
    for number, entry in rows:
        for name in ("segmentations", "bboxes"):
            values = entry.get(name)
            if isinstance(values, list):
                lengths.add(len(values))
                first = next((value for value in values if isinstance(value, dict)), None)
                if size is None and first is not None and isinstance(first.get("size"), list):
                    size = tuple(first["size"])
        if len(lengths) > 1:
            raise ValueError(
                f"Expected an entry for each frame in all tracks of video {video_id}, got {sorted(lengths)} of them up "
                f"to entry {number} of '{path}'"
            )
    return Video(str(video_id), max(lengths, default=0), size, video_id)


def _result_tracks(
    rows: list[tuple[int, dict[str, Any]]], video: Video, labels: Mapping[int, int] | None, path: str | Path
) -> Tracks:
    tracks: dict[int, Track] = {}
    num_frames = video.num_frames or 0
    for position, (number, entry) in enumerate(rows):
        where = f"entry {number} (video '{video.name}') of '{path}'"
        track_id = entry.get("track_id", position)
        if not isinstance(track_id, int) or track_id < 0 or track_id in tracks:
            raise ValueError(
                f"Expected each 'track_id' once, a whole number of at least 0, got {track_id!r} in {where}"
            )
        category = entry.get("category_id")
        if labels is not None:
            label = to_label(category, labels, where)
        elif isinstance(category, int) and category >= 1:
            label = category - 1
        else:
            raise ValueError(f"Expected a 'category_id' counted from 1, got {category!r} in {where}")
        score = to_score(entry.get("score"), where)
        columns = _columns(entry, ("segmentations", "bboxes", "scores"), num_frames, where)
        scores = _frame_scores(columns["scores"], score, num_frames, where)
        tracks[track_id] = _whole_track(columns, video, label, scores, False, where)
    return Tracks(tracks, video.size, num_frames)


def _frame_scores(scores: list[Any] | None, score: float, num_frames: int, where: str) -> list[float]:
    """Scores of the frames, unless their mean is not what the file scores the track with: that one counts."""
    if scores is not None:
        given = [to_score(value, where) for value in scores if value is not None]
        if given and abs(sum(given) / len(given) - score) <= 1e-4:
            return [score if value is None else value for value in scores]
    return [score] * num_frames


def _columns(entry: dict[str, Any], names: Sequence[str], num_frames: int, where: str) -> dict[str, list[Any] | None]:
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


def _whole_track(
    columns: Mapping[str, list[Any] | None], video: Video, label: int, scores: list[float], crowd: bool, where: str
) -> Track:
    """A track from one entry for each frame; masks decide where it is, boxes where there are no masks at all."""
    segmentations, boxes, areas = columns["segmentations"], columns["bboxes"], columns.get("areas")
    masks: tuple[Rle, ...] | None = None
    places = [frame for frame, mask in enumerate(segmentations or ()) if mask is not None]
    if places:
        assert segmentations is not None
        size = video.size or (0, 0)
        masks = tuple(to_rle(segmentations[frame], size, f"frame {frame} of {where}") for frame in places)
        check_rles(masks, size, lambda i: f"frame {places[i]} of {where}")
    else:
        places = [frame for frame, box in enumerate(boxes or ()) if box is not None]
    if not places:  # seen nowhere: it is there to be missed, or to be a false alarm, and must not vanish
        if video.size is None or not video.num_frames:
            raise ValueError(f"Expected a mask or a box in at least one frame, got none in {where}")
        places = [0]
        masks = (_empty(video.size),)
        boxes, areas = None, None
    corners = tuple(
        to_box(
            None if boxes is None else boxes[frame], None if masks is None else masks[i], f"frame {frame} of {where}"
        )
        for i, frame in enumerate(places)
    )
    given = None if areas is None else [areas[frame] for frame in places]
    return Track(
        frames=tuple(places),
        boxes=corners,
        scores=tuple(scores[frame] for frame in places),
        labels=(label,) * len(places),
        masks=masks,
        crowd=crowd,
        areas=None if given is None or None in given else tuple(to_score(area, where) for area in given),
    )


def _empty(size: tuple[int, int]) -> Rle:
    return to_rle({"size": list(size), "counts": [size[0] * size[1]]}, size, "an empty mask")


class _EntriesWriter(TracksWriter):
    """Spools each video, and appends an entry for each of its tracks to a file when the video ends."""

    def __init__(
        self, path: str | Path, class_names: Sequence[str] | None = None, category_ids: Sequence[int] | None = None
    ) -> None:
        super().__init__(path, class_names, category_ids)
        self._spool: Spool | None = None
        self._partial = self.path.with_name(f".{self.path.stem}.{os.getpid()}.entries")
        self._file = open(self._partial, "w", encoding="utf-8")  # noqa: SIM115  closed in _discard
        self._separator = "[\n"

    @abstractmethod
    def _entry(self, track_id: int, track: Track) -> dict[str, Any]: ...

    def _begin(self, video: Video) -> None:
        self._spool = Spool(self.path)

    def _write(self, frame: int, sightings: list[Sighting]) -> None:
        assert self._spool is not None
        self._spool.add(frame, sightings)

    def _end(self) -> None:
        assert self._spool is not None
        for track_id in self._spool.track_ids():
            entry = self._entry(track_id, self._spool.track(track_id))
            self._file.write(self._separator + json.dumps(entry, separators=(",", ":")))
            self._separator = ",\n"
        self._spool.close()
        self._spool = None

    def _finish_list(self) -> None:
        self._file.write("[]\n" if self._separator == "[\n" else "\n]\n")
        self._file.close()

    def _discard(self) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)
        if self._spool is not None:
            self._spool.close()
            self._spool = None


class YoutubeVisWriter(_EntriesWriter):
    """Writes annotations in the format of YouTube-VIS, for training and scoring elsewhere.

    Annotation ids are unique in the file, track ids only in their video: as long as the ids of a video are all above
    those of the videos before, they are kept, and otherwise numbered on. Frames are called ``<video>/<frame>``, with
    the ending of the video's own images. ``areas`` are those of the annotation, else the masks' pixels. The size of a
    video is needed, or a mask in it.
    """

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

    def _entry(self, track_id: int, track: Track) -> dict[str, Any]:
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
            "segmentations": _by_frame(track.frames, track.masks, self.num_frames),
            "bboxes": _by_frame(track.frames, [from_box(box) for box in track.boxes], self.num_frames),
            "areas": _by_frame(track.frames, areas, self.num_frames),
        }

    def _close(self) -> None:
        self._finish_list()
        assert self.class_names is not None
        categories = [{"id": self.category_id(label), "name": name} for label, name in enumerate(self.class_names)]
        with write_atomically(self.path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.write(f'{{"categories": {json.dumps(categories, ensure_ascii=False)},\n')
            file.write(f'"videos": {json.dumps(self._videos, ensure_ascii=False)},\n"annotations": ')
            with open(self._partial, encoding="utf-8") as annotations:
                shutil.copyfileobj(annotations, file)
            file.write("}\n")


class YoutubeVisResultsWriter(_EntriesWriter):
    """Writes results in the format of the YouTube-VIS servers: a JSON file, or the zip to submit if the name ends so.

    One entry a track: ``video_id``, ``score``, ``category_id``, ``segmentations`` (run lengths or null for each frame).
    The JSON file adds ``track_id``, ``bboxes`` ([x, y, w, h] or null) and ``scores``, so that it also serves detectors
    without masks and can be read back; the zip holds ``results.json`` with the standard alone.

    Args:
        path: File to write.
        class_names: Names of the classes by label.
        category_ids: The number that the file gives to each label; by default 1, 2, 3, ….
        score: Score of a track; by default the mean over its frames, as published.
        label: Class of a track; by default the one seen most often, as published.
    """

    def __init__(
        self,
        path: str | Path,
        class_names: Sequence[str] | None = None,
        category_ids: Sequence[int] | None = None,
        score: Callable[[Track], float] = lambda track: track.score,
        label: Callable[[Track], int] = lambda track: track.label,
    ) -> None:
        super().__init__(path, class_names, category_ids)
        self.score = score
        self.label = label
        self._submission = self.path.suffix == ".zip"

    def _entry(self, track_id: int, track: Track) -> dict[str, Any]:
        assert self.video is not None
        entry: dict[str, Any] = {
            "video_id": self.video.id,
            "category_id": self.category_id(self.label(track)),
            "score": self.score(track),
            "segmentations": _by_frame(track.frames, track.masks, self.num_frames),
        }
        if self._submission:
            if track.masks is None:
                raise ValueError(
                    f"Expected masks to submit, got boxes alone for track {track_id} of video '{self.video.name}'"
                )
            return entry
        return {
            **entry,
            "track_id": track_id,
            "bboxes": _by_frame(track.frames, [from_box(box) for box in track.boxes], self.num_frames),
            "scores": _by_frame(track.frames, track.scores, self.num_frames),
        }

    def _close(self) -> None:
        self._finish_list()
        with write_atomically(self.path) as temporary:
            if self._submission:
                with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
                    archive.write(self._partial, "results.json")
            else:
                os.replace(self._partial, temporary)


class TrackWriter:
    """Writes what a tracker finds in one video, frame by frame, as :class:`YoutubeVisResultsWriter` does.

    Coordinates are rounded to a thousandth of a pixel, scores to five digits. The file appears under its name when the
    writer is closed; if the ``with`` block fails, nothing is left behind.

    Args:
        path: Where to.
        video_id: Written into every entry.
    """

    def __init__(self, path: str | Path, video_id: int = 1) -> None:
        self._writer = YoutubeVisResultsWriter(path, score=lambda track: round(track.score, 5))
        self._writer.begin(Video(str(video_id), id=video_id))

    @property
    def num_frames(self) -> int:
        """Frames so far."""
        return self._writer.num_frames

    def write(self, frame: int, detections: Detections) -> None:
        """Adds the objects of ``frame`` that have an id; frames come in order."""
        self._writer.write(frame, map(_rounded, sightings_of(frame, detections)))

    def close(self) -> None:
        """Puts the file together and gives it its name."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)


def _by_frame(frames: Sequence[int], values: Sequence[Any] | None, num_frames: int) -> list[Any]:
    column: list[Any] = [None] * num_frames
    for frame, value in zip(frames, values or (), strict=False):
        column[frame] = value
    return column


def _rounded(sighting: Sighting) -> Sighting:
    x0, y0, x1, y1 = (round(value, 3) for value in sighting.box)
    return sighting._replace(box=(x0, y0, x1, y1), score=round(sighting.score, 5))
