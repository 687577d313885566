import configparser
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np

from tltm_graph.formats.text_files import TextFilesWriter, exact_number, extent
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.io import natural_order, read_text, write_atomically
from tltm_graph.structures import Observation, Track, Tracks

Number = TypeVar("Number", int, float)


def find_sequences(path: str | Path) -> list[tuple[Video, Path | None]]:
    """The videos of a path laid out as MOTChallenge does, each with its file of tracks, None for a test sequence.

    Args:
        path: A sequence (a folder with ``gt/gt.txt``, ``seqinfo.ini`` or both, and ``img1`` where the images are at
            hand), a folder of sequences, a text file, or a folder of text files. Each of the text files may be packed
            (``.txt.gz``). A video is called like its folder or its text file, whatever its ``seqinfo.ini`` says,
            because that is the name that results go by. Only a ``seqinfo.ini`` tells the length in advance.

    Raises:
        FileNotFoundError: If there is nothing of the kind.
        ValueError: If a ``seqinfo.ini`` is damaged, or says another number of images than there are.
    """
    path = Path(path)
    found: list[tuple[Video, Path | None]]
    if path.is_file() and path.parent.name == "gt" and _stem(path) == "gt":
        path = path.parent.parent
    if path.is_file():
        found = [(Video(_stem(path)), path)] if _stem(path) != path.name else []
    elif _is_sequence(path):
        found = [_sequence(path)]
    else:
        found = [_sequence(folder) for folder in sorted(path.glob("*/")) if _is_sequence(folder)]
        if not found:
            texts = (file for file in sorted(path.glob("*")) if _stem(file) != file.name and file.name[0] != ".")
            found = [(Video(_stem(file)), file) for file in texts]
    if not found:
        raise FileNotFoundError(
            f"Expected a sequence (gt/gt.txt, seqinfo.ini), a folder of sequences, or text files of tracks (.txt, "
            f".txt.gz) at '{path}', found none"
        )
    return [(replace(video, id=number), file) for number, (video, file) in enumerate(found, start=1)]


def _stem(file: Path) -> str:
    return file.name.removesuffix(".gz").removesuffix(".txt") if file.name.endswith((".txt", ".txt.gz")) else file.name


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
            parser.read_string(read_text(file, "what is known of a sequence"))
            info = dict(parser["Sequence"])
        except (configparser.Error, KeyError) as error:
            raise ValueError(f"Expected lines 'key=value' under [Sequence] in '{file}', got {error}") from error
    length = _value(info, "seqLength", file, int, 0)
    width, height = _value(info, "imWidth", file, int, 1), _value(info, "imHeight", file, int, 1)
    images = None
    if (folder / info.get("imdir", "img1")).is_dir():
        found = (folder / info.get("imdir", "img1")).glob("*" + info.get("imext", ".jpg"))
        images = tuple(sorted(found, key=lambda path: natural_order(path.stem)))
        if len(images) != (len(images) if length is None else length):
            raise ValueError(
                f"Expected {length} images in '{folder}', as 'seqinfo.ini' says, got {len(images)}: unpack all, or "
                "remove their folder to work without"
            )
        length = len(images)
    video = Video(
        name=folder.resolve().name,
        num_frames=length,
        size=None if width is None or height is None else (height, width),
        images=images,
        fps=_value(info, "frameRate", file, float, 1e-3),
    )
    return video, _truth_file(folder)


def _value(info: dict[str, str], key: str, file: Path, kind: type[Number], least: float) -> Number | None:
    text = info.get(key.lower())  # the parser does not mind upper case
    if text is None:
        return None
    try:
        value = kind(text)
    except ValueError:
        value = kind(-1)
    if not least <= value < math.inf:
        raise ValueError(f"Expected '{key}' as a number of at least {least} in '{file}', got '{text}'")
    return value


MOT_CLASSES = (
    "pedestrian", "person_on_vehicle", "car", "bicycle", "motorbike", "non_mot_vehicle", "static_person", "distractor",
    "occluder", "occluder_on_ground", "occluder_full", "reflection", "crowd",
)  # fmt: skip
"""The classes of MOT16, MOT17 and MOT20, numbered from 1 in their files."""


def read_mot(path: str | Path) -> VideoSet:
    """Opens boxes of MOTChallenge (MOT15, MOT16, MOT17, MOT20), truth and results alike.

    A line is ``frame, id, x, y, width, height, confidence, class, visibility`` or
    ``frame, id, x, y, width, height, confidence, x, y, z`` with -1 for what is not known; frames count from 1 there and
    from 0 here. Boxes become (x, y, x + width, y + height): the format counts pixels from 1 and nobody, TrackEval
    included, shifts them, so neither does this. The score is the confidence as it stands: in truth the flag, 0 or 1,
    that says whether the object is to be scored; in results that know none, -1. The label is the class minus 1 where
    there is one, else 0 (pedestrian). The visibility and the world coordinates of MOT15 are not kept.

    Args:
        path: One of those that :func:`find_sequences` takes.

    Raises:
        FileNotFoundError: If there is nothing of the kind.
        ValueError: If a ``seqinfo.ini`` is damaged. What is wrong with the lines of a file is said, with the line, when
            the tracks of its video are asked for: too few columns, what is not a number, detections (id -1), a frame
            that the video does not have, an id twice in a frame, a box of negative size, an unknown class.
    """
    videos = [
        video if file is None else replace(video, load=partial(_read_tracks, file, video.num_frames, video.size))
        for video, file in find_sequences(path)
    ]
    return VideoSet(videos, MOT_CLASSES, name=str(path))


class MotWriter(TextFilesWriter):
    """Writes results as MOTChallenge takes them: ``path/<video>.txt``, read back by :func:`read_mot`.

    A line is ``frame,id,x,y,width,height,score,-1,-1,-1``. Labels and masks have no place in it and are lost, and so is
    the length of a video after its last object. Boxes come back to the last bit, see :func:`extent`.
    """

    def _file(self, video: Video) -> Path:
        return self.path / f"{video.name}.txt"

    def _write(self, frame: int, observations: list[Observation]) -> None:
        assert self.video is not None
        for row in observations:
            self._text.write(f"{_six_columns(frame, row, self.video.name)},{exact_number(row.score)},-1,-1,-1\n")


class MotTruthWriter(TextFilesWriter):
    """Writes truth as MOT17 has it: ``path/<video>/gt/gt.txt`` and ``seqinfo.ini``, read back by :func:`read_mot`.

    A line is ``frame,id,x,y,width,height,flag,class,1``: the score is the flag (0 for ``crowd``), the class is found by
    its name ("person" is "pedestrian"), and objects without classes are refused. Masks and the
    visibility are lost; what is not known of a video is left out of its ``seqinfo.ini``.
    """

    def _file(self, video: Video) -> Path:
        return self.path / video.name / "gt" / "gt.txt"

    def _write(self, frame: int, observations: list[Observation]) -> None:
        assert self.video is not None
        for row in observations:
            flag = 0 if row.crowd else exact_number(row.score)
            kind = self._class_of(row, f"frame {frame} of video '{self.video.name}'")
            self._text.write(f"{_six_columns(frame, row, self.video.name)},{flag},{kind},1\n")

    def _class_of(self, row: Observation, where: str) -> int:
        name = "object" if self.class_names is None else self.class_names[row.label]
        known = "pedestrian" if name == "person" else name
        number = MOT_CLASSES.index(known) + 1 if known in MOT_CLASSES else 0
        if not 1 <= number <= len(MOT_CLASSES):
            raise ValueError(
                f"Expected classes of MOTChallenge ({', '.join(MOT_CLASSES)}), got '{name}' for object {row.id} in "
                f"{where}: name the classes, leave such objects out, or write another format"
            )
        return number

    def _end(self) -> None:
        assert self.video is not None
        known: list[tuple[str, object]] = [("name", self.video.name), ("seqLength", self.num_frames)]
        if self.video.fps is not None:
            known.append(("frameRate", exact_number(self.video.fps)))
        if self.video.size is not None:
            known += [("imWidth", self.video.size[1]), ("imHeight", self.video.size[0])]
        lines = ["[Sequence]", *(f"{key}={value}" for key, value in known), ""]
        with write_atomically(self.path / self.video.name / "seqinfo.ini") as temporary:
            temporary.write_text("\n".join(lines), encoding="utf-8")
        super()._end()


def _six_columns(frame: int, row: Observation, video: str) -> str:
    x0, y0, x1, y1 = row.box
    return f"{frame + 1},{row.id},{exact_number(x0)},{exact_number(y0)},{extent(x0, x1)},{extent(y0, y1)}"


def _read_tracks(file: Path, num_frames: int | None, size: tuple[int, int] | None) -> Tracks:
    text = read_text(file, "MOT boxes")
    table = _table(text, file)
    frames, ids, x, y, width, height, scores, classes = table[:, :8].T  # classes: of MOT15 a world coordinate

    def check(good: np.ndarray, message: Callable[[np.ndarray], str]) -> None:
        if not good.all():
            row = int(good.argmin())
            raise ValueError(f"{message(table[row])} in '{file}', line {_line_of(text, row)}")

    whole = (table[:, :2] == np.floor(table[:, :2])) & (np.abs(table[:, :2]) < 2**53)
    check(np.isfinite(table).all(axis=1), lambda row: f"Expected finite numbers, got {row.tolist()}")
    check(whole.all(axis=1), lambda row: f"Expected whole numbers as frame and id, got {row[0]:g} and {row[1]:g}")
    check(ids >= 0, lambda row: f"Expected ids of at least 0, got {row[1]:.0f}: these are detections, not tracks,")
    last = math.inf if num_frames is None else num_frames
    known_frames = "frames from 1 on" if num_frames is None else f"frames 1 to {num_frames}"
    check((frames >= 1) & (frames <= last), lambda row: f"Expected {known_frames}, got frame {row[0]:.0f}")
    check((width >= 0) & (height >= 0), lambda row: f"Expected sizes of at least 0, got {row[4]:g}×{row[5]:g}")
    labels = np.where(_has_class(table), classes, 1) - 1
    check(
        (labels == np.floor(labels)) & (labels < len(MOT_CLASSES)),
        lambda row: f"Expected a class from 1 to {len(MOT_CLASSES)}, got {row[7]:g}",
    )
    order = np.lexsort((frames, ids))
    again = np.zeros(len(table), dtype=bool)
    again[order[1:]] = (np.diff(ids[order]) == 0) & (np.diff(frames[order]) == 0)
    check(~again, lambda row: f"Expected each id once in a frame, got id {row[1]:.0f} again in frame {row[0]:.0f}")

    boxes = np.stack([x, y, x + width, y + height], axis=1)[order]
    corners = tuple(map(tuple, boxes.tolist()))
    indices, flags, kinds = (tuple(v[order].tolist()) for v in (frames.astype(int) - 1, scores, labels.astype(int)))
    known, begins = np.unique(ids[order], return_index=True)
    tracks = {}
    for track_id, (begin, end) in zip(known.tolist(), pairwise([*begins.tolist(), len(table)]), strict=True):
        part = slice(begin, end)
        tracks[int(track_id)] = Track(indices[part], corners[part], flags[part], kinds[part])
    return Tracks(tracks, size, int(frames.max(initial=0)) if num_frames is None else num_frames)


def _table(text: str, file: Path) -> np.ndarray:
    """The numbers of a file, float64 (rows, columns)."""
    if not text.strip():
        return np.zeros((0, 10))
    try:
        table = np.loadtxt(StringIO(text), delimiter=",", comments=None, ndmin=2)
    except ValueError as error:  # it counts neither lines nor columns as editors do: look again
        first = None
        for number, line in enumerate(text.split("\n"), start=1):
            cells = line.split(",")
            if not line.strip():
                continue
            first = len(cells) if first is None else first
            for cell in cells:
                try:
                    float(cell)
                except ValueError:
                    raise ValueError(f"Expected a number, got '{cell.strip()}' in '{file}', line {number}") from error
            if len(cells) != first:
                raise ValueError(
                    f"Expected {first} columns as in the lines before, got {len(cells)} in '{file}', line {number}"
                ) from error
        raise ValueError(f"Expected lines of numbers separated by commas in '{file}', got {error}") from error
    if not 8 <= table.shape[1] <= 10:
        raise ValueError(
            f"Expected 8 to 10 columns (frame, id, x, y, width, height, confidence, class, …) in '{file}', got "
            f"{table.shape[1]}"
        )
    return table


def _has_class(table: np.ndarray) -> np.ndarray:
    """Whether the eighth column of a row is its class, bool (N,); in a row of ten, the last three may be a place."""
    return (table[:, 7] > 0) & (table[:, 8:] == -1).all(axis=1) if table.shape[1] == 10 else table[:, 7] > 0


def _line_of(text: str, row: int) -> int:
    """Number, from 1, of the line that holds a row; empty lines hold none."""
    filled = (number for number, line in enumerate(text.split("\n"), start=1) if line.strip())
    return next(number for index, number in enumerate(filled) if index == row)
