"""Open Images: tables of instance masks, each mask a picture."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tltm_graph.formats.annotations import inside
from tltm_graph.formats.label_maps import read_image_size, read_label_map
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.io.text import check_file, shown
from tltm_graph.ops import encode_rle
from tltm_graph.printable import one_line
from tltm_graph.structures import Observation, Tracks
from tltm_graph.structures.tracks import Box

_MASK_COLUMNS = ("MaskPath", "ImageID", "LabelName", "BoxXMin", "BoxXMax", "BoxYMin", "BoxYMax")
_BOX_COLUMNS = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax", "IsGroupOf")
_MARGIN = 1e-5  # share of the image's side: the tables have six decimals


@dataclass(frozen=True)
class _Object:
    label: int
    box: Box  # in shares of width and height
    mask: Path | None  # None for a group, which has no outline
    crowd: bool = False


def read_open_images(
    masks_csv: str | Path,
    masks_folder: str | Path,
    class_descriptions_csv: str | Path,
    boxes_csv: str | Path | None = None,
    images: str | Path | None = None,
) -> VideoSet:
    """Open still images of Open Images (V5 and later) with their masks, each a video of one frame.

    Tables are read at once, masks when the tracks of their image are read. Masks are pictures of another size than the
    image and are scaled to it (nearest neighbour). Without images they keep their own size, which must be the same for
    all masks of an image. An image is named by its id. Objects have the ids 0, 1, … in the order of the tables. Labels
    follow the order of the class descriptions.

    With a table of boxes, groups (``IsGroupOf``) are ``crowd``: a mask whose box is a group, and each group of these
    images that has no mask, which gets the area of its box as mask.

    Args:
        masks_csv: Table with ``MaskPath, ImageID, LabelName, BoxXMin, BoxXMax, BoxYMin, BoxYMax``, boxes in shares of
            width and height.
        masks_folder: Folder of the masks (PNG, 0 for background).
        class_descriptions_csv: Lines of label name and class name, such as ``/m/011k07,Tortoise``.
        boxes_csv: Table with ``ImageID, LabelName, XMin, XMax, YMin, YMax, IsGroupOf``. Boxes of other images are
            skipped, so one table can serve several parts of the data set.
        images: Folder of ``<ImageID>.jpg``.

    Raises:
        FileNotFoundError: If a table or folder is missing.
        ValueError: If columns are missing, a coordinate is not a number or outside the image, a label has no
            description, or a mask comes twice.
    """
    masks_folder = Path(masks_folder)
    if not masks_folder.is_dir():
        raise FileNotFoundError(f"Expected a folder of masks at '{masks_folder}', found none")
    names, labels = _read_classes(Path(class_descriptions_csv))
    by_image: dict[str, list[_Object]] = {}
    mask_paths: set[str] = set()
    for where, row in _read_table(Path(masks_csv), _MASK_COLUMNS):
        mask_path = row["MaskPath"]
        if mask_path in mask_paths:
            raise ValueError(f"Expected each mask once, got {shown(mask_path)} again in {where}")
        mask_paths.add(mask_path)
        by_image.setdefault(row["ImageID"], []).append(
            _Object(_label(row, labels, where), _box(row, "Box", where), inside(masks_folder, mask_path, where))
        )
    if boxes_csv is not None:
        _mark_groups(by_image, Path(boxes_csv), labels)
    videos = []
    for number, (image_id, objects) in enumerate(by_image.items(), start=1):
        image = None if images is None else inside(images, f"{image_id}.jpg", f"'{masks_csv}'")
        videos.append(
            Video(
                name=image_id,
                num_frames=1,
                id=number,
                images=None if image is None else (image,),
                frame_names=(image_id,),
                load=partial(_load_tracks, objects, image, image_id),
            )
        )
    return VideoSet(videos, names, name=str(masks_csv))


def read_open_images_folder(path: str | Path, images: str | Path | None = None) -> VideoSet:
    """Open a download of Open Images: a folder with the tables under their official names.

    The tables are found by the ends of their names: ``annotations-object-segmentation.csv``,
    ``class-descriptions-boxable.csv`` and, optionally, ``annotations-bbox.csv``. Masks are in the subfolder ``masks``,
    or in the folder itself.

    Args:
        path: The folder.
        images: Folder of ``<ImageID>.jpg``.

    Raises:
        FileNotFoundError: If a table is missing.
        ValueError: If there are two tables of a kind; otherwise as :func:`read_open_images`.
    """
    folder = Path(path)
    masks_csv = _table(folder, "annotations-object-segmentation.csv")
    classes_csv = _table(folder, "class-descriptions-boxable.csv")
    boxes_csv = _table(folder, "annotations-bbox.csv") if any(folder.glob("*annotations-bbox.csv")) else None
    masks = folder / "masks" if (folder / "masks").is_dir() else folder
    return read_open_images(masks_csv, masks, classes_csv, boxes_csv, images)


def _table(folder: Path, ending: str) -> Path:
    files = sorted(folder.glob(f"*{ending}"))
    if not files:
        raise FileNotFoundError(f"Expected a table '*{ending}' of Open Images in '{folder}', found none")
    if len(files) > 1:
        names = [file.name for file in files]
        raise ValueError(f"Expected one table '*{ending}' in '{folder}', got {names}: give each part its own folder")
    return files[0]


def _read_classes(path: Path) -> tuple[tuple[str, ...], dict[str, int]]:
    """Read the class names, and the label of each label name."""
    names: list[str] = []
    labels: dict[str, int] = {}
    for where, fields in _lines(path):
        if len(fields) != 2 or fields[0] in labels:
            raise ValueError(f"Expected a label name and a class name, each label once, got {shown(fields)} in {where}")
        if fields[0] != "LabelName":  # the heading of later versions
            labels[fields[0]] = len(names)
            names.append(fields[1])
    return tuple(names), labels


def _read_table(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Read the rows of a table by column, each with its place for error messages."""
    lines = _lines(path)
    _, heading = next(lines, ("", []))
    missing = [column for column in columns if column not in heading]
    if missing:
        raise ValueError(f"Expected the columns {', '.join(columns)} in '{path}', got none of {', '.join(missing)}")
    for where, fields in lines:
        if len(fields) != len(heading):
            raise ValueError(f"Expected {len(heading)} fields, got {len(fields)} in {where}: the file was cut off")
        yield where, dict(zip(heading, fields, strict=True))


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    check_file(path, "a table of Open Images")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for fields in reader:
                if fields:
                    yield f"line {reader.line_num} of '{path}'", fields
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"Expected a table of Open Images in '{path}', got a damaged file: {error}") from error


def _mark_groups(by_image: dict[str, list[_Object]], path: Path, labels: dict[str, int]) -> None:
    """Mark the groups in the table of boxes as ``crowd``, and add those without a mask."""
    for where, row in _read_table(path, _BOX_COLUMNS):
        if row["IsGroupOf"] != "1" or row["ImageID"] not in by_image:
            continue
        objects = by_image[row["ImageID"]]
        group = _Object(_label(row, labels, where), _box(row, "", where), None, crowd=True)
        matched = [i for i, item in enumerate(objects) if _is_same(item, group)]
        for i in matched:
            objects[i] = replace(objects[i], crowd=True)
        if not matched:
            objects.append(group)


def _is_same(item: _Object, other: _Object) -> bool:
    distance = max(abs(a - b) for a, b in zip(item.box, other.box, strict=True))
    return item.label == other.label and distance <= _MARGIN


def _label(row: dict[str, str], labels: dict[str, int], where: str) -> int:
    if row["LabelName"] not in labels:
        raise ValueError(f"Expected a label of the class descriptions, got {shown(row['LabelName'])} in {where}")
    return labels[row["LabelName"]]


def _box(row: dict[str, str], prefix: str, where: str) -> Box:
    try:
        x0, x1, y0, y1 = (float(row[prefix + side]) for side in ("XMin", "XMax", "YMin", "YMax"))
    except ValueError as error:
        raise ValueError(f"Expected a box as four numbers in {where}: {one_line(str(error))[:80]}") from error
    if not (-_MARGIN <= x0 <= x1 <= 1 + _MARGIN and -_MARGIN <= y0 <= y1 <= 1 + _MARGIN):
        raise ValueError(f"Expected a box in shares of width and height, got {(x0, y0, x1, y1)} in {where}")
    return x0, y0, x1, y1


def _load_tracks(objects: list[_Object], image: Path | None, image_id: str) -> Tracks:
    size = None if image is None else read_image_size(image)
    masks: dict[int, np.ndarray] = {}
    for index, item in enumerate(objects):
        if item.mask is None:
            continue
        mask = read_label_map(item.mask) > 0
        size = size or (mask.shape[0], mask.shape[1])
        if image is None and mask.shape != size:
            raise ValueError(
                f"Expected masks of one size for image '{image_id}', got {size} and {mask.shape} (H, W) in "
                f"'{item.mask}': name the folder of the images"
            )
        if mask.shape != size:
            mask = np.asarray(Image.fromarray(mask).resize((size[1], size[0]), Image.Resampling.NEAREST))
        masks[index] = mask
    assert size is not None  # every image has a row in the table of masks
    height, width = size
    observations = []
    for index, item in enumerate(objects):
        x0, y0, x1, y1 = item.box
        box = x0 * width, y0 * height, x1 * width, y1 * height
        mask = masks[index] if index in masks else _rectangle(box, size)
        rle = encode_rle(torch.from_numpy(mask.copy())[None])[0]
        observations.append((0, Observation(index, box, label=item.label, mask=rle, crowd=item.crowd)))
    return Tracks.from_observations(observations, size, 1)


def _rectangle(box: Box, size: tuple[int, int]) -> np.ndarray:
    """Mask of the pixels whose centres are in the box, bool (H, W)."""
    y, x = np.arange(size[0])[:, None] + 0.5, np.arange(size[1])[None] + 0.5
    return (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
