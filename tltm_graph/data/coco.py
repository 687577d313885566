"""COCO: one JSON file with the objects of still images, and the lists of results that COCO's evaluation reads."""

import gzip
import json
import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeGuard

from tltm_graph.data.annotations import categories_of, from_box, to_box, to_label, to_rle, to_score
from tltm_graph.data.video import Video, VideoSet
from tltm_graph.data.writer import TracksWriter
from tltm_graph.io import read_json
from tltm_graph.ops import Rle, check_rles, rle_areas
from tltm_graph.structures import Sighting, Tracks

_MARGIN = 1.0  # pixels that boxes reach over the edge where annotations were rounded


def read_coco(path: str | Path, images: str | Path | None = None) -> VideoSet:
    """The still images of a COCO file, each a video of one frame; masks are made when its tracks are asked for.

    An image is named by its file without suffix, with the folder where that is not unique, and keeps its id. Its
    objects have the ids 0, 1, … in the order of the file. Boxes and areas are the annotated ones; a box that is missing
    is the tight one of the mask. Labels follow the order of the category ids, which the set keeps.

    Args:
        path: ``{"images": [{"id", "file_name", "width", "height"}], "categories": [{"id", "name"}], "annotations":
            [{"id", "image_id", "category_id", "bbox" [x, y, w, h], "segmentation", "iscrowd", "area"}]}``. Masks are
            polygons or run lengths, compressed or not; the annotations of an image may all be without. A file without
            ``annotations`` has images without tracks.
        images: Folder that the ``file_name`` start from; images with a ``dataset``, as in the files of the TLTM
            authors, lie in the folder of that name in it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or of another kind, an id occurs twice, or an annotation is of an unknown image or
            category. What is wrong with boxes and masks is said when the tracks of the image are asked for.
    """
    content = read_json(path, "a COCO data set")
    entries = content.get("images") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ValueError(
            f"Expected a COCO data set in '{path}', got no list of 'images'; results are read by read_coco_results"
        )
    annotations = content.get("annotations")
    if annotations is not None and not isinstance(annotations, list):
        raise ValueError(f"Expected 'annotations' as a list in '{path}', got a {type(annotations).__name__}")
    names, category_ids = categories_of(content, path) if content.get("categories") or annotations else ((), ())
    labels = {category_id: label for label, category_id in enumerate(category_ids)}
    files = [_image(entry, number, path) for number, entry in enumerate(entries)]
    by_image: dict[int, list[dict[str, Any]]] = {image_id: [] for image_id, _, _ in files}
    if len(by_image) < len(files):
        twice = Counter(image_id for image_id, _, _ in files).most_common(1)[0][0]
        raise ValueError(f"Expected each image once in '{path}', got id {twice} twice")
    seen: set[int] = set()
    for number, annotation in enumerate(annotations or ()):
        annotation_id = annotation.get("id") if isinstance(annotation, dict) else None
        if not _is_whole(annotation_id) or annotation_id in seen:
            raise ValueError(
                f"Expected annotations with a number each as 'id', no two alike, in '{path}', got {annotation_id!r} in "
                f"annotation {number}"
            )
        seen.add(annotation_id)
        image_id = annotation.get("image_id")
        if not _is_whole(image_id) or image_id not in by_image:
            raise ValueError(
                f"Expected annotations of images in '{path}', got image {image_id!r} in annotation {annotation_id}"
            )
        to_label(annotation.get("category_id"), labels, f"annotation {annotation_id} of '{path}'")
        by_image[image_id].append(annotation)
    videos = []
    for (image_id, file, size), name in zip(files, _names([file for _, file, _ in files]), strict=True):
        where = f"image {image_id} ('{file}') of '{path}'"
        videos.append(
            Video(
                name=name,
                num_frames=1,
                size=size,
                id=image_id,
                images=None if images is None else (Path(images) / file,),
                frame_names=(file.stem,),
                load=None if annotations is None else partial(_annotated, by_image[image_id], size, labels, where),
            )
        )
    return VideoSet(videos, names, category_ids, name=str(path))


def _image(entry: Any, number: int, path: str | Path) -> tuple[int, Path, tuple[int, int]]:
    """Id, file and size of an image."""
    if isinstance(entry, dict):
        image_id, name, height, width = (entry.get(key) for key in ("id", "file_name", "height", "width"))
        if _is_whole(image_id) and _is_whole(height) and _is_whole(width) and min(height, width) > 0 and name:
            return image_id, Path(str(entry.get("dataset", ""))) / str(name), (height, width)
    raise ValueError(
        f"Expected images with 'id', 'file_name', 'height' and 'width' in '{path}', got {str(entry)[:80]} as image "
        f"{number}"
    )


def _names(files: list[Path]) -> list[str]:
    """Names of the images: the stems, or, where these are not unique, the paths without or even with their suffix."""
    names = [file.stem for file in files]
    for longer in (lambda file: file.with_suffix("").as_posix(), lambda file: file.as_posix()):
        counts = Counter(names)
        names = [longer(file) if counts[name] > 1 else name for name, file in zip(names, files, strict=True)]
    return names


def _annotated(
    annotations: list[dict[str, Any]], size: tuple[int, int], labels: Mapping[int, int], where: str
) -> Tracks:
    """The objects of an image, as tracks of one frame."""
    rows = []
    for index, annotation in enumerate(annotations):
        here = f"annotation {annotation['id']}, {where}"
        crowd, area = annotation.get("iscrowd", 0), annotation.get("area")
        if crowd not in (0, 1):
            raise ValueError(f"Expected 'iscrowd' of 0 or 1, got {crowd!r} in {here}")
        mask = to_rle(annotation["segmentation"], size, here) if annotation.get("segmentation") else None
        box = to_box(annotation.get("bbox"), mask, here)
        if min(box[:2]) < -_MARGIN or box[2] > size[1] + _MARGIN or box[3] > size[0] + _MARGIN:
            raise ValueError(
                f"Expected boxes in an image of {size[0]}×{size[1]} pixels (H×W), got {list(box)} (x0, y0, x1, y1) in "
                f"{here}: it belongs to another image, or has other units"
            )
        rows.append(
            Sighting(
                id=index,
                box=box,
                label=labels[annotation["category_id"]],
                mask=mask,
                crowd=bool(crowd),
                area=None if area is None else float(to_score(area, f"'area' of {here}")),
            )
        )
    masks = [row.mask for row in rows if row.mask is not None]
    if masks and len(masks) < len(rows):
        lacking = next(a["id"] for a, row in zip(annotations, rows, strict=True) if row.mask is None)
        raise ValueError(
            f"Expected 'segmentation' in all annotations of an image or in none, got none in annotation {lacking}, "
            f"{where}"
        )
    check_rles(masks, size, lambda index: f"annotation {annotations[index]['id']}, {where}")
    return Tracks.from_sightings(((0, row) for row in rows), size, 1)


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
        if not _is_whole(video_id) or video_id not in by_id:
            raise ValueError(
                f"Expected results for the videos or images of '{videos.name}', got one for {video_id!r} in entry "
                f"{number} of '{path}': it belongs to another data set"
            )
        length = by_id[video_id].num_frames
        if not _is_whole(frame) or frame < 0 or (length is not None and frame >= length):
            raise ValueError(
                f"Expected frames from 0 to {'…' if length is None else length - 1} of video "
                f"'{by_id[video_id].name}', got {frame!r} in entry {number} of '{path}'"
            )
        rows[video_id].append((number, frame, entry))
    if videos.category_ids is None:
        found = (entry.get("category_id") for entry in entries)
        labels = {category: category - 1 for category in found if _is_whole(category) and category > 0}
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

    def rows() -> Iterator[tuple[int, Sighting]]:
        nonlocal size
        for index, (number, frame, entry) in enumerate(entries):
            where = place(number, frame)
            segmentation, track_id = entry.get("segmentation"), entry.get("track_id", index)
            if not _is_whole(track_id) or track_id < 0:
                raise ValueError(f"Expected 'track_id' of at least 0, got {track_id!r} in {where}")
            mask: Rle | None = None
            if segmentation:
                size = size or _size_of(segmentation, where)
                mask = to_rle(segmentation, size, where)
            if entry.get("score") is None:
                raise ValueError(f"Expected a 'score', got none in {where}")
            score, label = to_score(entry["score"], where), to_label(entry.get("category_id"), labels, where)
            yield frame, Sighting(track_id, to_box(entry.get("bbox"), mask, where), score, label, mask)

    seen = list(rows())
    with_mask = [(entry[:2], row.mask) for entry, (_, row) in zip(entries, seen, strict=True) if row.mask is not None]
    if size is not None:
        check_rles([mask for _, mask in with_mask], size, lambda index: place(*with_mask[index][0]))
    try:
        return Tracks.from_sightings(seen, size, video.num_frames)
    except ValueError as error:
        raise ValueError(f"{error}, in video '{video.name}' of '{path}'") from error


def _size_of(segmentation: Any, where: str) -> tuple[int, int]:
    size = segmentation.get("size") if isinstance(segmentation, dict) else None
    if not isinstance(size, list) or len(size) != 2 or not all(_is_whole(side) and side > 0 for side in size):
        raise ValueError(f"Expected a mask as run lengths with their 'size' [H, W], got {size} in {where}")
    return size[0], size[1]


class _Entries:
    """A JSON file, packed if its name ends in ``.gz``, whose list of entries is written one by one."""

    def __init__(self, path: Path, head: str) -> None:
        self.path = path
        self._temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
        opening = gzip.open if path.suffix == ".gz" else open
        self._file: IO[str] = opening(self._temporary, "wt", encoding="utf-8")
        self._file.write(head)
        self._separator = "\n"

    def add(self, entry: dict[str, Any], where: str) -> None:
        try:
            text = json.dumps(entry, separators=(",", ":"), allow_nan=False)
        except ValueError as error:
            raise ValueError(f"Expected finite numbers, got {entry.get('bbox')} as box of {where}") from error
        self._file.write(self._separator + text)
        self._separator = ",\n"

    def finish(self, tail: str) -> None:
        self._file.write("\n" + tail)
        self._file.close()
        os.replace(self._temporary, self.path)

    def discard(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)


class _EntriesWriter(TracksWriter):
    """A writer of one file whose entries do not wait for the end of the video."""

    _head = "["

    def __init__(
        self, path: str | Path, class_names: Sequence[str] | None = None, category_ids: Sequence[int] | None = None
    ) -> None:
        super().__init__(path, class_names, category_ids)
        self._entries: _Entries | None = None

    def _opened(self) -> _Entries:
        if self._entries is None:
            self._entries = _Entries(self.path, self._head)
        return self._entries

    def _begin(self, video: Video) -> None:
        self._opened()

    def _write(self, frame: int, sightings: list[Sighting]) -> None:
        assert self.video is not None
        for row in sightings:
            where = f"object {row.id} in frame {frame} of video '{self.video.name}'"
            self._opened().add(self._entry(frame, row, where), where)

    def _end(self) -> None:
        pass

    def _close(self) -> None:
        self._opened().finish(self._tail())

    def _discard(self) -> None:
        if self._entries is not None:
            self._entries.discard()
            self._entries = None

    @abstractmethod
    def _entry(self, frame: int, row: Sighting, where: str) -> dict[str, Any]: ...

    @abstractmethod
    def _tail(self) -> str: ...


class _ResultsWriter(_EntriesWriter):
    def _tail(self) -> str:
        return "]\n"

    def _entry(self, frame: int, row: Sighting, where: str) -> dict[str, Any]:
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
        _check_still(video)
        super()._begin(video)

    def _place(self, frame: int) -> dict[str, int]:
        assert self.video is not None
        return {"image_id": self.video.id}


class CocoWriter(_EntriesWriter):
    """Writes still images with their objects as a COCO data set.

    ``file_name`` is the name of the video and the suffix of its image (.jpg where it is not at hand), masks are
    compressed run lengths. Areas that are not annotated are those of the masks, or of the boxes where there are none.
    Annotations are numbered from 1 on; ids and scores of objects have no place in the format.

    Raises:
        ValueError: Beside what all writers raise: if there are no class names, a video is not of one frame, an image
            comes twice or its size is not known.
    """

    _head = '{"annotations":['

    def __init__(
        self, path: str | Path, class_names: Sequence[str] | None = None, category_ids: Sequence[int] | None = None
    ) -> None:
        if class_names is None:
            raise ValueError('Expected class names for a COCO data set, got none: name one class for all, ("object",)')
        super().__init__(path, class_names, category_ids)
        self._images: dict[int, dict[str, Any]] = {}
        self._count = 0

    def _begin(self, video: Video) -> None:
        _check_still(video)
        if video.size is None:
            raise ValueError(f"Expected the size of image '{video.name}', got none: read it from the picture")
        if video.id in self._images:
            raise ValueError(f"Expected each image once, got id {video.id} twice (image '{video.name}')")
        suffix = video.images[0].suffix if video.images else ".jpg"
        height, width = video.size
        self._images[video.id] = {"id": video.id, "file_name": video.name + suffix, "height": height, "width": width}
        super()._begin(video)

    def _entry(self, frame: int, row: Sighting, where: str) -> dict[str, Any]:
        assert self.video is not None
        self._count += 1
        box = from_box(row.box)
        area = row.area
        if area is None:
            area = box[2] * box[3] if row.mask is None else int(rle_areas([row.mask])[0])
        return {
            "id": self._count,
            "image_id": self.video.id,
            "category_id": self.category_id(row.label),
            "bbox": box,
            "area": area,
            "iscrowd": int(row.crowd),
            **({} if row.mask is None else {"segmentation": row.mask}),
        }

    def _tail(self) -> str:
        categories = [
            {"id": self.category_id(label), "name": name} for label, name in enumerate(self.class_names or ())
        ]
        images = list(self._images.values())
        return f'],"images":{json.dumps(images)},"categories":{json.dumps(categories)}}}\n'


def _check_still(video: Video) -> None:
    if video.num_frames != 1:
        raise ValueError(f"Expected still images (videos of one frame), got {video.num_frames} in '{video.name}'")


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
