"""YOLO: a text file with polygons or boxes beside each still image."""

import warnings
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from tltm_graph.formats.annotations import to_rle
from tltm_graph.formats.label_maps import read_image_size
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.io import natural_order, read_text
from tltm_graph.structures import Observation, Tracks

_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_MARGIN = 1e-3  # of the image's side, that coordinates reach over the edge where they were rounded


def read_yolo(path: str | Path, class_names: Sequence[str] | None = None) -> VideoSet:
    """Still images with their objects, each a video of one frame; nothing but names is read before it is asked for.

    An image ``images/<split>/<name>.jpg`` has its objects in ``labels/<split>/<name>.txt``, one on each line:
    ``class x0 y0 x1 y1 x2 y2 …``, a polygon in shares of width and height, or ``class cx cy w h``, a box by its centre;
    all objects of an image are of one kind. As is the format's custom, an image without a text file has no objects. A
    text file without an image is left out, with a warning that names it.

    Objects have the ids 0, 1, … in the order of the lines; boxes are those of the polygons. Images are named by their
    file without suffix, with the folder where that is not unique.

    Args:
        path: The folder with ``images`` and ``labels``, with or without folders in them.
        class_names: Names of the classes from 0 on; :data:`tltm_graph.formats.COCO` for those trained on COCO. By default
            the lines of ``path/classes.txt``.

    Raises:
        FileNotFoundError: If a folder is missing, or the names of the classes.
        ValueError: If there are no images; what is wrong with a line is said when the tracks of its image are asked
            for.
    """
    root = Path(path)
    images, labels = root / "images", root / "labels"
    for folder in (images, labels):
        if not folder.is_dir():
            raise FileNotFoundError(f"Expected a folder of YOLO with 'images' and 'labels', found no '{folder}'")
    if class_names is None:
        class_names = _class_names(root)
    files = [f.relative_to(images) for f in images.rglob("*") if f.suffix.lower() in _SUFFIXES and f.name[0] != "."]
    if not files:
        raise ValueError(f"Expected images ({', '.join(_SUFFIXES)}) in '{images}', got none")
    files.sort(key=lambda file: (natural_order(file.as_posix()), file.as_posix()))
    stems = Counter(file.stem for file in files)
    twice = next((f for f, count in Counter(f.with_suffix("") for f in files).items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"Expected each image once in '{images}', got '{twice}' with two suffixes")
    known = {file.with_suffix("") for file in files}
    found = {file.relative_to(labels).with_suffix("") for file in labels.rglob("*.txt") if file.name[0] != "."}
    lost = sorted(f"{file.as_posix()}.txt" for file in found - known if file.name != "classes")
    if lost:
        warnings.warn(f"left out of '{labels}', for want of an image: {', '.join(lost)}", stacklevel=2)
    videos = []
    for number, file in enumerate(files, start=1):
        stem = file.with_suffix("")
        text = labels / stem.parent / f"{stem.name}.txt" if stem in found else None
        videos.append(
            Video(
                name=stem.name if stems[stem.name] == 1 else stem.as_posix(),
                num_frames=1,
                id=number,
                images=(images / file,),
                frame_names=(stem.name,),
                load=partial(_annotated, images / file, text, len(class_names)),
            )
        )
    return VideoSet(videos, tuple(class_names), name=str(path))


def _class_names(root: Path) -> list[str]:
    """The names of the classes, from the files that data sets in this format come with."""
    listed = root / "classes.txt"
    if listed.is_file():
        return [line.strip() for line in read_text(listed, "names of classes").splitlines() if line.strip()]
    for file in sorted([*root.glob("*.yaml"), *root.glob("*.yml")]):
        try:
            content = yaml.safe_load(read_text(file, "a description of the data set"))
        except yaml.YAMLError as error:
            raise ValueError(
                f"Expected a description of the data set in '{file}', got damaged YAML: {error}"
            ) from error
        names = content.get("names") if isinstance(content, dict) else None
        if isinstance(names, dict) and sorted(names) == list(range(len(names))):
            names = [names[number] for number in range(len(names))]
        if isinstance(names, list) and names:
            return [str(name) for name in names]
    raise FileNotFoundError(
        f"Expected names of the classes in '{listed}', or under 'names' in a .yaml file beside it, found none: name "
        "the classes (those of COCO for data sets that are numbered like it)"
    )


def _annotated(image: Path, text: Path | None, num_classes: int) -> Tracks:
    """The objects of an image, as tracks of one frame; sizes are those of the picture held upright."""
    size = read_image_size(image)
    rows: list[Observation] = []
    lines = [] if text is None else read_text(text, "objects in YOLO's format").splitlines()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            rows.append(_object(line, len(rows), size, num_classes, f"line {number} of '{text}'"))
    if len({row.mask is None for row in rows}) > 1:
        raise ValueError(f"Expected polygons on all lines of '{text}' or boxes on all, got both: make two data sets")
    return Tracks.from_observations(((0, row) for row in rows), size, 1)


def _object(line: str, index: int, size: tuple[int, int], num_classes: int, where: str) -> Observation:
    height, width = size
    try:
        values = np.array([float(word) for word in line.split()])
    except ValueError:
        raise ValueError(f"Expected a class and coordinates as numbers, got '{line[:60]}' in {where}") from None
    label, points = values[0], values[1:]
    if not (label.is_integer() and 0 <= label < num_classes):
        raise ValueError(
            f"Expected a class from 0 to {num_classes - 1}, got {line.split()[0]} in {where}: give the class names of "
            "this data set"
        )
    if len(points) != 4 and (len(points) < 6 or len(points) % 2):
        raise ValueError(
            f"Expected a box (4 numbers) or a polygon (6 or more, even in number) after the class, got {len(points)} "
            f"in {where}"
        )
    if not ((points >= -_MARGIN) & (points <= 1 + _MARGIN)).all():  # NaN neither
        raise ValueError(
            f"Expected coordinates from 0 to 1, as shares of width and height, got {points.min()} to {points.max()} in "
            f"{where}"
        )
    scale = np.array([width, height])
    mask = None
    if len(points) == 4:
        centre, half = points[:2], points[2:] / 2
        low, high = centre - half, centre + half
        if (low < -_MARGIN).any() or (high > 1 + _MARGIN).any():
            raise ValueError(f"Expected a box in the image, got {[*low.tolist(), *high.tolist()]} (shares) in {where}")
    else:
        corners = points.reshape(-1, 2)  # (P, 2)
        low, high = corners.min(axis=0), corners.max(axis=0)
        mask = to_rle([(corners * scale).ravel().tolist()], size, where)
    (x0, y0), (x1, y1) = (low * scale).tolist(), (high * scale).tolist()
    return Observation(index, (x0, y0, x1, y1), label=int(label), mask=mask)
