import gzip
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from tltm_graph.formats.disjoint import disjoint, overlapping
from tltm_graph.formats.mot import find_sequences
from tltm_graph.formats.text_files import TextFilesWriter
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.io import read_text
from tltm_graph.ops import Rle, check_rles, to_coco
from tltm_graph.structures import Observation, Tracks

MOTS_CLASSES = ("car", "pedestrian")
"""The classes of MOTSChallenge and KITTI-MOTS, numbered from 1 in their files."""

IGNORE_CLASS = 10
"""The class of regions that are not to be scored; their id is 10000."""


def read_mots(path: str | Path, first_frame: int = 1) -> VideoSet:
    """Opens masks of MOTSChallenge or KITTI-MOTS in text files, truth and results alike.

    A line is ``frame id class height width rle``, separated by spaces. Class 1 is a car (label 0), 2 a pedestrian
    (label 1); 10 is a region that is not to be scored, for either class: a track that is ``crowd``, with label 1. Ids
    stay as they are (the truth has class · 1000 + number). Boxes are tight around the masks, scores are 1. No two masks
    of a frame may overlap, regions of class 10 included: the format is for maps in which a pixel has one owner.

    Args:
        path: One of those that :func:`~tltm_graph.formats.mot.find_sequences` takes.
        first_frame: The number of the first frame: 1 in MOTSChallenge, 0 in KITTI-MOTS. It cannot be told from a file.

    Raises:
        FileNotFoundError: If there is nothing of the kind.
        ValueError: If a ``seqinfo.ini`` is damaged. What is wrong with the lines of a file is said, with the line, when
            the tracks of its video are asked for: not six columns, a frame that the video does not have, an unknown
            class, an id twice in a frame or of two classes, masks that are damaged, of several sizes or overlap.
    """
    videos = []
    for video, file in find_sequences(path):
        if file is not None:
            size = _size_in(file) if video.size is None else video.size
            load = partial(_read_tracks, file, first_frame, video.num_frames, size)
            video = replace(video, size=size, load=load)
        videos.append(video)
    return VideoSet(videos, MOTS_CLASSES, name=str(path))


class MotsWriter(TextFilesWriter):
    """Writes masks as MOTSChallenge and KITTI-MOTS take them: ``path/<video>.txt``, read back by :func:`read_mots`.

    Masks may not overlap: the better score gets the pixel, see :func:`~tltm_graph.formats.disjoint.disjoint`. Ids are
    written as they are; TrackEval does not mind whether they tell the class. Boxes and scores have no place in the
    format and are lost, and so is the length of a video after its last object.

    Args:
        path: Folder of the files.
        class_names: Names of the classes by label: "car" and "pedestrian" or "person".
        category_ids: Not used; the format has its own.
        first_frame: The number of the first frame: 1 in MOTSChallenge, 0 in KITTI-MOTS.

    Raises:
        ValueError: At an object of another class, or without a mask, or with one of another size than those before.
    """

    def __init__(
        self,
        path: str | Path,
        class_names: Sequence[str] | None = None,
        category_ids: Sequence[int] | None = None,
        first_frame: int = 1,
    ) -> None:
        super().__init__(path, class_names, category_ids)
        self.first_frame = first_frame
        self._size: tuple[int, ...] | None = None

    def _file(self, video: Video) -> Path:
        self._size = video.size
        return self.path / f"{video.name}.txt"

    def _write(self, frame: int, observations: list[Observation]) -> None:
        assert self.video is not None
        where = f"frame {frame} of video '{self.video.name}'"
        for row in disjoint_masks(observations, where):
            assert row.mask is not None
            height, width = row.mask["size"]
            self._size = self._size or (height, width)
            if self._size != (height, width):
                raise ValueError(f"Expected masks of {self._size} pixels (H, W), got {height}×{width} in {where}")
            number = mots_class(row, self.class_names, where)
            self._text.write(f"{frame + self.first_frame} {row.id} {number} {height} {width} {row.mask['counts']}\n")


def mots_class(row: Observation, class_names: tuple[str, ...] | None, where: str) -> int:
    """The class number of an object: 1 for a car, 2 for a pedestrian, 10 for ``crowd``.

    Raises:
        ValueError: If it is of another class, or classes have no names.
    """
    if row.crowd:
        return IGNORE_CLASS
    name = "unknown" if class_names is None else class_names[row.label]
    known = "pedestrian" if name == "person" else name
    if known not in MOTS_CLASSES:
        raise ValueError(
            f"Expected 'car', 'pedestrian' or 'person' as class of each object, got '{name}' for object {row.id} in "
            f"{where}: MOTS has no others; name the classes, or leave such objects out"
        )
    return MOTS_CLASSES.index(known) + 1


def disjoint_masks(observations: Sequence[Observation], where: str) -> list[Observation]:
    """As :func:`~tltm_graph.formats.disjoint.disjoint`, with the place in the errors."""
    try:
        return disjoint(observations)
    except ValueError as error:
        raise ValueError(f"{error}, in {where}") from error


def _read_tracks(file: Path, first_frame: int, num_frames: int | None, size: tuple[int, int] | None) -> Tracks:
    rows: list[tuple[int, int, int, int]] = []  # frame, id, class, line
    masks: list[Rle] = []
    for line, text in enumerate(read_text(file, "MOTS masks").split("\n"), start=1):
        cells = text.split()
        if not cells:
            continue
        try:
            frame, track_id, number, height, width = map(int, cells[:5])
            (counts,) = cells[5:]
        except ValueError as error:
            raise ValueError(
                f"Expected 'frame id class height width rle', five whole numbers and a mask, got '{text[:60]}' in "
                f"'{file}', line {line}"
            ) from error
        rows.append((frame - first_frame, track_id, number, line))
        masks.append(Rle(size=[height, width], counts=counts))
    if masks and size is None:
        size = masks[0]["size"][0], masks[0]["size"][1]
    _check_rows(rows, file, first_frame, num_frames)
    if size is None:
        return Tracks({}, None, num_frames or 0)
    check_rles(masks, size, lambda i: f"'{file}', line {rows[i][3]}, frame {rows[i][0]} (from 0), object {rows[i][1]}")
    _check_disjoint(rows, masks, file)
    boxes = np.asarray(coco_mask.toBbox(to_coco(masks))).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    observations = (
        (
            frame,
            Observation(track_id, tuple(box), 1.0, min(number, 2) - 1, mask, crowd=number == IGNORE_CLASS),
        )
        for (frame, track_id, number, _), box, mask in zip(rows, boxes.tolist(), masks, strict=True)
    )
    return Tracks.from_observations(observations, size, num_frames)


def _check_rows(rows: list[tuple[int, int, int, int]], file: Path, first_frame: int, num_frames: int | None) -> None:
    seen: set[tuple[int, int]] = set()
    numbers: dict[int, int] = {}
    for frame, track_id, number, line in rows:
        where = f"in '{file}', line {line}"
        if frame < 0 or (num_frames is not None and frame >= num_frames):
            last = "on" if num_frames is None else f"to {first_frame + num_frames - 1}"
            raise ValueError(
                f"Expected frames from {first_frame} {last}, got frame {frame + first_frame} {where}: MOTSChallenge "
                "counts from 1 (first_frame=1), KITTI-MOTS from 0 (first_frame=0)"
            )
        if track_id < 0 or (frame, track_id) in seen:
            raise ValueError(f"Expected ids of at least 0, each once in a frame, got id {track_id} {where}")
        seen.add((frame, track_id))
        if number not in (1, 2, IGNORE_CLASS):
            raise ValueError(f"Expected class 1 (car), 2 (pedestrian) or 10 (not scored), got {number} {where}")
        if numbers.setdefault(track_id, number) != number:
            raise ValueError(
                f"Expected one class of each id, got {numbers[track_id]} and {number} of {track_id} {where}"
            )


def _check_disjoint(rows: list[tuple[int, int, int, int]], masks: list[Rle], file: Path) -> None:
    order = sorted(range(len(rows)), key=lambda index: rows[index][0])
    for frame, group in groupby(order, key=lambda index: rows[index][0]):
        here = list(group)
        pairs = overlapping([masks[index] for index in here])
        if pairs.any():
            one, other = (rows[here[index]][1] for index in np.argwhere(pairs)[0])
            raise ValueError(
                f"Expected masks that do not overlap, got objects {one} and {other} on one pixel in frame {frame} "
                f"(from 0) of '{file}': the format forbids it, and the official evaluation refuses it"
            )


def _size_in(file: Path) -> tuple[int, int] | None:
    """Height and width in the first line, None if they are not there: what is wrong is said with the tracks."""
    try:
        with gzip.open(file, "rt") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
            cells = next((line.split() for line in lines if line.strip()), [])
        return int(cells[3]), int(cells[4])
    except (OSError, EOFError, ValueError, IndexError):
        return None
