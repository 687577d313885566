"""COCO results: predictions frame by frame."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tltm_graph.formats.annotations import (
    check_masks,
    fill_boxes,
    from_box,
    is_integer,
    to_box,
    to_id,
    to_label,
    to_rle,
    to_score,
)
from tltm_graph.formats.coco import CocoEntriesWriter, check_still
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.io.text import read_json, shown
from tltm_graph.limits import check_length, check_pixels
from tltm_graph.ops.rle import Rle, is_size
from tltm_graph.structures import Observation, Tracks


def read_coco_results(path: str | Path, videos: VideoSet) -> VideoSet:
    """Open predictions in COCO's results format for the videos or images of a data set.

    If results have ``video_id`` and ``frame``, as :class:`CocoResultsWriter` writes them, these give the frame.
    Otherwise ``image_id`` does: for still images it is the id of the image, for a single video the frame, counted from
    0. Each result without ``track_id`` is an object of its own, with its own id.

    Args:
        path: A list of ``{"image_id", "category_id", "bbox" [x, y, w, h], "score", "segmentation", "track_id"}``.
        videos: The data set, which gives names, sizes, lengths and categories.

    Returns:
        The same videos with the predicted tracks instead of the true ones; videos without results have no objects.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or of another kind, or a result is of an unknown video, image or frame. An error in
            a category, score, box or mask is raised when the tracks of the video are read.
    """
    entries = read_json(path, "COCO results")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"Expected a list of COCO results in '{path}', got a {type(entries).__name__} of another kind")
    for key in ("track_id", "video_id"):
        missing = next((number for number, entry in enumerate(entries) if key not in entry), None)
        if missing is not None and any(key in entry for entry in entries):
            raise ValueError(f"Expected '{key}' in all results of '{path}' or in none, got none in entry {missing}")
    by_id = {video.id: video for video in videos}
    stills = all(video.num_frames == 1 for video in videos)
    by_video: dict[int, list[tuple[int, int, dict[str, Any]]]] = {video.id: [] for video in videos}
    for number, entry in enumerate(entries):
        image_id, where = entry.get("image_id"), f"entry {number} of '{path}'"
        if "video_id" in entry:
            video_id, frame = entry["video_id"], entry.get("frame")
        elif stills:
            video_id, frame = image_id, 0
        elif len(videos) == 1:
            video_id, frame = videos[0].id, image_id
        else:
            raise ValueError(
                f"Expected 'video_id' and 'frame' in results for {len(videos)} videos, got none in {where}: name the "
                "data set of the one video it is for"
            )
        if not is_integer(video_id) or video_id not in by_id:
            raise ValueError(
                f"Expected results for the videos or images of '{videos.name}', got one for {shown(video_id)} in "
                f"{where}: it belongs to another data set"
            )
        name, length = by_id[video_id].name, by_id[video_id].num_frames
        if not is_integer(frame) or frame < 0 or (length is not None and frame >= length):
            last = "…" if length is None else length - 1
            raise ValueError(f"Expected frames from 0 to {last} of video '{name}', got {shown(frame)} in {where}")
        check_length(frame + 1, where)
        by_video[video_id].append((number, frame, entry))
    if videos.category_ids is None:
        category_ids = (entry.get("category_id") for entry in entries)
        labels = {category: category - 1 for category in category_ids if is_integer(category) and category > 0}
    else:
        labels = {category: label for label, category in enumerate(videos.category_ids)}
    return videos.select(
        [
            replace(video, load=partial(_load_tracks, by_video[video.id], video, labels, str(path)), label_map=None)
            for video in videos
        ]
    )


def _load_tracks(
    entries: list[tuple[int, int, dict[str, Any]]], video: Video, labels: Mapping[int, int], path: str
) -> Tracks:
    size = video.size
    masks: list[Rle | None] = []

    def place(position: int) -> str:
        number, frame, _ = entries[position]
        return f"entry {number} of '{path}' (frame {frame} of video '{video.name}')"

    for position, (_, _, entry) in enumerate(entries):
        segmentation, where = entry.get("segmentation"), place(position)
        if segmentation and size is None:
            size = _mask_size(segmentation, where)
        masks.append(to_rle(segmentation, size, where) if segmentation and size is not None else None)
    check_masks(masks, size, place)
    boxes = fill_boxes([entry.get("bbox") for _, _, entry in entries], masks)
    rows: list[tuple[int, Observation]] = []
    for position, (_, frame, entry) in enumerate(entries):
        where = place(position)
        track_id = to_id(entry.get("track_id", position), "track_id", where)
        if entry.get("score") is None:
            raise ValueError(f"Expected a 'score', got none in {where}")
        score, label = to_score(entry["score"], where), to_label(entry.get("category_id"), labels, where)
        rows.append((frame, Observation(track_id, to_box(boxes[position], where), score, label, masks[position])))
    try:
        return Tracks.from_observations(rows, size, video.num_frames)
    except ValueError as error:
        raise ValueError(f"{error}, in video '{video.name}' of '{path}'") from error


def _mask_size(segmentation: Any, where: str) -> tuple[int, int]:
    size = segmentation.get("size") if isinstance(segmentation, dict) else None
    if not is_size(size):
        raise ValueError(f"Expected a mask as run lengths with their 'size' [H, W], got {shown(size)} in {where}")
    check_pixels(size[0], size[1], where)
    return size[0], size[1]


class _ResultsWriter(CocoEntriesWriter):
    def _entry(self, frame: int, observation: Observation, where: str) -> dict[str, Any]:
        if observation.crowd:
            raise ValueError(f"Expected a prediction, got a crowd region as {where}: write a format of ground truth")
        return {
            **self._frame_ids(frame),
            "track_id": observation.id,
            "category_id": self.category_id(observation.label),
            "bbox": from_box(observation.box),
            "score": to_score(observation.score, where),
            **({} if observation.mask is None else {"segmentation": observation.mask}),
        }

    @abstractmethod
    def _frame_ids(self, frame: int) -> dict[str, int]:
        """Fields of an entry that identify its frame."""


class CocoResultsWriter(_ResultsWriter):
    """Write the objects of each frame of videos as COCO results, in one list for all videos.

    ``image_id`` counts the frames from 0 through all videos, in the order in which they are written. For one video it
    is the frame, as :meth:`tltm_graph.PrecomputedDetector.from_file` expects. The fields ``track_id``, ``video_id`` and
    ``frame`` (in its video, from 0) are not in the standard; with them the tracks can be read back. Numbers are written
    in full. Objects without a mask have no ``segmentation``.

    Raises:
        ValueError: If an object is ``crowd``, which results cannot be, or a number is not finite; also as in
            :meth:`tltm_graph.formats.TracksWriter.write`.
    """

    _first_frame = 0  # image_id of the first frame of the video

    def _end(self) -> None:
        self._first_frame += self.num_frames

    def _frame_ids(self, frame: int) -> dict[str, int]:
        assert self.video is not None
        return {"image_id": self._first_frame + frame, "video_id": self.video.id, "frame": frame}


class CocoImageResultsWriter(_ResultsWriter):
    """Write the objects of still images as COCO results, where ``image_id`` is the id of the image.

    The official evaluation reads this form.

    Raises:
        ValueError: If a video does not have one frame; also as in :class:`CocoResultsWriter`.
    """

    def _begin(self, video: Video) -> None:
        check_still(video)
        super()._begin(video)

    def _frame_ids(self, frame: int) -> dict[str, int]:
        assert self.video is not None
        return {"image_id": self.video.id}
