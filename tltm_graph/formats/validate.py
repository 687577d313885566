from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torchvision.ops import box_iou

from tltm_graph.formats.label_maps import read_image_size
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.ops import rle_areas, to_coco
from tltm_graph.structures import Observation, Tracks

DUPLICATE = 0.9
"""IoU from which two objects of a frame are taken for one annotated twice."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with a data set.

    Args:
        kind: An "error" makes training or scoring fail or lie; a "warning" is legal, and mostly a mistake.
        video: Name of the video, empty for the set as a whole.
        where: Frame and object, as far as they are known.
        what: What was expected, and what is there.
        remedy: What to do about it.
    """

    kind: Literal["error", "warning"]
    video: str
    where: str
    what: str
    remedy: str

    def named(self) -> dict[str, str]:
        """The fields by name."""
        return asdict(self)


def validate(videos: VideoSet, one_by_one: Iterable[Video] | None = None) -> Iterator[Problem]:
    """Looks for everything that makes a data set of one's own fail later, or be scored otherwise than meant.

    Every video is read once, one after the other. Of each kind of problem in a video the first is told, with how many
    there are. What keeps a video from being read is one problem: the next comes to light when it is mended.

    Args:
        videos: With frames, tracks or both.
        one_by_one: The same videos as something to go through, such as a bar that shows how far it is.

    Yields:
        The problems, video by video, then those of the set as a whole.
    """
    seen: Counter[int] = Counter()
    for video in videos if one_by_one is None else one_by_one:
        yield from validate_video(video, videos.class_names, seen)
    yield from validate_set(videos, seen)


def validate_set(videos: VideoSet, seen: Counter[int]) -> Iterator[Problem]:
    """The problems of the set as a whole, after all its videos were looked at."""
    if len(videos) == 0:
        yield Problem("error", "", "", f"Expected at least one video, got none in '{videos.name}'", "check the path")
    absent = [name for label, name in enumerate(videos.class_names or ()) if not seen[label]]
    if seen and absent:
        which = f"{len(absent)} of {len(videos.class_names or ())} classes ({', '.join(absent)})"
        yield Problem(
            "warning", "", "", f"No object of {which}",
            "leave them out, or expect no score for them",
        )  # fmt: skip


def validate_video(video: Video, class_names: tuple[str, ...] | None, seen: Counter[int]) -> Iterator[Problem]:
    """The problems of one video; counts the labels of its tracks in ``seen``."""
    first: dict[tuple[object, str], Problem] = {}
    counts: Counter[tuple[object, str]] = Counter()
    for problem in _all(video, class_names, seen):
        key: tuple[object, str] = (problem.kind, problem.remedy)
        first.setdefault(key, problem)
        counts[key] += 1
    for key, problem in first.items():
        more = f" (and {counts[key] - 1} more like it)" if counts[key] > 1 else ""
        yield replace(problem, where=problem.where + more)


def _all(video: Video, class_names: tuple[str, ...] | None, seen: Counter[int]) -> Iterator[Problem]:
    yield from _frames(video)
    if video.load is None:
        return
    try:
        tracks = video.tracks()
    except (ValueError, OSError) as error:
        yield Problem("error", video.name, "", str(error), "mend the file at this place, then run this again")
        return
    seen.update(track.label for track in tracks.values())
    if not tracks:
        yield Problem("warning", video.name, "", "No object in any frame", "every prediction in it will count as false")
    if len({track.masks is None for track in tracks.values() if not track.crowd}) > 1:
        yield Problem(
            "warning", video.name, "", "Some objects have masks and others only boxes",
            "give all of them masks, or take boxes alone",
        )  # fmt: skip
    corners = [value for track in tracks.values() for box in track.boxes for value in box] or [2.0]
    extent = max(corners)
    if min(corners) >= -0.5 and extent <= 1.5:
        yield Problem(
            "error", video.name, "", f"All coordinates are below {extent:g}: they look like shares of the picture",
            "multiply them by its width and height",
        )  # fmt: skip
    yield from _tracks(video.name, tracks, class_names)
    yield from _pairs(video.name, tracks)


def _frames(video: Video) -> Iterator[Problem]:
    if video.num_frames == 0:
        yield Problem("error", video.name, "", "Expected at least one frame, got none", "leave the video out")
    for frame, path in enumerate(video.images or ()):
        try:
            size = read_image_size(path)
        except (ValueError, OSError) as error:
            yield Problem("error", video.name, f"frame {frame}", str(error), "restore the picture, or name its folder")
            continue
        if video.size is not None and size != video.size:
            yield Problem(
                "error", video.name, f"frame {frame}",
                f"Expected pictures of {video.size[0]}×{video.size[1]} pixels (H×W), got {size[0]}×{size[1]}: '{path}'",
                "masks and boxes are for the size in the annotations: resize the pictures, or the annotations",
            )  # fmt: skip


def _tracks(video: str, tracks: Tracks, class_names: tuple[str, ...] | None) -> Iterator[Problem]:
    for track_id, track in tracks.items():
        where = f"track {track_id}"
        if class_names is not None and not 0 <= track.label < len(class_names):
            yield Problem(
                "error", video, where, f"Expected a label below {len(class_names)}, got {track.label}",
                "add the class to the list, or correct the label",
            )  # fmt: skip
        if len(set(track.labels)) > 1:
            yield Problem(
                "warning", video, where, f"The class changes within the track: {dict(Counter(track.labels))}",
                "an object is of one class; the one seen most often counts",
            )  # fmt: skip
        boxes = np.array(track.boxes, dtype=np.float64).reshape(-1, 4)
        areas = None if track.masks is None else rle_areas(track.masks)
        flat = ~((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))  # NaN is flat
        yield from _first(
            video, where, track.frames, flat if areas is None else flat & (areas > 0), "error",
            "The box has no area", "give the object its box, or remove it from this frame",
        )  # fmt: skip
        if tracks.size is not None:
            height, width = tracks.size
            outside = (boxes[:, 2] <= 0) | (boxes[:, 3] <= 0) | (boxes[:, 0] >= width) | (boxes[:, 1] >= height)
            yield from _first(
                video, where, track.frames, outside, "warning",
                f"The box lies outside the picture of {height}×{width} pixels (H×W)",
                "boxes are in pixels, x before y: look for swapped or normalised coordinates",
            )  # fmt: skip
        if track.masks is not None and areas is not None:
            yield from _first(
                video, where, track.frames, areas == 0, "error", "The mask is empty",
                "remove the object from this frame",
            )  # fmt: skip
            tight = np.asarray(coco_mask.toBbox(to_coco(track.masks))).reshape(-1, 4)
            tight[:, 2:] += tight[:, :2]
            off = (np.abs(tight - boxes).max(axis=1, initial=0) > 2) & (areas > 0)
            yield from _first(
                video, where, track.frames, off, "warning", "The box differs from the mask's by more than 2 pixels",
                "take one of them for granted and compute the other from it",
            )  # fmt: skip
            if track.areas is not None:
                stated = np.array(track.areas)
                yield from _first(
                    video, where, track.frames, np.abs(stated - areas) > np.maximum(2, 0.02 * areas), "warning",
                    "The stated area is not that of the mask",
                    "scores of small, medium and large objects go by the stated area: correct it",
                )  # fmt: skip


def _first(
    video: str, track: str, frames: Iterable[int], bad: np.ndarray, kind: Literal["error", "warning"], what: str,
    remedy: str,
) -> Iterator[Problem]:  # fmt: skip
    places = [frame for frame, wrong in zip(frames, bad.tolist(), strict=True) if wrong]
    if places:
        more = f" (and in {len(places) - 1} other frames)" if len(places) > 1 else ""
        yield Problem(kind, video, f"frame {places[0]}, {track}{more}", what, remedy)


def _pairs(video: str, tracks: Tracks) -> Iterator[Problem]:
    """Objects of one frame that are one: told once for each pair of tracks."""
    told: set[tuple[int, int]] = set()
    for frame, rows in tracks.observations():
        for first, second in _duplicates([row for row in rows if not row.crowd]):
            if (first, second) not in told:
                told.add((first, second))
                yield Problem(
                    "warning", video, f"frame {frame}, tracks {first} and {second}",
                    f"Two objects are the same to an IoU of {DUPLICATE}", "remove one of them",
                )  # fmt: skip


def _duplicates(rows: list[Observation]) -> list[tuple[int, int]]:
    if len(rows) < 2:
        return []
    masks = to_coco([row.mask for row in rows if row.mask is not None])
    if len(masks) == len(rows):
        iou = np.asarray(coco_mask.iou(masks, masks, [0] * len(masks)))
    else:
        boxes = torch.tensor([row.box for row in rows], dtype=torch.float64)
        iou = box_iou(boxes, boxes).numpy()
    return [(rows[i].id, rows[j].id) for i, j in np.argwhere(np.triu(iou, k=1) >= DUPLICATE).tolist()]
