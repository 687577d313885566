"""Results of the YouTube-VIS and OVIS servers, and the ``tracks.json`` of ``tltm-graph track``."""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, Self

from tltm_graph.formats.annotations import MAX_LABEL, from_box, is_integer, to_id, to_label, to_score
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.youtube_vis import TrackEntriesWriter, by_frame, frame_columns, whole_track
from tltm_graph.io.output import temporary_path, write_atomically
from tltm_graph.io.text import read_json, shown
from tltm_graph.limits import check_pixels
from tltm_graph.ops.rle import is_size
from tltm_graph.structures import Detections, Observation, Track, Tracks
from tltm_graph.structures.tracks import observations_of


def read_youtube_vis_results(path: str | Path, videos: VideoSet | None = None) -> VideoSet:
    """Open results in the format of the YouTube-VIS servers, or of ``tltm-graph track``: a JSON file, or a zip of one.

    Args:
        path: A list of ``{"video_id", "category_id", "score", "segmentations"}``, with a mask or null for each frame.
            The fields that :class:`YoutubeVisResultsWriter` adds are optional: ``track_id``, ``bboxes`` and ``scores``
            for each frame. Without ``track_id`` the tracks of a video are numbered from 0 in the order of the file.
        videos: The data set of the results, which gives videos and classes. Without it, the name of a video is its
            number, its length that of its longest track, and categories count from 1.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or of another kind, or has a result for a video that is not in ``videos``. An error
            in a class, length or mask is raised, with file, entry and frame, when the tracks of its video are read.
    """
    entries = _result_entries(Path(path))
    by_video: dict[int, list[tuple[int, dict[str, Any]]]] = {} if videos is None else {v.id: [] for v in videos}
    for number, entry in enumerate(entries):
        video_id = entry.get("video_id") if isinstance(entry, dict) else None
        if not is_integer(video_id):
            raise ValueError(f"Expected tracks with a 'video_id' in '{path}', got {shown(entry)} as entry {number}")
        if videos is not None and video_id not in by_video:
            raise ValueError(
                f"Expected results for the {len(videos)} videos of '{videos.name}', got some for video {video_id} in "
                f"entry {number} of '{path}': the results are of another data set"
            )
        by_video.setdefault(video_id, []).append((number, entry))
    by_id = {} if videos is None else {video.id: video for video in videos}
    category_ids = None if videos is None else videos.category_ids
    labels = None if category_ids is None else {category: label for label, category in enumerate(category_ids)}
    results = []
    for video_id, rows in by_video.items():
        video = by_id.get(video_id) or _guessed_video(video_id, rows, path)
        load = partial(_load_tracks, rows, video, labels, path)
        results.append(replace(video, images=None, load=load, label_map=None))
    return VideoSet(results, None if videos is None else videos.class_names, category_ids, name=str(path))


def read_tracks(path: str | Path, size: tuple[int, int] | None = None) -> Tracks:
    """Read the tracks of the only video in a file of results, such as the ``tracks.json`` of ``tltm-graph track``.

    Args:
        path: A file as in :func:`read_youtube_vis_results`.
        size: Height and width of the video in pixels; used if there are no masks.

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
    content = read_json(path, what)
    if not isinstance(content, list):
        raise ValueError(f"Expected {what} in '{path}', a list with one entry a track, got a {type(content).__name__}")
    return content


def _guessed_video(video_id: int, rows: list[tuple[int, dict[str, Any]]], path: str | Path) -> Video:
    """Video with the length of its results, and the size of its first mask."""
    lengths, size = set(), None
    for number, entry in rows:
        for name in ("segmentations", "bboxes"):
            values = entry.get(name)
            if isinstance(values, list):
                lengths.add(len(values))
                sizes = (value.get("size") for value in values if isinstance(value, dict))
                if size is None and (size := next(((s[0], s[1]) for s in sizes if is_size(s)), None)):
                    check_pixels(*size, f"entry {number} of '{path}'")
        if len(lengths) > 1:
            raise ValueError(
                f"Expected an entry for each frame in all tracks of video {video_id}, got {sorted(lengths)} of them up "
                f"to entry {number} of '{path}'"
            )
    return Video(str(video_id), max(lengths, default=0), size, video_id)


def _load_tracks(
    rows: list[tuple[int, dict[str, Any]]], video: Video, labels: Mapping[int, int] | None, path: str | Path
) -> Tracks:
    tracks: dict[int, Track] = {}
    num_frames = video.num_frames or 0
    for position, (number, entry) in enumerate(rows):
        where = f"entry {number} (video '{video.name}') of '{path}'"
        track_id = entry.get("track_id", position)
        if to_id(track_id, "track_id", where) in tracks:
            raise ValueError(f"Expected each 'track_id' once, got {shown(track_id)} again in {where}")
        category = entry.get("category_id")
        if labels is not None:
            label = to_label(category, labels, where)
        elif is_integer(category) and 1 <= category <= MAX_LABEL:
            label = category - 1
        else:
            raise ValueError(
                f"Expected a 'category_id' from 1 to {MAX_LABEL}, got {shown(category)} in {where}: name the data "
                "set of the results if its categories have other numbers"
            )
        score = to_score(entry.get("score"), where)
        columns = frame_columns(entry, ("segmentations", "bboxes", "scores"), num_frames, where)
        scores = _frame_scores(columns["scores"], score, num_frames, where)
        tracks[track_id] = whole_track(columns, video, label, scores, False, where)
    return Tracks(tracks, video.size, num_frames)


def _frame_scores(scores: list[Any] | None, track_score: float, num_frames: int, where: str) -> list[float]:
    """Scores of the frames; the score of the track for all if it is not their mean, as it decides the ranking."""
    if scores is not None:
        valid = [to_score(value, where) for value in scores if value is not None]
        if valid and abs(fmean(valid) - track_score) <= 1e-12:
            return [track_score if value is None else value for value in scores]
    return [track_score] * num_frames


class YoutubeVisResultsWriter(TrackEntriesWriter):
    """Write results in the format of the YouTube-VIS servers: a JSON file, or a zip to submit if the name ends in .zip.

    One entry a track: ``video_id``, ``score``, ``category_id``, ``segmentations`` (run lengths or null for each frame).
    The JSON file also has ``track_id``, ``bboxes`` ([x, y, w, h] or null) and ``scores``, so it serves detectors
    without masks and can be read back. The zip holds ``results.json`` with the standard fields only.

    Args:
        path: File to write.
        class_names: Names of the classes by label.
        category_ids: Number of each label in the file; by default 1, 2, 3, ….
        score: Function that scores a track; by default the mean over its frames, as published.
        label: Function that gives the class of a track; by default its most frequent label, as published.
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

    def _entry(self, track_id: int, track: Track, where: str) -> dict[str, Any]:
        assert self.video is not None
        if track.crowd:
            raise ValueError(f"Expected a prediction, got a crowd region as {where}: write a format of ground truth")
        entry: dict[str, Any] = {
            "video_id": self.video.id,
            "category_id": self.category_id(self.label(track)),
            "score": self.score(track),
            "segmentations": by_frame(track.frames, track.masks, self.num_frames),
        }
        if self._submission:
            if track.masks is None:
                raise ValueError(f"Expected masks to submit, got boxes only for {where}")
            return entry
        return {
            **entry,
            "track_id": track_id,
            "bboxes": by_frame(track.frames, [from_box(box) for box in track.boxes], self.num_frames),
            "scores": by_frame(track.frames, track.scores, self.num_frames),
        }

    @property
    def _list_path(self) -> Path:
        return temporary_path(self.path, ".json") if self._submission else self.path

    def _close(self) -> None:
        if not self._submission:
            super()._close()
            return
        self._opened().end()
        with write_atomically(self.path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(self._opened().temporary, "results.json")


class TrackWriter:
    """Write the output of a tracker for one video, frame by frame, as :class:`YoutubeVisResultsWriter` does.

    Coordinates are rounded to a thousandth of a pixel, scores to five digits. The file appears under its name when the
    writer is closed. If the ``with`` block fails, nothing is left.

    Args:
        path: File to write.
        video_id: Id of the video, in every entry.
    """

    def __init__(self, path: str | Path, video_id: int = 1) -> None:
        self._writer = YoutubeVisResultsWriter(path)
        self._writer.begin(Video(str(video_id), id=video_id))

    @property
    def num_frames(self) -> int:
        """Number of frames so far."""
        return self._writer.num_frames

    def write(self, frame: int, detections: Detections) -> None:
        """Add the objects of a frame that have an id (≥ 0); frames come in order."""
        self._writer.write(frame, map(_rounded, observations_of(frame, detections)))

    def close(self) -> None:
        """Complete the file and give it its name."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._writer.__exit__(*error)


def _rounded(observation: Observation) -> Observation:
    x0, y0, x1, y1 = (round(value, 3) for value in observation.box)
    return observation._replace(box=(x0, y0, x1, y1), score=round(observation.score, 5))
