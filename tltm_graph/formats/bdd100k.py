"""BDD100K segmentation tracks, in the JSON of Scalabel."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tltm_graph.formats.annotations import (
    MAX_COORDINATE,
    JsonEntriesWriter,
    check_masks,
    fill_boxes,
    to_box,
    to_id,
    to_rle,
    to_score,
)
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.writer import exact_number, extent
from tltm_graph.io.text import read_json, shown
from tltm_graph.limits import check_pixels
from tltm_graph.ops.rle import Rle, is_size
from tltm_graph.structures import Observation, Tracks
from tltm_graph.structures.tracks import Box

_MAX_DIGITS = 18  # ids below 2⁶³

BDD100K_CLASSES = ("pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
"""The classes that are tracked in BDD100K."""


def read_bdd100k(path: str | Path) -> VideoSet:
    """Open BDD100K tracks, ground truth or results, as Scalabel writes them.

    A file is a list of frames, or an object with such a list as ``frames``: ``{"name", "videoName", "frameIndex",
    "labels": [{"id", "category", "rle": {"counts", "size"}, "box2d": {"x1", "y1", "x2", "y2"}, "score",
    "attributes": {"crowd"}}]}``. A label without ``rle`` gives a track without masks. A label without ``box2d`` gets
    the tight box of its mask. The corner (x2, y2) is the last pixel of a box, so 1 is added to it, as Scalabel does.
    A missing score is 1.

    Ids are strings. If all ids of a video are whole numbers of at most 18 digits, they are the ids of the tracks.
    Otherwise the tracks are numbered from 1 in the order of the strings. Objects with the attribute ``crowd`` or
    ``ignored``, and objects of other classes ("other person", "trailer", …, label 0), are regions that are not scored:
    ``crowd``. If an object is such a region in some frames only, these frames become a second track, numbered after
    all others.

    Args:
        path: A file (``.json``, ``.json.gz``), or a folder of files. A file with one video is read again for its
            tracks; a file with several videos is kept in memory.

    Raises:
        FileNotFoundError: If there are no such files.
        ValueError: If a file is damaged or not a list of frames, or the frames of a video are not numbered 0, 1, 2, ….
            An error in a label is raised when the tracks of its video are read.
    """
    path = Path(path)
    files = [path] if not path.is_dir() else sorted(f for f in path.iterdir() if f.name.endswith((".json", ".json.gz")))
    if not files:
        raise FileNotFoundError(f"Expected files of BDD100K tracks (.json, .json.gz) in '{path}', found none")
    videos: list[Video] = []
    for file in files:
        by_video = _read_frames(file)
        for name, frames in by_video.items():
            read = partial(_read_video, file, name) if len(by_video) == 1 else partial(list, frames)
            size = _frame_size(frames, f"'{file}', video '{name}'")
            stems = tuple(str(frame.get("name", index)).rsplit(".", 1)[0] for index, frame in enumerate(frames))
            load = partial(_load_tracks, read, size, f"'{file}', video '{name}'")
            videos.append(Video(name, len(frames), size, len(videos) + 1, frame_names=stems, load=load))
    return VideoSet(videos, BDD100K_CLASSES, name=str(path))


def _read_frames(file: Path) -> dict[str, list[dict[str, Any]]]:
    """Read the frames of each video of a file, in order."""
    content = read_json(file, "BDD100K tracks")
    frames = content.get("frames") if isinstance(content, dict) else content
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise ValueError(
            f"Expected a list of frames, or an object with 'frames', in '{file}', got {shown(frames)}: it is no "
            "file of BDD100K"
        )
    stem = file.name.removesuffix(".gz").removesuffix(".json")
    by_video: dict[str, list[dict[str, Any]]] = {}
    for frame in frames:
        by_video.setdefault(str(frame.get("videoName") or stem), []).append(frame)
    for name, group in by_video.items():
        indices: list[Any] = [frame.get("frameIndex") for frame in group]
        if not all(type(index) is int for index in indices) or sorted(indices) != list(range(len(group))):
            raise ValueError(
                f"Expected 'frameIndex' 0 to {len(group) - 1}, each once, in the {len(group)} frames of video '{name}' "
                f"in '{file}', got {shown(indices)}: list the frames without objects, too"
            )
        group.sort(key=lambda frame: frame["frameIndex"])
    return by_video


def _read_video(file: Path, name: str) -> list[dict[str, Any]]:
    return _read_frames(file)[name]


def _frame_size(frames: list[dict[str, Any]], where: str) -> tuple[int, int] | None:
    """Height and width from the first frame or mask that has them."""
    for frame in frames:
        size, labels = frame.get("size"), frame.get("labels")
        sizes: list[Any] = [[size.get("height"), size.get("width")]] if isinstance(size, dict) else []
        rles = [label.get("rle") for label in labels if isinstance(label, dict)] if isinstance(labels, list) else []
        sizes += [rle.get("size") for rle in rles if isinstance(rle, dict)]
        for pair in sizes:
            if is_size(pair):
                check_pixels(pair[0], pair[1], where)
                return pair[0], pair[1]
    return None


def _load_tracks(read: Callable[[], list[dict[str, Any]]], size: tuple[int, int] | None, where: str) -> Tracks:
    labels: list[tuple[int, dict[str, Any], str]] = []  # frame, label, place for error messages
    frames = read()
    for index, frame in enumerate(frames):
        entries = frame.get("labels") or []
        if not isinstance(entries, list):
            raise ValueError(f"Expected 'labels' as a list, got {shown(entries)} in {where}, frame {index}")
        for label in entries:
            if not isinstance(label, dict) or not isinstance(label.get("id"), str | int):
                raise ValueError(f"Expected labels with an 'id', got {shown(label)} in {where}, frame {index}")
            labels.append((index, label, f"{where}, frame {index}, object {shown(str(label['id']))}"))
    ignored = [_is_ignored(label, place) for _, label, place in labels]
    track_ids = _track_ids([(str(label["id"]), crowd) for (_, label, _), crowd in zip(labels, ignored, strict=True)])
    masks = [_mask(label, size, place) for _, label, place in labels]
    check_masks(masks, size, lambda i: labels[i][2])
    tight = fill_boxes([label.get("box2d") for _, label, _ in labels], masks)
    rows = []
    for i, (index, label, place) in enumerate(labels):
        category = label["category"]
        observation = Observation(
            id=to_id(track_ids[i], "id", place),
            box=_box(label.get("box2d"), tight[i], place),
            score=1.0 if label.get("score") is None else float(to_score(label["score"], place)),
            label=BDD100K_CLASSES.index(category) if category in BDD100K_CLASSES else 0,
            mask=masks[i],
            crowd=ignored[i],
        )
        rows.append((index, observation))
    try:
        return Tracks.from_observations(rows, size, len(frames))
    except ValueError as error:
        raise ValueError(f"{error}, in {where}") from error


def _is_ignored(label: dict[str, Any], where: str) -> bool:
    category, attributes = label.get("category"), label.get("attributes") or {}
    if not isinstance(category, str) or not isinstance(attributes, dict):
        raise ValueError(
            f"Expected a 'category', a text, and 'attributes', an object, got {shown(category)} and "
            f"{shown(attributes)} in {where}"
        )
    return category not in BDD100K_CLASSES or bool(attributes.get("crowd")) or bool(attributes.get("ignored"))


def _track_ids(labels: list[tuple[str, bool]]) -> list[int]:
    """Track id of each label, from its id in the file and whether it is ignored."""
    texts = sorted({text for text, _ in labels})
    if all(text.isdecimal() and len(text) <= _MAX_DIGITS and text == str(int(text)) for text in texts):
        numbers = {text: int(text) for text in texts}
    else:
        numbers = {text: number for number, text in enumerate(texts, start=1)}
    scored = {text for text, ignored in labels if not ignored}
    partly_ignored = {text for text, ignored in labels if ignored and text in scored}
    first_free = max(numbers.values(), default=0) + 1
    new_numbers = {text: first_free + i for i, text in enumerate(sorted(partly_ignored, key=numbers.__getitem__))}
    return [new_numbers.get(text, numbers[text]) if ignored else numbers[text] for text, ignored in labels]


def _mask(label: dict[str, Any], size: tuple[int, int] | None, where: str) -> Rle | None:
    if label.get("rle") is not None:
        if size is None:
            raise ValueError(f"Expected 'rle' with its 'size', got {shown(label['rle'])} in {where}")
        return to_rle(label["rle"], size, where)
    if label.get("box2d") is None:
        raise ValueError(
            f"Expected 'rle' or 'box2d', got neither in {where}: turn polygons ('poly2d') into masks first, which "
            "Scalabel does"
        )
    return None


def _box(box2d: Any, tight: Any, where: str) -> Box:
    if box2d is None:
        return to_box(tight, where)
    corners: list[Any] = [box2d.get(key) for key in ("x1", "y1", "x2", "y2")] if isinstance(box2d, dict) else []
    if len(corners) != 4 or not all(
        isinstance(v, int | float) and abs(v) < MAX_COORDINATE for v in corners
    ):  # NaN is not
        raise ValueError(f"Expected 'box2d' with finite x1, y1, x2 and y2, got {shown(box2d)} in {where}")
    x0, y0, x1, y1 = (float(value) for value in corners)
    if x1 + 1 < x0 or y1 + 1 < y0:
        raise ValueError(f"Expected 'box2d' with a size of at least 0, got {shown(box2d)} in {where}")
    return x0, y0, x1 + 1, y1 + 1


class Bdd100kWriter(JsonEntriesWriter):
    """Write one list of frames, as the evaluation of BDD100K takes it; :func:`read_bdd100k` reads it back.

    Every frame is written, also frames without objects. Masks, boxes, ids, classes, ``crowd`` and scores are read back
    exactly. One exception: right and lower edges below 1 may move by 1e-16, because the format subtracts 1 from them.

    Args:
        path: The file.
        class_names: Names of the classes by label: those of BDD100K, or "person" for "pedestrian".
        category_ids: Unused; the format has none.

    Raises:
        ValueError: For an object of another class that is not ``crowd``, or one whose box or score is not finite.
    """

    def _write(self, frame: int, observations: list[Observation]) -> None:
        assert self.video is not None
        names = self.video.frame_names
        where = f"frame {frame} of video '{self.video.name}'"
        entry = {
            "name": (f"{self.video.name}-{frame + 1:07d}" if names is None else names[frame]) + ".jpg",
            "videoName": self.video.name,
            "frameIndex": frame,
            "labels": [self._label(observation, where) for observation in observations],
        }
        self._opened().add(entry, where)

    def _label(self, observation: Observation, where: str) -> dict[str, Any]:
        name = "unknown" if self.class_names is None else self.class_names[observation.label]
        category = "pedestrian" if name == "person" else name
        if category not in BDD100K_CLASSES and not observation.crowd:
            raise ValueError(
                f"Expected a class of BDD100K ({', '.join(BDD100K_CLASSES)}), got '{name}' for object {observation.id} "
                f"in {where}: name the classes, or leave such objects out"
            )
        x0, y0, x1, y1 = observation.box
        label: dict[str, Any] = {
            "id": str(observation.id),
            "category": category,
            "box2d": {
                "x1": exact_number(x0),
                "y1": exact_number(y0),
                "x2": _last_pixel(x0, x1),
                "y2": _last_pixel(y0, y1),
            },
            "score": exact_number(observation.score),
            "attributes": {"crowd": observation.crowd},
        }
        if observation.mask is not None:
            label["rle"] = {"counts": observation.mask["counts"], "size": observation.mask["size"]}
        return label


def _last_pixel(low: float, high: float) -> int | float:
    """Number that gives ``high`` when 1 is added, or the next larger one if the sum would be below ``low``."""
    last = extent(1.0, high)
    return last if 1.0 + last >= low else math.nextafter(last, math.inf)
