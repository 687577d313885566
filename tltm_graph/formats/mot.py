"""Boxes of MOTChallenge in text files, and the folders that MOTChallenge keeps its sequences in."""

import configparser
import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np

from tltm_graph.formats.annotations import MAX_COORDINATE, inside
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.writer import TextFilesWriter, exact_number, extent
from tltm_graph.io.output import child, write_atomically
from tltm_graph.io.text import read_text, shown
from tltm_graph.io.video import natural_order
from tltm_graph.limits import check_length, check_pixels, current_limits
from tltm_graph.printable import one_line
from tltm_graph.structures import Observation, Track, Tracks

Number = TypeVar("Number", int, float)

MOT_CLASSES = (
    "pedestrian", "person_on_vehicle", "car", "bicycle", "motorbike", "non_mot_vehicle", "static_person", "distractor",
    "occluder", "occluder_on_ground", "occluder_full", "reflection", "crowd",
)  # fmt: skip
"""Classes of MOT16, MOT17 and MOT20, numbered from 1 in their files."""


def find_sequences(path: str | Path) -> list[tuple[Video, Path | None]]:
    """Find the videos in a folder with the layout of MOTChallenge.

    Args:
        path: A sequence (a folder with ``gt/gt.txt``, ``seqinfo.ini`` or both, and ``img1`` if the images are
            available), a folder of sequences, a text file, or a folder of text files. Text files may be packed
            (``.txt.gz``).

    Returns:
        Each video with its file of tracks, None for a test sequence. A video has the name of its folder or text file,
        as results use this name, and not the one in ``seqinfo.ini``. Its length is known only from a ``seqinfo.ini``
        or from images.

    Raises:
        FileNotFoundError: If there is no sequence and no text file.
        ValueError: If a ``seqinfo.ini`` is damaged, or states another number of images than there are.
    """
    path = Path(path)
    if path.is_file() and path.parent.name == "gt" and _stem(path) == "gt":
        path = path.parent.parent
    folders = [path] if _is_sequence(path) else sorted(path.glob("*/"))
    sequences = [_sequence(folder) for folder in folders if _is_sequence(folder)]
    if not sequences:
        files = [path] if path.is_file() else sorted(path.glob("[!.]*"))
        sequences = [(Video(stem), file) for file in files if (stem := _stem(file)) is not None]
    if not sequences:
        raise FileNotFoundError(
            f"Expected a sequence (gt/gt.txt, seqinfo.ini), a folder of sequences, or text files of tracks (.txt, "
            f".txt.gz) at '{path}', found none"
        )
    return [(replace(video, id=number), file) for number, (video, file) in enumerate(sequences, start=1)]


def _stem(file: Path) -> str | None:
    """Return the name of a text file without .txt or .txt.gz, None for other files."""
    name = file.name.removesuffix(".gz")
    return name.removesuffix(".txt") if name.endswith(".txt") else None


def _truth_file(folder: Path) -> Path | None:
    files = (folder / "gt" / name for name in ("gt.txt", "gt.txt.gz"))
    return next((file for file in files if file.is_file()), None)


def _is_sequence(folder: Path) -> bool:
    return (folder / "seqinfo.ini").is_file() or _truth_file(folder) is not None


def _sequence(folder: Path) -> tuple[Video, Path | None]:
    file = folder / "seqinfo.ini"
    info: dict[str, str] = {}
    if file.is_file():
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(read_text(file, "a description of a sequence"))
            info = dict(parser["Sequence"])
        except (configparser.Error, KeyError, AttributeError) as error:  # AttributeError: indented lines without a key
            raise ValueError(
                f"Expected lines 'key=value' under [Sequence] in '{file}', got {one_line(str(error))[:120]}"
            ) from error
    num_frames = _value(info, "seqLength", file, int, 0)
    check_length(num_frames or 0, f"'seqLength' of '{file}'")
    width, height = _value(info, "imWidth", file, int, 1), _value(info, "imHeight", file, int, 1)
    if width is not None and height is not None:
        check_pixels(height, width, f"'imHeight' and 'imWidth' of '{file}'")
    images = None
    image_folder = inside(folder, info.get("imdir", "img1"), f"'imDir' of '{file}'")
    suffix = info.get("imext", ".jpg")
    if not re.fullmatch(r"\.?\w*", suffix):
        raise ValueError(f"Expected 'imExt' as a suffix such as .jpg in '{file}', got {shown(suffix)}")
    if image_folder.is_dir():
        files = image_folder.glob("*" + suffix)
        images = tuple(sorted(files, key=lambda path: natural_order(path.stem)))
        if num_frames is not None and len(images) != num_frames:
            raise ValueError(
                f"Expected {num_frames} images in '{folder}', as 'seqinfo.ini' says, got {len(images)}: unpack all, "
                "or remove their folder to work without images"
            )
        num_frames = len(images)
    video = Video(
        name=folder.resolve().name,
        num_frames=num_frames,
        size=None if width is None or height is None else (height, width),
        images=images,
        fps=_value(info, "frameRate", file, float, 1e-3),
    )
    return video, _truth_file(folder)


def _value(info: dict[str, str], key: str, file: Path, kind: type[Number], least: float) -> Number | None:
    text = info.get(key.lower())  # the parser turns keys into lower case
    if text is None:
        return None
    try:
        value = kind(text)
    except ValueError:
        value = kind(-1)
    if not least <= value < math.inf:
        raise ValueError(f"Expected '{key}' as a number of at least {least} in '{file}', got {shown(text)}")
    return value


def read_mot(path: str | Path) -> VideoSet:
    """Open boxes of MOTChallenge (MOT15, MOT16, MOT17, MOT20), ground truth or results.

    A line is ``frame, id, x, y, width, height, confidence, class, visibility`` or
    ``frame, id, x, y, width, height, confidence, x, y, z``, with -1 for unknown values.

    - Frames count from 1 in the file and from 0 here.
    - Boxes become (x, y, x + width, y + height). The format counts pixels from 1; like TrackEval, this reader does
      not shift them.
    - The score is the confidence, unchanged. In ground truth this is a flag, 0 or 1, that says whether the object is
      scored. In results without scores it is -1.
    - The label is the class minus 1, or 0 (pedestrian) without a class.
    - The visibility and the world coordinates of MOT15 are dropped.

    Args:
        path: Sequence, text file, or folder of these, as for :func:`find_sequences`.

    Raises:
        FileNotFoundError: If there is no sequence and no text file.
        ValueError: If a ``seqinfo.ini`` is damaged. Errors in the lines of a file are raised, with the line number,
            when the tracks of its video are read: a wrong number of columns, a value that is not a number, a detection
            (id -1), a frame beyond the video, an id twice in a frame, a box of negative size, an unknown class.
    """
    videos = [
        video if file is None else replace(video, load=partial(_read_tracks, file, video.num_frames, video.size))
        for video, file in find_sequences(path)
    ]
    return VideoSet(videos, MOT_CLASSES, name=str(path))


class MotWriter(TextFilesWriter):
    """Writer of results for MOTChallenge, ``path/<video>.txt``, which :func:`read_mot` reads.

    A line is ``frame,id,x,y,width,height,score,-1,-1,-1``. Labels, masks and the frames after the last object are
    lost. Boxes read back exactly, see :func:`~tltm_graph.formats.writer.extent`.
    """

    def _file(self, video: Video) -> Path:
        return child(self.path, f"{video.name}.txt")

    def _write(self, frame: int, observations: list[Observation]) -> None:
        for observation in observations:
            self._text.write(f"{_six_columns(frame, observation)},{exact_number(observation.score)},-1,-1,-1\n")


class MotTruthWriter(TextFilesWriter):
    """Writer of ground truth like MOT17, ``path/<video>/gt/gt.txt`` and ``seqinfo.ini``, which :func:`read_mot` reads.

    A line is ``frame,id,x,y,width,height,flag,class,1``. The flag is the score, or 0 for ``crowd``. The class is found
    by its name; "person" is "pedestrian". Masks and the visibility are lost. Unknown properties of a video are left
    out of its ``seqinfo.ini``.

    Raises:
        ValueError: At an object without a class of MOTChallenge.
    """

    def _file(self, video: Video) -> Path:
        return child(self.path, video.name) / "gt" / "gt.txt"

    def _write(self, frame: int, observations: list[Observation]) -> None:
        for observation in observations:
            flag = 0 if observation.crowd else exact_number(observation.score)
            number = class_number(observation, self.class_names, MOT_CLASSES, self._where(frame))
            self._text.write(f"{_six_columns(frame, observation)},{flag},{number},1\n")

    def _end(self) -> None:
        assert self.video is not None
        info: list[tuple[str, object]] = [("name", self.video.name), ("seqLength", self.num_frames)]
        if self.video.fps is not None:
            info.append(("frameRate", exact_number(self.video.fps)))
        if self.video.size is not None:
            info += [("imWidth", self.video.size[1]), ("imHeight", self.video.size[0])]
        lines = ["[Sequence]", *(f"{key}={value}" for key, value in info), ""]
        with write_atomically(self.path / self.video.name / "seqinfo.ini") as temporary:
            temporary.write_text("\n".join(lines), encoding="utf-8")
        super()._end()


def class_number(
    observation: Observation, class_names: tuple[str, ...] | None, classes: tuple[str, ...], where: str
) -> int:
    """Find the number, from 1, of an object's class in ``classes`` by its name; "person" is "pedestrian".

    Raises:
        ValueError: If the object has another class, or classes have no names.
    """
    name = "unknown" if class_names is None else class_names[observation.label]
    standard = "pedestrian" if name == "person" else name
    if standard not in classes:
        raise ValueError(
            f"Expected a class of {', '.join(classes)} or person, got '{name}' for object {observation.id} in {where}: "
            "name the classes, leave such objects out, or write another format"
        )
    return classes.index(standard) + 1


def _six_columns(frame: int, observation: Observation) -> str:
    x0, y0, x1, y1 = observation.box
    columns = exact_number(x0), exact_number(y0), extent(x0, x1), extent(y0, y1)
    return ",".join(map(str, (frame + 1, observation.id, *columns)))


def _read_tracks(file: Path, num_frames: int | None, size: tuple[int, int] | None) -> Tracks:
    text = read_text(file, "MOT boxes")
    table = _table(text, file)
    frames, ids, x, y, width, height, scores, classes = table[:, :8].T  # classes: in MOT15 a world coordinate

    def check(valid: np.ndarray, message: Callable[[np.ndarray], str]) -> None:
        if not valid.all():
            row = int(valid.argmin())
            raise ValueError(f"{message(table[row])} in '{file}', line {_line_of(text, row)}")

    check(np.isfinite(table).all(axis=1), lambda row: f"Expected finite numbers, got {row.tolist()}")
    check(
        (np.abs(table[:, 2:6]) < MAX_COORDINATE).all(axis=1),
        lambda row: f"Expected boxes of pixels below {MAX_COORDINATE:g}, got {row[2:6].tolist()}",
    )
    whole = (table[:, :2] == np.floor(table[:, :2])) & (np.abs(table[:, :2]) < 2**53)
    check(whole.all(axis=1), lambda row: f"Expected whole numbers as frame and id, got {row[0]:g} and {row[1]:g}")
    bound = current_limits().max_length
    if (frames > bound).any():
        row = int((frames > bound).argmax())
        check_length(int(frames[row]), f"'{file}', line {_line_of(text, row)}")
    check(ids >= 0, lambda row: f"Expected ids of at least 0, got {row[1]:.0f}: these are detections, not tracks,")
    last = math.inf if num_frames is None else num_frames
    valid_frames = "frames from 1 on" if num_frames is None else f"frames 1 to {num_frames}"
    check((frames >= 1) & (frames <= last), lambda row: f"Expected {valid_frames}, got frame {row[0]:.0f}")
    check((width >= 0) & (height >= 0), lambda row: f"Expected sizes of at least 0, got {row[4]:g}×{row[5]:g}")
    labels = np.where(_has_class(table), classes, 1) - 1
    check(
        (labels == np.floor(labels)) & (labels < len(MOT_CLASSES)),
        lambda row: f"Expected a class from 1 to {len(MOT_CLASSES)}, got {row[7]:g}",
    )
    order = np.lexsort((frames, ids))
    repeated = np.zeros(len(table), dtype=bool)
    repeated[order[1:]] = (np.diff(ids[order]) == 0) & (np.diff(frames[order]) == 0)
    check(~repeated, lambda row: f"Expected each id once in a frame, got id {row[1]:.0f} again in frame {row[0]:.0f}")

    boxes = tuple(map(tuple, np.stack([x, y, x + width, y + height], axis=1)[order].tolist()))
    columns = frames.astype(int) - 1, scores, labels.astype(int)
    indices, track_scores, track_labels = (tuple(column[order].tolist()) for column in columns)
    track_ids, begins = np.unique(ids[order], return_index=True)
    tracks = {}
    for track_id, (begin, end) in zip(track_ids.tolist(), pairwise([*begins.tolist(), len(table)]), strict=True):
        part = slice(begin, end)
        tracks[int(track_id)] = Track(indices[part], boxes[part], track_scores[part], track_labels[part])
    return Tracks(tracks, size, int(frames.max(initial=0)) if num_frames is None else num_frames)


def _line_of(text: str, row: int) -> int:
    """Number of the line of a row: empty lines are no rows."""
    return [number for number, line in enumerate(text.split("\n"), start=1) if line.strip()][row]


def _table(text: str, file: Path) -> np.ndarray:
    """Parse the numbers of a file, float64 (rows, columns)."""
    if not text.strip():
        return np.zeros((0, 10))
    try:
        table = np.loadtxt(StringIO(text), delimiter=",", comments=None, ndmin=2)
    except ValueError as error:
        _raise_for_line(text, file, error)
        raise ValueError(f"Expected lines of numbers separated by commas in '{file}', got {error}") from error
    if not 8 <= table.shape[1] <= 10:
        raise ValueError(
            f"Expected 8 to 10 columns (frame, id, x, y, width, height, confidence, class, …) in '{file}', got "
            f"{table.shape[1]}"
        )
    return table


def _raise_for_line(text: str, file: Path, error: ValueError) -> None:
    """Raise ValueError for the first wrong line, as NumPy does not count lines and columns like an editor."""
    num_columns = None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        cells = line.split(",")
        num_columns = num_columns or len(cells)
        for cell in cells:
            try:
                float(cell)
            except ValueError:
                raise ValueError(f"Expected a number, got {shown(cell.strip())} in '{file}', line {number}") from error
        if len(cells) != num_columns:
            raise ValueError(
                f"Expected {num_columns} columns as in the lines before, got {len(cells)} in '{file}', line {number}"
            ) from error


def _has_class(table: np.ndarray) -> np.ndarray:
    """Tell the rows whose eighth column is a class, bool (N,); the last three of ten columns may be a place."""
    return (table[:, 7] > 0) & (table[:, 8:] == -1).all(axis=1) if table.shape[1] == 10 else table[:, 7] > 0
