"""Open Images: tables of instance masks, each mask a picture of its own."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tltm_graph.formats.label_maps import read_image_size, read_label_map
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.ops import encode_rle
from tltm_graph.structures import Observation, Tracks
from tltm_graph.structures.tracks import Box

_MASK_COLUMNS = ("MaskPath", "ImageID", "LabelName", "BoxXMin", "BoxXMax", "BoxYMin", "BoxYMax")
_BOX_COLUMNS = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax", "IsGroupOf")
_MARGIN = 1e-5  # of the image's side: the tables write six decimals


@dataclass(frozen=True)
class _Row:
    label: int
    box: Box  # as shares of width and height
    mask: Path | None  # None for a group, which has no outline
    crowd: bool


def read_open_images(
    masks_csv: str | Path,
    masks_folder: str | Path,
    class_descriptions_csv: str | Path,
    boxes_csv: str | Path | None = None,
    images: str | Path | None = None,
) -> VideoSet:
    """Still images of Open Images (V5 and later) with their masks, each a video of one frame, named by its image id.

    The tables are read at once, masks when the tracks of their image are asked for. Masks are pictures of another size
    than the image: they are scaled to it (nearest neighbour), or, where images are not at hand, kept at their own size,
    which has to be the same for all masks of the image. Objects have the ids 0, 1, … in the order of the tables. Labels
    follow the order of the class descriptions.

    With a table of boxes, what that marks as a group (``IsGroupOf``) is ``crowd``: a mask whose box is marked, and,
    with the area of its box as mask, each marked box of these images that has no mask.

    Args:
        masks_csv: Table with ``MaskPath, ImageID, LabelName, BoxXMin, BoxXMax, BoxYMin, BoxYMax``, boxes in shares of
            width and height.
        masks_folder: Folder of the masks (PNG, everything but 0 is the object).
        class_descriptions_csv: Lines of label name and class name, such as ``/m/011k07,Tortoise``.
        boxes_csv: Table with ``ImageID, LabelName, XMin, XMax, YMin, YMax, IsGroupOf``; those of other images are
            passed over, so that one table serves parts of the data set.
        images: Folder of ``<ImageID>.jpg``.

    Raises:
        FileNotFoundError: If a table or folder is missing.
        ValueError: If columns are missing, a number is none or a box is not in the image, a label has no description,
            or a mask comes twice.
    """
    masks_folder = Path(masks_folder)
    if not masks_folder.is_dir():
        raise FileNotFoundError(f"Expected a folder of masks at '{masks_folder}', found none")
    names, labels = _read_classes(Path(class_descriptions_csv))
    by_image: dict[str, list[_Row]] = {}
    seen: set[str] = set()
    for where, row in _read_table(Path(masks_csv), _MASK_COLUMNS):
        if row["MaskPath"] in seen:
            raise ValueError(f"Expected each mask once, got '{row['MaskPath']}' again in {where}")
        seen.add(row["MaskPath"])
        by_image.setdefault(row["ImageID"], []).append(
            _Row(_label(row, labels, where), _box(row, "Box", where), masks_folder / row["MaskPath"], False)
        )
    if boxes_csv is not None:
        _mark_groups(by_image, Path(boxes_csv), labels)
    videos = []
    for number, (image_id, rows) in enumerate(by_image.items(), start=1):
        image = None if images is None else Path(images) / f"{image_id}.jpg"
        videos.append(
            Video(
                name=image_id,
                num_frames=1,
                id=number,
                images=None if image is None else (image,),
                frame_names=(image_id,),
                load=partial(_annotated, rows, image, image_id),
            )
        )
    return VideoSet(videos, names, name=str(masks_csv))


def read_open_images_folder(path: str | Path, images: str | Path | None = None) -> VideoSet:
    """Open Images as it is downloaded: a folder with the tables under their official names.

    They are found by how the names end: ``annotations-object-segmentation.csv``, ``class-descriptions-boxable.csv``
    and, where it is there, ``annotations-bbox.csv``. Masks lie in ``masks``, or else beside the tables.

    Args:
        path: The folder.
        images: Folder of ``<ImageID>.jpg``.

    Raises:
        FileNotFoundError: If a table is missing.
        ValueError: If there are two of a kind; otherwise as :func:`read_open_images`.
    """
    folder = Path(path)
    masks_csv = _table(folder, "annotations-object-segmentation.csv")
    classes_csv = _table(folder, "class-descriptions-boxable.csv")
    boxes = any(folder.glob("*annotations-bbox.csv"))
    masks = folder / "masks" if (folder / "masks").is_dir() else folder
    return read_open_images(
        masks_csv, masks, classes_csv, _table(folder, "annotations-bbox.csv") if boxes else None, images
    )


def _table(folder: Path, ending: str) -> Path:
    files = sorted(folder.glob(f"*{ending}"))
    if not files:
        raise FileNotFoundError(f"Expected a table '*{ending}' of Open Images in '{folder}', found none")
    if len(files) > 1:
        names = [file.name for file in files]
        raise ValueError(f"Expected one table '*{ending}' in '{folder}', got {names}: give each part its own folder")
    return files[0]


def _read_classes(path: Path) -> tuple[tuple[str, ...], dict[str, int]]:
    """Class names, and the label of each label name."""
    names: list[str] = []
    labels: dict[str, int] = {}
    for where, fields in _lines(path):
        if len(fields) != 2 or fields[0] in labels:
            raise ValueError(f"Expected a label name and a class name, each label once, got {fields} in {where}")
        if fields[0] != "LabelName":  # the heading of later versions
            labels[fields[0]] = len(names)
            names.append(fields[1])
    return tuple(names), labels


def _read_table(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a table by column, each with where it is."""
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
    if not path.is_file():
        raise FileNotFoundError(f"Expected a table of Open Images at '{path}', found none")
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            for fields in reader:
                if fields:
                    yield f"line {reader.line_num} of '{path}'", fields
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"Expected a table of Open Images in '{path}', got a damaged file: {error}") from error


def _mark_groups(by_image: dict[str, list[_Row]], path: Path, labels: dict[str, int]) -> None:
    """Makes the groups of the table of boxes ``crowd``."""
    for where, row in _read_table(path, _BOX_COLUMNS):
        if row["IsGroupOf"] != "1" or row["ImageID"] not in by_image:
            continue
        rows = by_image[row["ImageID"]]
        label, box = _label(row, labels, where), _box(row, "", where)
        same = [index for index, other in enumerate(rows) if other.label == label and _is_same(other.box, box)]
        for index in same:
            rows[index] = _Row(label, rows[index].box, rows[index].mask, True)
        if not same:
            rows.append(_Row(label, box, None, True))


def _is_same(box: Box, other: Box) -> bool:
    return max(abs(a - b) for a, b in zip(box, other, strict=True)) <= _MARGIN


def _label(row: dict[str, str], labels: dict[str, int], where: str) -> int:
    if row["LabelName"] not in labels:
        raise ValueError(f"Expected a label of the class descriptions, got '{row['LabelName']}' in {where}")
    return labels[row["LabelName"]]


def _box(row: dict[str, str], prefix: str, where: str) -> Box:
    try:
        x0, x1, y0, y1 = (float(row[prefix + side]) for side in ("XMin", "XMax", "YMin", "YMax"))
    except ValueError as error:
        raise ValueError(f"Expected a box as four numbers in {where}: {error}") from error
    if not (-_MARGIN <= x0 <= x1 <= 1 + _MARGIN and -_MARGIN <= y0 <= y1 <= 1 + _MARGIN):
        raise ValueError(f"Expected a box in shares of width and height, got {(x0, y0, x1, y1)} in {where}")
    return x0, y0, x1, y1


def _annotated(rows: list[_Row], image: Path | None, image_id: str) -> Tracks:
    """The objects of an image, as tracks of one frame."""
    size = None if image is None else read_image_size(image)
    masks: dict[int, np.ndarray] = {}
    for index, row in enumerate(rows):
        if row.mask is None:
            continue
        mask = read_label_map(row.mask) > 0
        size = size or (mask.shape[0], mask.shape[1])
        if image is None and mask.shape != size:
            raise ValueError(
                f"Expected masks of one size for image '{image_id}', got {size} and {mask.shape} (H, W) in "
                f"'{row.mask}': name the folder of the images"
            )
        if mask.shape != size:
            mask = np.asarray(Image.fromarray(mask).resize((size[1], size[0]), Image.Resampling.NEAREST))
        masks[index] = mask
    assert size is not None  # an image is in the table for its masks
    height, width = size
    observations = []
    for index, row in enumerate(rows):
        x0, y0, x1, y1 = row.box
        box = x0 * width, y0 * height, x1 * width, y1 * height
        mask = masks[index] if index in masks else _rectangle(box, size)
        rle = encode_rle(torch.from_numpy(mask.copy())[None])[0]
        observations.append((0, Observation(index, box, label=row.label, mask=rle, crowd=row.crowd)))
    return Tracks.from_observations(observations, size, 1)


def _rectangle(box: Box, size: tuple[int, int]) -> np.ndarray:
    """The pixels whose centres lie in a box, bool (H, W)."""
    y, x = np.arange(size[0])[:, None] + 0.5, np.arange(size[1])[None] + 0.5
    return (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
