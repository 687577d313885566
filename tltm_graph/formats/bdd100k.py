import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from tltm_graph.formats.annotations import to_rle, to_score
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.writer import TracksWriter, exact_number, extent
from tltm_graph.io import JsonListWriter, read_json
from tltm_graph.ops import Rle, check_rles, to_coco
from tltm_graph.structures import Observation, Tracks
from tltm_graph.structures.tracks import Box

BDD100K_CLASSES = ("pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
"""The classes that are tracked in BDD100K."""


def read_bdd100k(path: str | Path) -> VideoSet:
    """Opens tracks of BDD100K, truth and results alike, as Scalabel writes them.

    A file is a list of frames, or an object with such a list as ``frames``: ``{"name", "videoName", "frameIndex",
    "labels": [{"id", "category", "rle": {"counts", "size"}, "box2d": {"x1", "y1", "x2", "y2"}, "score",
    "attributes": {"crowd"}}]}``. Where there is only one of ``rle`` and ``box2d``, the track has no masks, or boxes
    tight around them. The corner (x2, y2) is the last pixel of a box, as in Scalabel, which adds 1 for its size; so
    does this. A missing score is 1.

    Ids are strings there: if all of a video are whole numbers, they are the ids of the tracks, else the tracks are
    numbered from 1 in the order of the strings. Objects with the attribute ``crowd`` or ``ignored``, and those of other
    classes ("other person", "trailer", …), are regions that are not to be scored: ``crowd``, the latter with label 0.
    If an object is such a region in some of its frames only, these become a track with a number after all others.

    Args:
        path: A file, or a folder of them (``.json``, ``.json.gz``). A file of one video is read again when its tracks
            are asked for; one of several videos is kept.

    Raises:
        FileNotFoundError: If there are no such files.
        ValueError: If a file is damaged or no list of frames, or the frames of a video are not numbered 0, 1, 2, …
            What is wrong with a label is said when the tracks of its video are asked for.
    """
    path = Path(path)
    files = [path] if not path.is_dir() else sorted(f for f in path.iterdir() if f.name.endswith((".json", ".json.gz")))
    if not files:
        raise FileNotFoundError(f"Expected files of BDD100K tracks (.json, .json.gz) in '{path}', found none")
    videos: list[Video] = []
    for file in files:
        grouped = _read_frames(file)
        for name, frames in grouped.items():
            again = partial(_read_video, file, name) if len(grouped) == 1 else partial(list, frames)
            size = _size_of(frames)
            stems = tuple(str(frame.get("name", index)).rsplit(".", 1)[0] for index, frame in enumerate(frames))
            load = partial(_load, again, size, f"'{file}', video '{name}'")
            videos.append(Video(name, len(frames), size, len(videos) + 1, frame_names=stems, load=load))
    return VideoSet(videos, BDD100K_CLASSES, name=str(path))


class Bdd100kWriter(TracksWriter):
    """Writes one list of frames, as the evaluation of BDD100K takes it; read back by :func:`read_bdd100k`.

    Every frame is written, those without objects too. Masks, boxes, ids, classes, ``crowd`` and scores come back as
    they were; only the right and lower edges of boxes that end before the second pixel may move by 1e-16, because the
    format has them less 1.

    Args:
        path: The file.
        class_names: Names of the classes by label; those of BDD100K, or "person" for "pedestrian".
        category_ids: Not used; the format has none.

    Raises:
        ValueError: At an object of another class, unless it is ``crowd``, or whose box or score is not finite.
    """

    def __init__(
        self, path: str | Path, class_names: Sequence[str] | None = None, category_ids: Sequence[int] | None = None
    ) -> None:
        super().__init__(path, class_names, category_ids)
        self._frames = JsonListWriter(self.path)

    def _begin(self, video: Video) -> None:
        """Nothing precedes the frames of a video."""

    def _end(self) -> None:
        """Nothing follows them."""

    def _close(self) -> None:
        self._frames.end()
        self._frames.publish()

    def _discard(self) -> None:
        self._frames.discard()

    def _write(self, frame: int, observations: list[Observation]) -> None:
        assert self.video is not None
        names = self.video.frame_names
        content = {
            "name": (f"{self.video.name}-{frame + 1:07d}" if names is None else names[frame]) + ".jpg",
            "videoName": self.video.name,
            "frameIndex": frame,
            "labels": [self._label(row, f"frame {frame} of video '{self.video.name}'") for row in observations],
        }
        self._frames.add(content, f"frame {frame} of video '{self.video.name}'")

    def _label(self, row: Observation, where: str) -> dict[str, Any]:
        name = "unknown" if self.class_names is None else self.class_names[row.label]
        category = "pedestrian" if name == "person" else name
        if category not in BDD100K_CLASSES and not row.crowd:
            raise ValueError(
                f"Expected a class of BDD100K ({', '.join(BDD100K_CLASSES)}), got '{name}' for object {row.id} in "
                f"{where}: name the classes, or leave such objects out"
            )
        x0, y0, x1, y1 = row.box
        corners = exact_number(x0), exact_number(y0), _last_pixel(x0, x1), _last_pixel(y0, y1)
        label: dict[str, Any] = {
            "id": str(row.id),
            "category": category,
            "box2d": dict(zip(("x1", "y1", "x2", "y2"), corners, strict=True)),
            "score": exact_number(row.score),
            "attributes": {"crowd": row.crowd},
        }
        if row.mask is not None:
            label["rle"] = {"counts": row.mask["counts"], "size": row.mask["size"]}
        return label


def _last_pixel(low: float, high: float) -> int | float:
    """The number that gives ``high`` when 1 is added, or a hair more if it would give less than ``low`` else."""
    last = extent(1.0, high)
    return last if 1.0 + last >= low else math.nextafter(last, math.inf)


def _read_frames(file: Path) -> dict[str, list[dict[str, Any]]]:
    """The frames of each video of a file, in order."""
    content = read_json(file, "BDD100K tracks")
    frames = content.get("frames") if isinstance(content, dict) else content
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise ValueError(
            f"Expected a list of frames, or an object with 'frames', in '{file}': it is no file of BDD100K"
        )
    stem = file.name.removesuffix(".gz").removesuffix(".json")
    grouped: dict[str, list[dict[str, Any]]] = {}
    for frame in frames:
        grouped.setdefault(str(frame.get("videoName") or stem), []).append(frame)
    for name, group in grouped.items():
        indices: list[Any] = [frame.get("frameIndex") for frame in group]
        if not all(type(index) is int for index in indices) or sorted(indices) != list(range(len(group))):
            raise ValueError(
                f"Expected 'frameIndex' 0 to {len(group) - 1}, each once, in the {len(group)} frames of video '{name}' "
                f"in '{file}', got {str(indices)[:60]}: a frame without objects must be listed, too"
            )
        group.sort(key=lambda frame: frame["frameIndex"])
    return grouped


def _read_video(file: Path, name: str) -> list[dict[str, Any]]:
    return _read_frames(file)[name]


def _size_of(frames: list[dict[str, Any]]) -> tuple[int, int] | None:
    """Height and width by the first frame or mask that says them."""
    for frame in frames:
        size = frame.get("size")
        sizes: list[Any] = [[size.get("height"), size.get("width")]] if isinstance(size, dict) else []
        labels = frame.get("labels")
        rles = (
            [label.get("rle") for label in labels or () if isinstance(label, dict)] if isinstance(labels, list) else []
        )
        sizes += [rle.get("size") for rle in rles if isinstance(rle, dict)]
        for pair in sizes:
            if isinstance(pair, list) and len(pair) == 2 and all(type(value) is int for value in pair):
                return pair[0], pair[1]
    return None


def _load(again: Callable[[], list[dict[str, Any]]], size: tuple[int, int] | None, where: str) -> Tracks:
    labels: list[tuple[int, dict[str, Any], str]] = []
    frames = again()
    for index, frame in enumerate(frames):
        entries = frame.get("labels") or []
        if not isinstance(entries, list):
            raise ValueError(f"Expected 'labels' as a list, got {str(entries)[:60]} in {where}, frame {index}")
        for label in entries:
            if not isinstance(label, dict) or not isinstance(label.get("id"), str | int):
                raise ValueError(f"Expected labels with an 'id', got {str(label)[:60]} in {where}, frame {index}")
            labels.append((index, label, f"{where}, frame {index}, object '{label['id']}'"))
    ignored = [_is_ignored(label, place) for _, label, place in labels]
    numbers = _numbers([(str(label["id"]), crowd) for (_, label, _), crowd in zip(labels, ignored, strict=True)])
    masks = [_mask(label, size, place) for _, label, place in labels]
    tight = _tight_boxes(masks, size, [place for *_, place in labels])
    rows = []
    for (index, label, place), crowd, number, mask, box in zip(labels, ignored, numbers, masks, tight, strict=True):
        category = label["category"]
        rows.append(
            (
                index,
                Observation(
                    id=number,
                    box=_box(label.get("box2d"), box, place),
                    score=1.0 if label.get("score") is None else float(to_score(label["score"], place)),
                    label=BDD100K_CLASSES.index(category) if category in BDD100K_CLASSES else 0,
                    mask=mask,
                    crowd=crowd,
                ),
            )
        )
    try:
        return Tracks.from_observations(rows, size, len(frames))
    except ValueError as error:
        raise ValueError(f"{error}, in {where}") from error


def _is_ignored(label: dict[str, Any], where: str) -> bool:
    category, attributes = label.get("category"), label.get("attributes") or {}
    if not isinstance(category, str) or not isinstance(attributes, dict):
        raise ValueError(f"Expected a 'category', a text, and 'attributes', an object, in {where}")
    return category not in BDD100K_CLASSES or bool(attributes.get("crowd")) or bool(attributes.get("ignored"))


def _numbers(owners: list[tuple[str, bool]]) -> list[int]:
    """The id of each label, from its text and whether it is a region that is not to be scored."""
    texts = sorted({text for text, _ in owners})
    if all(text.isdecimal() and text == str(int(text)) for text in texts):
        numbers = {text: int(text) for text in texts}
    else:
        numbers = {text: number for number, text in enumerate(texts, start=1)}
    scored = {text for text, ignored in owners if not ignored}
    mixed = sorted({text for text, ignored in owners if ignored and text in scored}, key=lambda text: numbers[text])
    beyond = max(numbers.values(), default=0) + 1
    regions = {**numbers, **{text: number for number, text in enumerate(mixed, start=beyond)}}
    return [regions[text] if ignored else numbers[text] for text, ignored in owners]


def _mask(label: dict[str, Any], size: tuple[int, int] | None, where: str) -> Rle | None:
    if label.get("rle") is not None:
        if size is None:
            raise ValueError(f"Expected 'rle' with its 'size', got {str(label['rle'])[:60]} in {where}")
        return to_rle(label["rle"], size, where)
    if label.get("box2d") is None:
        raise ValueError(
            f"Expected 'rle' or 'box2d', got neither in {where}: turn polygons ('poly2d') into masks first, which "
            "Scalabel does"
        )
    return None


def _tight_boxes(masks: list[Rle | None], size: tuple[int, int] | None, where: list[str]) -> list[Box | None]:
    known = [index for index, mask in enumerate(masks) if mask is not None]
    boxes: list[Box | None] = [None] * len(masks)
    if size is not None:
        rles = [mask for mask in masks if mask is not None]
        check_rles(rles, size, lambda index: where[known[index]])
        corners = np.asarray(coco_mask.toBbox(to_coco(rles))).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        for index, box in zip(known, corners.tolist(), strict=True):
            boxes[index] = tuple(box)
    return boxes


def _box(box2d: Any, tight: Box | None, where: str) -> Box:
    if box2d is None:
        assert tight is not None  # there is one of the two
        return tight
    corners: list[Any] = [box2d.get(key) for key in ("x1", "y1", "x2", "y2")] if isinstance(box2d, dict) else []
    if len(corners) != 4 or not all(isinstance(v, int | float) and abs(v) < 1e7 for v in corners):  # NaN is not
        raise ValueError(f"Expected 'box2d' with finite x1, y1, x2 and y2, got {str(box2d)[:80]} in {where}")
    x0, y0, x1, y1 = (float(value) for value in corners)
    if x1 + 1 < x0 or y1 + 1 < y0:
        raise ValueError(f"Expected 'box2d' with a size of at least 0, got {str(box2d)[:80]} in {where}")
    return x0, y0, x1 + 1, y1 + 1
