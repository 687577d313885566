"""Checks of a data set for mistakes that make training or scoring fail or give wrong results."""

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
from tltm_graph.ops.rle import rle_areas, to_coco
from tltm_graph.structures import Observation, Track, Tracks

DUPLICATE_IOU = 0.9
"""Minimum IoU of two objects in a frame that count as one object annotated twice."""


@dataclass(frozen=True)
class Problem:
    """A mistake in a data set.

    Args:
        kind: An "error" makes training or scoring fail or give wrong results; a "warning" is valid, but usually a
            mistake.
        video: Name of the video; empty for the set as a whole.
        where: Frame and object, if known.
        what: Expected and actual content.
        remedy: Advice on correcting it.
    """

    kind: Literal["error", "warning"]
    video: str
    where: str
    what: str
    remedy: str

    def named(self) -> dict[str, str]:
        """Return the fields by name."""
        return asdict(self)


def validate(videos: VideoSet, one_by_one: Iterable[Video] | None = None) -> Iterator[Problem]:
    """Find the mistakes in a data set that cause errors or wrong scores later.

    Every video is read once, one after the other. Of each kind of problem in a video the first is reported, with the
    number of all. An error that keeps a video from being read hides the problems after it.

    Args:
        videos: Videos with frames, tracks or both.
        one_by_one: Iterable over the same videos, such as a progress bar; by default ``videos``.

    Yields:
        The problems, video by video, then those of the set as a whole.
    """
    label_counts: Counter[int] = Counter()
    for video in videos if one_by_one is None else one_by_one:
        yield from validate_video(video, videos.class_names, label_counts)
    yield from validate_set(videos, label_counts)


def validate_set(videos: VideoSet, label_counts: Counter[int]) -> Iterator[Problem]:
    """Find the problems of the set as a whole, from the number of tracks of each label."""
    if len(videos) == 0:
        yield Problem("error", "", "", f"Expected at least one video, got none in '{videos.name}'", "check the path")
    class_names = videos.class_names or ()
    absent = [name for label, name in enumerate(class_names) if not label_counts[label]]
    if label_counts and absent:
        what = f"No object of {len(absent)} of {len(class_names)} classes ({', '.join(absent)})"
        yield Problem("warning", "", "", what, "leave them out, or expect no score for them")


def validate_video(video: Video, class_names: tuple[str, ...] | None, label_counts: Counter[int]) -> Iterator[Problem]:
    """Find the problems of one video, and add the labels of its tracks to ``label_counts``."""
    first: dict[tuple[object, str], Problem] = {}
    counts: Counter[tuple[object, str]] = Counter()
    for problem in _all_problems(video, class_names, label_counts):
        key: tuple[object, str] = (problem.kind, problem.remedy)
        first.setdefault(key, problem)
        counts[key] += 1
    for key, problem in first.items():
        more = f" (and {counts[key] - 1} more like it)" if counts[key] > 1 else ""
        yield replace(problem, where=problem.where + more)


def _all_problems(video: Video, class_names: tuple[str, ...] | None, label_counts: Counter[int]) -> Iterator[Problem]:
    yield from _frame_problems(video)
    if video.load is None:
        return
    try:
        tracks = video.tracks()
    except (ValueError, OSError) as error:
        yield Problem("error", video.name, "", str(error), "correct the file at this place, then run this again")
        return
    label_counts.update(track.label for track in tracks.values())
    if not tracks:
        yield Problem(
            "warning", video.name, "", "No object in any frame", "every prediction in it will count as a false positive"
        )
    if len({track.masks is None for track in tracks.values() if not track.crowd}) > 1:
        yield Problem(
            "warning", video.name, "", "Some objects have masks and others only boxes",
            "give all of them masks, or use only boxes",
        )  # fmt: skip
    coordinates = [value for track in tracks.values() for box in track.boxes for value in box] or [2.0]
    if min(coordinates) >= -0.5 and max(coordinates) <= 1.5:
        yield Problem(
            "error", video.name, "",
            f"All coordinates are below {max(coordinates):g}: they look like fractions of the image",
            "multiply them by its width and height",
        )  # fmt: skip
    for track_id, track in tracks.items():
        yield from _track_problems(video.name, f"track {track_id}", track, tracks.size, class_names)
    yield from _duplicate_problems(video.name, tracks)


def _frame_problems(video: Video) -> Iterator[Problem]:
    if video.num_frames == 0:
        yield Problem("error", video.name, "", "Expected at least one frame, got none", "leave the video out")
    for frame, path in enumerate(video.images or ()):
        try:
            size = read_image_size(path)
        except (ValueError, OSError) as error:
            yield Problem("error", video.name, f"frame {frame}", str(error), "restore the image, or name its folder")
            continue
        if video.size is not None and size != video.size:
            yield Problem(
                "error", video.name, f"frame {frame}",
                f"Expected images of {video.size[0]}×{video.size[1]} pixels (H×W), got {size[0]}×{size[1]}: '{path}'",
                "masks and boxes are for the size in the annotations: resize the images, or the annotations",
            )  # fmt: skip


def _track_problems(
    video: str, where: str, track: Track, size: tuple[int, int] | None, class_names: tuple[str, ...] | None
) -> Iterator[Problem]:
    if class_names is not None and not 0 <= track.label < len(class_names):
        yield Problem(
            "error", video, where, f"Expected a label below {len(class_names)}, got {track.label}",
            "add the class to the list, or correct the label",
        )  # fmt: skip
    if len(set(track.labels)) > 1:
        yield Problem(
            "warning", video, where, f"The class changes within the track: {dict(Counter(track.labels))}",
            "an object is of one class; the most frequent one counts",
        )  # fmt: skip

    def first(kind: Literal["error", "warning"], bad: np.ndarray, what: str, remedy: str) -> Iterator[Problem]:
        """Report the first bad frame of the track, with the number of the others."""
        frames = [frame for frame, is_bad in zip(track.frames, bad.tolist(), strict=True) if is_bad]
        if frames:
            more = f" (and in {len(frames) - 1} other frames)" if len(frames) > 1 else ""
            yield Problem(kind, video, f"frame {frames[0]}, {where}{more}", what, remedy)

    boxes = np.array(track.boxes, dtype=np.float64).reshape(-1, 4)
    areas = None if track.masks is None else rle_areas(track.masks)
    flat = ~((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))  # also true for NaN
    visible_flat = flat if areas is None else flat & (areas > 0)
    yield from first(
        "error", visible_flat, "The box has no area", "give the object its box, or remove it from this frame"
    )
    if size is not None:
        height, width = size
        outside = (boxes[:, 2] <= 0) | (boxes[:, 3] <= 0) | (boxes[:, 0] >= width) | (boxes[:, 1] >= height)
        yield from first(
            "warning", outside, f"The box lies outside the image of {height}×{width} pixels (H×W)",
            "boxes are in pixels, x before y: check for swapped or normalised coordinates",
        )  # fmt: skip
    if track.masks is None or areas is None:
        return
    yield from first("error", areas == 0, "The mask is empty", "remove the object from this frame")
    tight = np.asarray(coco_mask.toBbox(to_coco(track.masks))).reshape(-1, 4)
    tight[:, 2:] += tight[:, :2]
    differs = (np.abs(tight - boxes).max(axis=1, initial=0) > 2) & (areas > 0)
    yield from first(
        "warning", differs, "The box differs from the mask's by more than 2 pixels",
        "decide which is right and compute the other from it",
    )  # fmt: skip
    if track.areas is not None:
        yield from first(
            "warning", np.abs(np.array(track.areas) - areas) > np.maximum(2, 0.02 * areas),
            "The stated area is not that of the mask",
            "scores of small, medium and large objects use the stated area: correct it",
        )  # fmt: skip


def _duplicate_problems(video: str, tracks: Tracks) -> Iterator[Problem]:
    """Report objects annotated twice, once for each pair of tracks."""
    reported: set[tuple[int, int]] = set()
    for frame, observations in tracks.observations():
        for pair in _duplicates([observation for observation in observations if not observation.crowd]):
            if pair not in reported:
                reported.add(pair)
                yield Problem(
                    "warning", video, f"frame {frame}, tracks {pair[0]} and {pair[1]}",
                    f"Two objects are the same to an IoU of {DUPLICATE_IOU}", "remove one of them",
                )  # fmt: skip


def _duplicates(observations: list[Observation]) -> list[tuple[int, int]]:
    """Find the pairs of ids with an IoU of at least :data:`DUPLICATE_IOU`, of masks if all objects have them."""
    if len(observations) < 2:
        return []
    masks = to_coco([observation.mask for observation in observations if observation.mask is not None])
    if len(masks) == len(observations):
        iou = np.asarray(coco_mask.iou(masks, masks, [0] * len(masks)))
    else:
        boxes = torch.tensor([observation.box for observation in observations], dtype=torch.float64)
        iou = box_iou(boxes, boxes).numpy()
    pairs = np.argwhere(np.triu(iou, k=1) >= DUPLICATE_IOU).tolist()
    return [(observations[i].id, observations[j].id) for i, j in pairs]
