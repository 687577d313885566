"""COCO data sets of still images."""

import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tltm_graph.formats.annotations import (
    JsonEntriesWriter,
    check_masks,
    fill_boxes,
    from_box,
    inside,
    is_integer,
    read_categories,
    to_box,
    to_crowd,
    to_label,
    to_rle,
    to_score,
    to_size,
)
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.io.text import read_json, shown
from tltm_graph.ops.rle import rle_areas
from tltm_graph.structures import Observation, Tracks

_MARGIN = 1.0  # pixels: rounded boxes may reach over the edge of the image


def read_coco(path: str | Path, images: str | Path | None = None) -> VideoSet:
    """Open the still images of a COCO file, each a video of one frame.

    The name of an image is its file name without suffix, with the folder where that is not unique; it keeps its id.
    Its objects have the ids 0, 1, … in the order of the file. Boxes and areas are the annotated ones; a missing box is
    the tight box of the mask. Labels follow the order of the category ids, which the set keeps. Masks are converted
    when the tracks of their image are read.

    Args:
        path: ``{"images": [{"id", "file_name", "width", "height"}], "categories": [{"id", "name"}], "annotations":
            [{"id", "image_id", "category_id", "bbox" [x, y, w, h], "segmentation", "iscrowd", "area"}]}``. Masks are
            polygons or run lengths, compressed or not. Either all annotations of an image have one, or none has. A file
            without ``annotations`` has images without tracks.
        images: Folder that the ``file_name`` are relative to. Images with a ``dataset``, as in the files of the TLTM
            authors, are in the subfolder of that name.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or of another kind, an id occurs twice, or an annotation is of an unknown image or
            category. An error in a box or mask is raised when the tracks of its image are read.
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
    names, category_ids = read_categories(content, path) if content.get("categories") or annotations else ((), ())
    labels = {category_id: label for label, category_id in enumerate(category_ids)}
    files = [_image(entry, f"image {number} of '{path}'") for number, entry in enumerate(entries)]
    by_image: dict[int, list[dict[str, Any]]] = {image_id: [] for image_id, _, _ in files}
    if len(by_image) < len(files):
        duplicate = Counter(image_id for image_id, _, _ in files).most_common(1)[0][0]
        raise ValueError(f"Expected each image once in '{path}', got id {duplicate} twice")
    annotation_ids: set[int] = set()
    for number, annotation in enumerate(annotations or ()):
        annotation_id = annotation.get("id") if isinstance(annotation, dict) else None
        if not is_integer(annotation_id) or annotation_id in annotation_ids:
            raise ValueError(
                f"Expected a unique number as 'id' in annotation {number} of '{path}', got {shown(annotation_id)}"
            )
        annotation_ids.add(annotation_id)
        image_id, where = annotation.get("image_id"), f"annotation {annotation_id} of '{path}'"
        if not is_integer(image_id) or image_id not in by_image:
            raise ValueError(f"Expected the id of an image in the file, got image {shown(image_id)} in {where}")
        to_label(annotation.get("category_id"), labels, where)
        by_image[image_id].append(annotation)
    videos = []
    for (image_id, file, size), name in zip(files, _unique_names([file for _, file, _ in files]), strict=True):
        where = f"image {image_id} ('{file}') of '{path}'"
        videos.append(
            Video(
                name=name,
                num_frames=1,
                size=size,
                id=image_id,
                images=None if images is None else (inside(images, file, where),),
                frame_names=(file.stem,),
                load=None if annotations is None else partial(_load_tracks, by_image[image_id], size, labels, where),
            )
        )
    return VideoSet(videos, names, category_ids, name=str(path))


def _image(entry: Any, where: str) -> tuple[int, Path, tuple[int, int]]:
    """Id, file and size (H, W) of an image."""
    if isinstance(entry, dict):
        image_id, name, folder = entry.get("id"), entry.get("file_name"), entry.get("dataset", "")
        if (
            is_integer(image_id)
            and isinstance(name, str)
            and isinstance(folder, str)
            and Path(name).stem not in ("", "..")
        ):
            return image_id, Path(folder) / name, to_size(entry.get("height"), entry.get("width"), where)
    raise ValueError(f"Expected 'id', 'file_name', 'height' and 'width' in {where}, got {shown(entry)}")


def _unique_names(files: list[Path]) -> list[str]:
    """Stem of each file; where it is not unique, the path without its suffix, or else the whole path."""
    names = [file.stem for file in files]
    for longer in (lambda file: file.with_suffix("").as_posix(), lambda file: file.as_posix()):
        counts = Counter(names)
        names = [longer(file) if counts[name] > 1 else name for name, file in zip(names, files, strict=True)]
    return names


def _load_tracks(
    annotations: list[dict[str, Any]], size: tuple[int, int], labels: Mapping[int, int], where: str
) -> Tracks:
    places = [f"annotation {annotation['id']}, {where}" for annotation in annotations]
    masks = [
        to_rle(annotation["segmentation"], size, place) if annotation.get("segmentation") else None
        for annotation, place in zip(annotations, places, strict=True)
    ]
    if None in masks and any(mask is not None for mask in masks):
        where = places[masks.index(None)]
        raise ValueError(f"Expected 'segmentation' in all annotations of an image or in none, got none in {where}")
    check_masks(masks, size, places.__getitem__)
    boxes = fill_boxes([annotation.get("bbox") for annotation in annotations], masks)
    observations = []
    for index, (annotation, place) in enumerate(zip(annotations, places, strict=True)):
        crowd, area = to_crowd(annotation.get("iscrowd"), place), annotation.get("area")
        box = to_box(boxes[index], place)
        if min(box[:2]) < -_MARGIN or box[2] > size[1] + _MARGIN or box[3] > size[0] + _MARGIN:
            raise ValueError(
                f"Expected boxes in an image of {size[0]}×{size[1]} pixels (H×W), got {list(box)} (x0, y0, x1, y1) in "
                f"{place}: it belongs to another image, or has other units"
            )
        observations.append(
            Observation(
                id=index,
                box=box,
                label=labels[annotation["category_id"]],
                mask=masks[index],
                crowd=crowd,
                area=None if area is None else float(to_score(area, f"'area' of {place}")),
            )
        )
    return Tracks.from_observations(((0, observation) for observation in observations), size, 1)


class CocoEntriesWriter(JsonEntriesWriter):
    """Base of the writers of one entry for each object in each frame."""

    def _write(self, frame: int, observations: list[Observation]) -> None:
        assert self.video is not None
        for observation in observations:
            where = f"object {observation.id} in frame {frame} of video '{self.video.name}'"
            self._opened().add(self._entry(frame, observation, where), where)

    @abstractmethod
    def _entry(self, frame: int, observation: Observation, where: str) -> dict[str, Any]: ...


def check_still(video: Video) -> None:
    """Raise a ValueError if a video does not have exactly one frame."""
    if video.num_frames != 1:
        raise ValueError(f"Expected still images (videos of one frame), got {video.num_frames} in '{video.name}'")


class CocoWriter(CocoEntriesWriter):
    """Write still images with their objects as a COCO data set.

    ``file_name`` is the name of the video with the suffix of its image (.jpg if the image is not available). Masks are
    compressed run lengths. A missing area is that of the mask, or of the box if there is no mask. Annotations are
    numbered from 1. The format has no ids and scores of objects.

    Raises:
        ValueError: If there are no class names, a video does not have one frame, an image comes twice or its size is
            unknown; also as in :meth:`tltm_graph.formats.TracksWriter.write`.
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

    def _entry(self, frame: int, observation: Observation, where: str) -> dict[str, Any]:
        assert self.video is not None
        self._count += 1
        box, area, mask = from_box(observation.box), observation.area, observation.mask
        if area is None:
            area = box[2] * box[3] if mask is None else int(rle_areas([mask])[0])
        return {
            "id": self._count,
            "image_id": self.video.id,
            "category_id": self.category_id(observation.label),
            "bbox": box,
            "area": area,
            "iscrowd": int(observation.crowd),
            **({} if mask is None else {"segmentation": mask}),
        }

    def _tail(self) -> str:
        images = json.dumps(list(self._images.values()))
        return f'],"images":{images},"categories":{json.dumps(self._categories())}}}\n'
