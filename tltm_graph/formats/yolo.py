"""YOLO: still images, each with a text file of polygons or boxes."""

import warnings
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tltm_graph.formats.annotations import to_rle
from tltm_graph.formats.label_maps import read_image_size
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.io.text import read_text, read_yaml, shown
from tltm_graph.io.video import natural_order
from tltm_graph.structures import Observation, Tracks

_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_MARGIN = 1e-3  # share of the image's side: rounded coordinates may reach over the edge


def read_yolo(path: str | Path, class_names: Sequence[str] | None = None) -> VideoSet:
    """Open the still images of a YOLO data set, each a video of one frame.

    An image ``images/<split>/<name>.jpg`` has its objects in ``labels/<split>/<name>.txt``, one in each line: ``class
    x0 y0 x1 y1 x2 y2 …``, a polygon in shares of width and height, or ``class cx cy w h``, a box by its centre. All
    objects of an image are of one kind. An image without a text file has no objects, as usual in this format. A text
    file without an image is left out, with a warning that names it.

    Objects have the ids 0, 1, … in the order of the lines; boxes are those of the polygons. The name of an image is its
    file name without suffix, with the folder where that is not unique. Only file names are read here; objects are read
    when the tracks of their image are.

    Args:
        path: Folder with ``images`` and ``labels``, with or without subfolders.
        class_names: Names of the classes from 0, such as :data:`tltm_graph.formats.COCO` for data sets numbered like
            it. By default the lines of ``path/classes.txt``, or ``names`` in a .yaml file.

    Raises:
        FileNotFoundError: If a folder or the names of the classes are missing.
        ValueError: If there are no images. An error in a line is raised when the tracks of its image are read.
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
    image_names = Counter(file.with_suffix("") for file in files)
    duplicate = next((name for name, count in image_names.items() if count > 1), None)
    if duplicate is not None:
        raise ValueError(f"Expected each image once in '{images}', got '{duplicate}' with two suffixes")
    text_names = {file.relative_to(labels).with_suffix("") for file in labels.rglob("*.txt") if file.name[0] != "."}
    lone_texts = sorted(f"{name.as_posix()}.txt" for name in text_names - set(image_names) if name.name != "classes")
    if lone_texts:
        warnings.warn(f"left out texts without an image in '{labels}': {', '.join(lone_texts)}", stacklevel=2)
    stems = Counter(file.stem for file in files)
    videos = []
    for number, file in enumerate(files, start=1):
        name = file.with_suffix("")
        text = labels / name.parent / f"{name.name}.txt" if name in text_names else None
        videos.append(
            Video(
                name=file.stem if stems[file.stem] == 1 else name.as_posix(),
                num_frames=1,
                id=number,
                images=(images / file,),
                frame_names=(file.stem,),
                load=partial(_load_tracks, images / file, text, len(class_names)),
            )
        )
    return VideoSet(videos, tuple(class_names), name=str(path))


def _class_names(root: Path) -> list[str]:
    """Read the class names from ``classes.txt`` or a .yaml file of the data set."""
    listed = root / "classes.txt"
    if listed.is_file():
        return [line.strip() for line in read_text(listed, "names of classes").splitlines() if line.strip()]
    for file in sorted([*root.glob("*.yaml"), *root.glob("*.yml")]):
        content = read_yaml(file, "a description of the data set")
        names = content.get("names") if isinstance(content, dict) else None
        if isinstance(names, dict) and set(names) == set(range(len(names))):
            names = [names[number] for number in range(len(names))]
        if isinstance(names, list) and names:
            wrong = next((name for name in names if not isinstance(name, str | int | float)), None)
            if wrong is not None:
                raise ValueError(f"Expected texts under 'names' in '{file}', got {shown(wrong)}")
            return [str(name) for name in names]
    raise FileNotFoundError(
        f"Expected names of the classes in '{listed}', or under 'names' in a .yaml file beside it, found none: name "
        "the classes (those of COCO for data sets that are numbered like it)"
    )


def _load_tracks(image: Path, text: Path | None, num_classes: int) -> Tracks:
    size = read_image_size(image)
    observations: list[Observation] = []
    lines = [] if text is None else read_text(text, "objects in YOLO's format").splitlines()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"line {number} of '{text}'"
            observations.append(_observation(line, len(observations), size, num_classes, where))
    if len({observation.mask is None for observation in observations}) > 1:
        raise ValueError(f"Expected polygons on all lines of '{text}' or boxes on all, got both: make two data sets")
    return Tracks.from_observations(((0, observation) for observation in observations), size, 1)


def _observation(line: str, index: int, size: tuple[int, int], num_classes: int, where: str) -> Observation:
    try:
        values = np.array([float(word) for word in line.split()])
    except ValueError:
        raise ValueError(f"Expected a class and coordinates as numbers, got {shown(line)} in {where}") from None
    label, points = float(values[0]), values[1:]
    if not (label.is_integer() and 0 <= label < num_classes):
        raise ValueError(
            f"Expected a class from 0 to {num_classes - 1}, got {label:g} in {where}: give the class names of "
            "this data set"
        )
    if len(points) != 4 and (len(points) < 6 or len(points) % 2):
        raise ValueError(
            f"Expected a box (4 numbers) or a polygon (6 or more, even in number) after the class, got {len(points)} "
            f"in {where}"
        )
    if not ((points >= -_MARGIN) & (points <= 1 + _MARGIN)).all():  # also refuses NaN
        raise ValueError(
            f"Expected coordinates from 0 to 1, as shares of width and height, got {points.min()} to {points.max()} in "
            f"{where}"
        )
    scale = np.array([size[1], size[0]])
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
