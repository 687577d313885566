"""What the writers of COCO's files have in common."""

import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tltm_graph.formats.annotations import (
    categories_of,
    from_box,
    is_whole,
    to_box,
    to_crowd,
    to_label,
    to_rle,
    to_score,
)
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.writer import TracksWriter
from tltm_graph.io import JsonListWriter, read_json
from tltm_graph.ops import check_rles, rle_areas
from tltm_graph.structures import Observation, Tracks


class CocoEntriesWriter(TracksWriter):
    """A writer of one file whose entries do not wait for the end of the video."""

    _head = "["

    def __init__(
        self, path: str | Path, class_names: Sequence[str] | None = None, category_ids: Sequence[int] | None = None
    ) -> None:
        super().__init__(path, class_names, category_ids)
        self._entries: JsonListWriter | None = None

    def _opened(self) -> JsonListWriter:
        if self._entries is None:
            self._entries = JsonListWriter(self.path, self._head)
        return self._entries

    def _begin(self, video: Video) -> None:
        self._opened()

    def _write(self, frame: int, observations: list[Observation]) -> None:
        assert self.video is not None
        for row in observations:
            where = f"object {row.id} in frame {frame} of video '{self.video.name}'"
            self._opened().add(self._entry(frame, row, where), where)

    def _end(self) -> None:
        pass

    def _close(self) -> None:
        self._opened().end(self._tail())
        self._opened().publish()

    def _discard(self) -> None:
        if self._entries is not None:
            self._entries.discard()
            self._entries = None

    @abstractmethod
    def _entry(self, frame: int, row: Observation, where: str) -> dict[str, Any]: ...

    @abstractmethod
    def _tail(self) -> str: ...


def check_still(video: Video) -> None:
    if video.num_frames != 1:
        raise ValueError(f"Expected still images (videos of one frame), got {video.num_frames} in '{video.name}'")


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
        if not is_whole(annotation_id) or annotation_id in seen:
            raise ValueError(
                f"Expected annotations with a number each as 'id', no two alike, in '{path}', got {annotation_id!r} in "
                f"annotation {number}"
            )
        seen.add(annotation_id)
        image_id = annotation.get("image_id")
        if not is_whole(image_id) or image_id not in by_image:
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
        if is_whole(image_id) and is_whole(height) and is_whole(width) and min(height, width) > 0 and name:
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
        crowd, area = to_crowd(annotation.get("iscrowd"), here), annotation.get("area")
        mask = to_rle(annotation["segmentation"], size, here) if annotation.get("segmentation") else None
        box = to_box(annotation.get("bbox"), mask, here)
        if min(box[:2]) < -_MARGIN or box[2] > size[1] + _MARGIN or box[3] > size[0] + _MARGIN:
            raise ValueError(
                f"Expected boxes in an image of {size[0]}×{size[1]} pixels (H×W), got {list(box)} (x0, y0, x1, y1) in "
                f"{here}: it belongs to another image, or has other units"
            )
        rows.append(
            Observation(
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
    return Tracks.from_observations(((0, row) for row in rows), size, 1)


class CocoWriter(CocoEntriesWriter):
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
        check_still(video)
        if video.size is None:
            raise ValueError(f"Expected the size of image '{video.name}', got none: read it from the picture")
        if video.id in self._images:
            raise ValueError(f"Expected each image once, got id {video.id} twice (image '{video.name}')")
        suffix = video.images[0].suffix if video.images else ".jpg"
        height, width = video.size
        self._images[video.id] = {"id": video.id, "file_name": video.name + suffix, "height": height, "width": width}
        super()._begin(video)

    def _entry(self, frame: int, row: Observation, where: str) -> dict[str, Any]:
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
