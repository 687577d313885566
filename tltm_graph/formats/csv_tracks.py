"""Tracks in one table, one row for each object in each frame."""

import csv
import gzip
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, TextIO, TypeVar

from tltm_graph.formats.annotations import MAX_COORDINATE, MAX_LABEL, check_masks
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.writer import TracksWriter, exact_number, extent
from tltm_graph.io.output import roll_back, write_atomically
from tltm_graph.io.text import read_exact_text, shown
from tltm_graph.limits import check_length, check_pixels
from tltm_graph.ops.rle import Rle
from tltm_graph.printable import one_line
from tltm_graph.structures import Observation, Tracks

CSV_COLUMNS = (
    "video", "video_id", "num_frames", "image_height", "image_width", "frame", "time", "track_id", "x", "y", "width",
    "height", "score", "label", "class_name", "crowd", "area", "rle_counts",
)  # fmt: skip
"""Columns of a row, which is an object in a frame; unknown cells are empty. A video without objects has one row."""

_REQUIRED = ("video", "frame", "track_id", "x", "y", "width", "height")

_FORMULA = re.compile("'*[=+\\-@\t\r]")
"""Beginnings of cells that a spreadsheet takes for a formula, and of names that look like such a cell made inert."""

Value = TypeVar("Value", int, float)
Row = dict[str, str]


def read_csv_tracks(path: str | Path) -> VideoSet:
    """Open a table of tracks, one row for each object in each frame, with the columns of :data:`CSV_COLUMNS`.

    The first line names the columns, in any order; rows may come in any order. Other columns and ``time`` are ignored.
    ``video``, ``frame`` (from 0), ``track_id``, ``x``, ``y`` (upper left corner), ``width`` and ``height`` (pixels) are
    required. A missing ``score`` is 1, a missing ``label`` or ``crowd`` is 0. ``rle_counts`` is COCO's compressed
    run-length string of a mask of ``image_height`` × ``image_width``. Classes are named by ``class_name``; unnamed
    labels between them become ``label_0``, ``label_1``, ….

    Args:
        path: The file; unpacked if its name ends in ``.gz``. It is kept as text; numbers are parsed when the tracks of
            a video are read.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not such a table, or a label has two names. Errors in a row are raised, with the
            line, when the tracks of its video are read.
    """
    path = Path(path)
    rows_by_video: dict[str, list[tuple[int, Row]]] = {}
    names: dict[int, str] = {}
    for line, row in _rows(read_exact_text(path, "a table of tracks"), path):
        rows_by_video.setdefault(row["video"], []).append((line, row))
        if row.get("class_name"):
            label = _label(row, f"'{path}', line {line}")
            if names.setdefault(label, row["class_name"]) != row["class_name"]:
                raise ValueError(
                    f"Expected one name of each label, got {shown(names[label])} and {shown(row['class_name'])} of "
                    f"{label} in '{path}', line {line}"
                )
    videos: list[Video] = []
    ids: list[Any] = []
    for number, (name, rows) in enumerate(rows_by_video.items(), start=1):
        columns = ("num_frames", "image_height", "image_width", "video_id")
        num_frames, height, width, video_id = (_shared(rows, column, path) for column in columns)
        where = f"'{path}', line {rows[0][0]}, video {shown(name)}"
        check_length(num_frames or 0, where)
        size = None if height is None or width is None else (height, width)
        if size is not None:
            check_pixels(*size, where)
        objects = [(line, row) for line, row in rows if any(row[column] for column in _REQUIRED[1:])]
        load = partial(_read_tracks, objects, size, num_frames, path)
        videos.append(Video(name, num_frames, size, number, load=load))
        ids.append(video_id)
    if None not in ids and len(set(ids)) == len(ids):
        videos = [replace(video, id=video_id) for video, video_id in zip(videos, ids, strict=True)]
    class_names = tuple(names.get(label, f"label_{label}") for label in range(max(names) + 1)) if names else None
    return VideoSet(videos, class_names, name=str(path))


class CsvWriter(TracksWriter):
    """Writer of one table for all videos, with the columns of :data:`CSV_COLUMNS`, which :func:`read_csv_tracks` reads.

    Objects read back exactly, see :func:`~tltm_graph.formats.writer.extent` for boxes. The frames of a stream after
    its last object, the frame rate (``time`` is for humans), frame names, and names of classes without objects are
    lost. Names that a spreadsheet would take for a formula (``=1+1``) get a single quote in front, which
    :func:`read_csv_tracks` removes. An ``rle_counts`` that begins with ``=`` stays: do not save the table there.

    Args:
        path: The file; packed if its name ends in ``.gz``.
        class_names: Names of the classes by label; None if objects have no class.
        category_ids: Not used; the table has labels.

    Raises:
        ValueError: At an object whose box or score is not finite.
    """

    def __init__(
        self, path: str | Path, class_names: Sequence[str] | None = None, category_ids: Sequence[int] | None = None
    ) -> None:
        super().__init__(path, class_names, category_ids)
        self._output = ExitStack()
        temporary = self._output.enter_context(write_atomically(self.path))
        opening = gzip.open if self.path.suffix == ".gz" else open
        file = self._output.enter_context(opening(temporary, "wt", encoding="utf-8", newline=""))
        self._table = csv.writer(_Rows(file), lineterminator="\r\n")
        self._table.writerow(CSV_COLUMNS)

    def _begin(self, video: Video) -> None:
        self._is_empty = True

    def _write(self, frame: int, observations: list[Observation]) -> None:
        assert self.video is not None
        for observation in observations:
            x0, y0, x1, y1 = observation.box
            mask = observation.mask
            cells = {
                "frame": frame,
                "time": None if self.video.fps is None else round(frame / self.video.fps, 6),
                "track_id": observation.id,
                "x": exact_number(x0),
                "y": exact_number(y0),
                "width": extent(x0, x1),
                "height": extent(y0, y1),
                "score": exact_number(observation.score),
                "label": observation.label,
                "class_name": None if self.class_names is None else _inert(self.class_names[observation.label]),
                "crowd": int(observation.crowd),
                "area": None if observation.area is None else exact_number(observation.area),
                "rle_counts": None if mask is None else mask["counts"],
            }
            self._write_row(self.video.size or (None if mask is None else mask["size"]), cells)

    def _write_row(self, size: Sequence[int] | None, cells: dict[str, Any]) -> None:
        assert self.video is not None
        height, width = size or (None, None)
        video_cells = _inert(self.video.name), self.video.id, self.video.num_frames, height, width
        self._table.writerow([*video_cells, *(cells.get(column) for column in CSV_COLUMNS[len(video_cells) :])])
        self._is_empty = False

    def _end(self) -> None:
        assert self.video is not None
        if self._is_empty:
            self._write_row(self.video.size, {})

    def _close(self) -> None:
        self._output.close()

    def _discard(self) -> None:
        roll_back(self._output)


class _Rows:
    """File whose rows end in ``\\n``: the writer of Python 3.11 quotes a ``\\r`` only if rows end in ``\\r\\n``."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, row: str) -> None:
        self._file.write(row.removesuffix("\r\n") + "\n")


def _inert(name: str) -> str:
    return f"'{name}" if _FORMULA.match(name) else name


def _exact(cell: str) -> str:
    """Name in a cell; inverse of :func:`_inert`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _rows(text: str, path: Path) -> list[tuple[int, Row]]:
    """Parse the rows by column name, each with its line number."""
    limit = csv.field_size_limit(len(text) + 1)  # masks may be longer than the default of 131072 characters
    try:
        reader = csv.reader(StringIO(text, newline=""), strict=True)
        header, *lines = [(reader.line_num, cells) for cells in reader if cells] or [(1, [])]
    except csv.Error as error:
        raise ValueError(f"Expected a table of tracks in '{path}', got a damaged file: {error}") from error
    finally:
        csv.field_size_limit(limit)
    columns = header[1]
    if not set(_REQUIRED) <= set(columns) or len(set(columns)) < len(columns):
        raise ValueError(
            f"Expected columns {', '.join(_REQUIRED)}, separated by commas and each once, in '{path}', got "
            f"{one_line(', '.join(columns))[:200] or 'an empty file'}"
        )
    for line, cells in lines:
        if len(cells) != len(columns):
            raise ValueError(f"Expected {len(columns)} cells, got {len(cells)} in '{path}', line {line}")
    rows = [(line, dict(zip(columns, cells, strict=True))) for line, cells in lines]
    for _, row in rows:
        for column in ("video", "class_name"):
            if row.get(column, "").startswith("'"):
                row[column] = _exact(row[column])
    return rows


def _read_tracks(
    rows: list[tuple[int, Row]], size: tuple[int, int] | None, num_frames: int | None, path: Path
) -> Tracks:
    observations: list[tuple[int, Observation]] = []
    for line, row in rows:
        where = f"'{path}', line {line}"
        frame = _number(row, "frame", int, 0, where)
        if num_frames is not None and frame >= num_frames:
            raise ValueError(f"Expected frames 0 to {num_frames - 1}, as 'num_frames' says, got {frame} in {where}")
        check_length(frame + 1, where)
        x, y = (_number(row, column, float, -MAX_COORDINATE, where, MAX_COORDINATE) for column in ("x", "y"))
        width, height = (_number(row, column, float, 0, where, MAX_COORDINATE) for column in ("width", "height"))
        mask = None
        if row.get("rle_counts"):
            if size is None:
                raise ValueError(f"Expected 'image_height' and 'image_width' with a mask, got none in {where}")
            mask = Rle(size=list(size), counts=row["rle_counts"])
        crowd = row.get("crowd") or "0"
        if crowd not in ("0", "1"):
            raise ValueError(f"Expected 'crowd' as 0 or 1, got {shown(crowd)} in {where}")
        observation = Observation(
            id=_number(row, "track_id", int, 0, where),
            box=(x, y, x + width, y + height),
            score=_number(row, "score", float, -MAX_COORDINATE, where) if row.get("score") else 1.0,
            label=_label(row, where),
            mask=mask,
            crowd=crowd == "1",
            area=_number(row, "area", float, 0, where) if row.get("area") else None,
        )
        observations.append((frame, observation))
    masks = [observation.mask for _, observation in observations]
    check_masks(masks, size, lambda index: f"'{path}', line {rows[index][0]}")
    try:
        return Tracks.from_observations(observations, size, num_frames)
    except ValueError as error:
        raise ValueError(f"{error}, in '{path}', video {shown(rows[0][1]['video'])}") from error


def _label(row: Row, where: str) -> int:
    return _number(row, "label", int, 0, where, MAX_LABEL) if row.get("label") else 0


def _shared(rows: list[tuple[int, Row]], column: str, path: Path) -> int | None:
    """Return the one value of a column in all rows of a video that fill it; None if none does."""
    values = {_number(row, column, int, 0, f"'{path}', line {line}") for line, row in rows if row.get(column)}
    if len(values) > 1:
        raise ValueError(
            f"Expected one '{column}' of each video, got {sorted(values)[:5]} of video "
            f"{shown(rows[0][1]['video'])} in '{path}'"
        )
    return next(iter(values), None)


def _number(
    row: Row, column: str, kind: Callable[[Any], Value], least: float, where: str, most: float = 2**63 - 1
) -> Value:
    value: Value | None
    try:
        value = kind(row[column])
    except ValueError:
        value = None
    if value is None or not least <= value <= most:  # NaN is not
        type_name = "a whole number" if kind is int else "a finite number"
        bound = ""
        if value is not None and value > most:
            bound = f" of at most {most:g}"
        elif least >= 0 or (value is not None and value < least):
            bound = f" of at least {least:g}"
        raise ValueError(f"Expected '{column}' as {type_name}{bound}, got {shown(row[column])} in {where}")
    return value
