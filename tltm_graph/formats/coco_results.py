"""COCO results: predictions frame by frame."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tltm_graph.formats.annotations import from_box, is_whole, to_box, to_id, to_label, to_rle, to_score
from tltm_graph.formats.coco import CocoEntriesWriter, check_still
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.io import read_json
from tltm_graph.ops import Rle, check_rles
from tltm_graph.structures import Observation, Tracks


def read_coco_results(path: str | Path, videos: VideoSet) -> VideoSet:
    """Predictions in COCO's format of results, for the videos or images of a data set.

    Which frame a result is of, is told by ``video_id`` and ``frame`` where results have them, as those of
    :class:`CocoResultsWriter`. Otherwise ``image_id`` tells: of stills it is the id of the image, of a single video the
    frame, counted from 0. Results without ``track_id`` are objects of their own, each with an id of its own.

    Args:
        path: A list of ``{"image_id", "category_id", "bbox" [x, y, w, h], "score", "segmentation", "track_id"}``.
        videos: Of the truth; names, sizes, lengths and categories are taken from it.

    Returns:
        The same videos with the predicted tracks in place of the true ones; those without results have no objects.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or of another kind, or a result is of an unknown video, image, frame or category.
            What is wrong with boxes and masks is said when the tracks of the video are asked for.
    """
    entries = read_json(path, "COCO results")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"Expected a list of COCO results in '{path}', got a {type(entries).__name__} of another kind")
    for key in ("track_id", "video_id"):
        lacking = next((number for number, entry in enumerate(entries) if key not in entry), None)
        if lacking is not None and any(key in entry for entry in entries):
            raise ValueError(f"Expected '{key}' in all results of '{path}' or in none, got none in entry {lacking}")
    by_id = {video.id: video for video in videos}
    stills = all(video.num_frames == 1 for video in videos)
    rows: dict[int, list[tuple[int, int, dict[str, Any]]]] = {video.id: [] for video in videos}
    for number, entry in enumerate(entries):
        image_id = entry.get("image_id")
        if "video_id" in entry:
            video_id, frame = entry["video_id"], entry.get("frame")
        elif stills:
            video_id, frame = image_id, 0
        elif len(videos) == 1:
            video_id, frame = videos[0].id, image_id
        else:
            raise ValueError(
                f"Expected 'video_id' and 'frame' in results for {len(videos)} videos, got none in entry {number} of "
                f"'{path}': name the data set of the one video it is for"
            )
        if not is_whole(video_id) or video_id not in by_id:
            raise ValueError(
                f"Expected results for the videos or images of '{videos.name}', got one for {video_id!r} in entry "
                f"{number} of '{path}': it belongs to another data set"
            )
        length = by_id[video_id].num_frames
        if not is_whole(frame) or frame < 0 or (length is not None and frame >= length):
            raise ValueError(
                f"Expected frames from 0 to {'…' if length is None else length - 1} of video "
                f"'{by_id[video_id].name}', got {frame!r} in entry {number} of '{path}'"
            )
        rows[video_id].append((number, frame, entry))
    if videos.category_ids is None:
        found = (entry.get("category_id") for entry in entries)
        labels = {category: category - 1 for category in found if is_whole(category) and category > 0}
    else:
        labels = {category: label for label, category in enumerate(videos.category_ids)}
    return videos.select(
        [
            replace(video, load=partial(_predicted, rows[video.id], video, labels, str(path)), label_map=None)
            for video in videos
        ]
    )


def _predicted(
    entries: list[tuple[int, int, dict[str, Any]]], video: Video, labels: Mapping[int, int], path: str
) -> Tracks:
    size = video.size

    def place(number: int, frame: int) -> str:
        return f"entry {number} of '{path}' (frame {frame} of video '{video.name}')"

    def rows() -> Iterator[tuple[int, Observation]]:
        nonlocal size
        for index, (number, frame, entry) in enumerate(entries):
            where = place(number, frame)
            segmentation, track_id = entry.get("segmentation"), entry.get("track_id", index)
            track_id = to_id(track_id, "track_id", where)
            mask: Rle | None = None
            if segmentation:
                size = size or _size_of(segmentation, where)
                mask = to_rle(segmentation, size, where)
            if entry.get("score") is None:
                raise ValueError(f"Expected a 'score', got none in {where}")
            score, label = to_score(entry["score"], where), to_label(entry.get("category_id"), labels, where)
            yield frame, Observation(track_id, to_box(entry.get("bbox"), mask, where), score, label, mask)

    seen = list(rows())
    with_mask = [(entry[:2], row.mask) for entry, (_, row) in zip(entries, seen, strict=True) if row.mask is not None]
    if size is not None:
        check_rles([mask for _, mask in with_mask], size, lambda index: place(*with_mask[index][0]))
    try:
        return Tracks.from_observations(seen, size, video.num_frames)
    except ValueError as error:
        raise ValueError(f"{error}, in video '{video.name}' of '{path}'") from error


def _size_of(segmentation: Any, where: str) -> tuple[int, int]:
    size = segmentation.get("size") if isinstance(segmentation, dict) else None
    if not isinstance(size, list) or len(size) != 2 or not all(is_whole(side) and side > 0 for side in size):
        raise ValueError(f"Expected a mask as run lengths with their 'size' [H, W], got {size} in {where}")
    return size[0], size[1]


class _ResultsWriter(CocoEntriesWriter):
    def _tail(self) -> str:
        return "]\n"

    def _entry(self, frame: int, row: Observation, where: str) -> dict[str, Any]:
        if row.crowd:
            raise ValueError(
                f"Expected predictions, got a crowd region of the truth as {where}: write a format of truth"
            )
        return {
            **self._place(frame),
            "track_id": row.id,
            "category_id": self.category_id(row.label),
            "bbox": from_box(row.box),
            "score": to_score(row.score, where),
            **({} if row.mask is None else {"segmentation": row.mask}),
        }

    @abstractmethod
    def _place(self, frame: int) -> dict[str, int]:
        """What tells the image."""


class CocoResultsWriter(_ResultsWriter):
    """Writes the objects of each frame of videos as COCO results, one list for all videos.

    ``image_id`` counts the frames from 0 on, through all videos in the order in which they are written: for one video
    it is the frame, as :meth:`tltm_graph.PrecomputedDetector.from_file` takes it. Added to the standard are
    ``track_id``, ``video_id`` and ``frame`` (in its video, from 0), so that the tracks can be read back. Numbers are
    written in full. Objects without a mask have no ``segmentation``.

    Raises:
        ValueError: Beside what all writers raise: if an object is ``crowd``, which results cannot be, or a number is
            not finite.
    """

    _first = 0

    def _end(self) -> None:
        self._first += self.num_frames

    def _place(self, frame: int) -> dict[str, int]:
        assert self.video is not None
        return {"image_id": self._first + frame, "video_id": self.video.id, "frame": frame}


class CocoImageResultsWriter(_ResultsWriter):
    """Writes the objects of still images as COCO results; ``image_id`` is the id of the image, as evaluation wants it.

    Raises:
        ValueError: Beside what :class:`CocoResultsWriter` raises: if a video is not of one frame.
    """

    def _begin(self, video: Video) -> None:
        check_still(video)
        super()._begin(video)

    def _place(self, frame: int) -> dict[str, int]:
        assert self.video is not None
        return {"image_id": self.video.id}
