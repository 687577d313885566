"""Masks of MOTSChallenge and KITTI-MOTS in text files, and masks made disjoint, as these formats demand."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pycocotools import mask as coco_mask

from tltm_graph.formats.annotations import to_id, to_size
from tltm_graph.formats.mot import class_number, find_sequences
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.writer import TextFilesWriter
from tltm_graph.io.output import child
from tltm_graph.io.text import read_start, read_text, shown
from tltm_graph.limits import check_length
from tltm_graph.ops.rle import Rle, decode_rle, encode_rle, rle_intervals, rle_to_box, rle_to_boxes, to_coco
from tltm_graph.structures import Observation, Tracks

MOTS_CLASSES = ("car", "pedestrian")
"""Classes of MOTSChallenge and KITTI-MOTS, numbered from 1 in their files."""

IGNORE_CLASS = 10
"""Class of regions that are not scored; their id is 10000."""


def disjoint(observations: Sequence[Observation], where: str) -> list[Observation]:
    """Give every pixel of a frame to one object, for formats that forbid overlap.

    A pixel of several masks goes to the object of the highest score; of equal scores, to the first. The rest of a mask
    keeps its holes and parts and gets a tight box; its annotated ``area`` is dropped. Objects without a remaining
    pixel are left out. Objects that overlap no other are returned unchanged.

    Args:
        observations: Objects of one frame, all with masks of one size.
        where: Name of the frame, for error messages.

    Returns:
        The remaining objects, in the given order.

    Raises:
        ValueError: If an object has no mask, or the masks differ in size.
    """
    masks = [observation.mask for observation in observations if observation.mask is not None]
    if len(masks) < len(observations):
        first = next(observation.id for observation in observations if observation.mask is None)
        raise ValueError(
            f"Expected a mask of every object, got only a box of object {first} in {where}: write a box format"
        )
    for observation, mask in zip(observations, masks, strict=True):
        if list(mask["size"]) != list(masks[0]["size"]):
            raise ValueError(
                f"Expected masks of one size (H, W) in a frame, got {mask['size']} for object {observation.id} and "
                f"{masks[0]['size']} for object {observations[0].id} in {where}"
            )
    if not masks:
        return []
    taken = np.zeros(masks[0]["size"], dtype=bool)  # (H, W)
    result: dict[int, Observation | None] = dict(enumerate(observations))
    contested = np.flatnonzero(_overlaps(masks).any(axis=1)).tolist()
    for index in sorted(contested, key=lambda index: -observations[index].score):  # stable: the first of equals wins
        pixels = decode_rle([masks[index]], taken.shape)[0].numpy()
        visible = pixels & ~taken
        if not visible.any():
            result[index] = None
        elif (visible != pixels).any():
            rle = encode_rle(torch.from_numpy(visible)[None])[0]
            x, y, width, height = rle_to_box(rle)
            result[index] = observations[index]._replace(box=(x, y, x + width, y + height), mask=rle, area=None)
        taken |= pixels
    return [observation for observation in result.values() if observation is not None]


def _overlaps(masks: Sequence[Rle]) -> np.ndarray:
    """Find the pairs of masks of one size that share pixels, bool (N, N), False on the diagonal."""
    encoded = to_coco(masks)
    shared = np.asarray(coco_mask.iou(encoded, encoded, [0] * len(masks))).reshape(len(masks), len(masks)) > 0
    np.fill_diagonal(shared, False)
    return shared


def read_mots(path: str | Path, first_frame: int = 1) -> VideoSet:
    """Open masks of MOTSChallenge or KITTI-MOTS in text files, ground truth or results.

    A line is ``frame id class height width rle``, separated by spaces. Class 1 is a car (label 0) and class 2 a
    pedestrian (label 1). Class 10 is a region that is not scored, for either class: a ``crowd`` track of label 1. Ids
    are kept; in ground truth they are class · 1000 + number. Boxes are tight around the masks and scores are 1. The
    masks of a frame, regions of class 10 included, must not overlap.

    Args:
        path: Sequence, text file, or folder of these, as for :func:`~tltm_graph.formats.mot.find_sequences`.
        first_frame: Number of the first frame: 1 in MOTSChallenge, 0 in KITTI-MOTS. Files do not state it.

    Raises:
        FileNotFoundError: If there is no sequence and no text file.
        ValueError: If a ``seqinfo.ini`` is damaged. Errors in the lines of a file are raised, with the line number,
            when the tracks of its video are read: not six columns, a frame beyond the video, an unknown class, an id
            twice in a frame or of two classes, masks that are damaged, of several sizes, or overlap.
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
    """Writer of masks for MOTSChallenge and KITTI-MOTS, ``path/<video>.txt``, which :func:`read_mots` reads.

    Masks are made disjoint by :func:`disjoint`. Ids are kept; TrackEval does not need the class in them. Boxes,
    scores and the frames after the last object are lost.

    Args:
        path: Folder of the files.
        class_names: Names of the classes by label: "car" and "pedestrian" or "person".
        category_ids: Not used; the format has its own.
        first_frame: Number of the first frame: 1 in MOTSChallenge, 0 in KITTI-MOTS.

    Raises:
        ValueError: At an object of another class, without a mask, or with a mask of another size than before.
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
        return child(self.path, f"{video.name}.txt")

    def _write(self, frame: int, observations: list[Observation]) -> None:
        where = self._where(frame)
        for observation in disjoint(observations, where):
            assert observation.mask is not None
            height, width = observation.mask["size"]
            self._size = self._size or (height, width)
            if self._size != (height, width):
                raise ValueError(f"Expected masks of {self._size} pixels (H, W), got {height}×{width} in {where}")
            number = mots_class(observation, self.class_names, where)
            columns = frame + self.first_frame, observation.id, number, height, width, observation.mask["counts"]
            self._text.write(" ".join(map(str, columns)) + "\n")


def mots_class(observation: Observation, class_names: tuple[str, ...] | None, where: str) -> int:
    """Return the class number of an object: 1 for a car, 2 for a pedestrian, 10 for ``crowd``.

    Raises:
        ValueError: If the object has another class, or classes have no names.
    """
    return IGNORE_CLASS if observation.crowd else class_number(observation, class_names, MOTS_CLASSES, where)


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
                f"Expected 'frame id class height width rle', five whole numbers and a mask, got {shown(text)} in "
                f"'{file}', line {line}"
            ) from error
        to_id(track_id, "id", f"'{file}', line {line}")
        check_length(frame - first_frame + 1, f"'{file}', line {line}")
        if size is None:
            size = to_size(height, width, f"'{file}', line {line}")
        rows.append((frame - first_frame, track_id, number, line))
        masks.append(Rle(size=[height, width], counts=counts))
    _check_rows(rows, file, first_frame, num_frames)
    if size is None:
        return Tracks({}, None, num_frames or 0)
    _check_masks(rows, masks, size, file)
    boxes = np.array(rle_to_boxes(masks)).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    observations = (
        (frame, Observation(track_id, tuple(box), 1.0, min(number, 2) - 1, mask, crowd=number == IGNORE_CLASS))
        for (frame, track_id, number, _), box, mask in zip(rows, boxes.tolist(), masks, strict=True)
    )
    return Tracks.from_observations(observations, size, num_frames)


def _check_rows(rows: list[tuple[int, int, int, int]], file: Path, first_frame: int, num_frames: int | None) -> None:
    ids: set[tuple[int, int]] = set()
    classes: dict[int, int] = {}
    for frame, track_id, number, line in rows:
        where = f"in '{file}', line {line}"
        if frame < 0 or (num_frames is not None and frame >= num_frames):
            last = "on" if num_frames is None else f"to {first_frame + num_frames - 1}"
            raise ValueError(
                f"Expected frames from {first_frame} {last}, got frame {frame + first_frame} {where}: MOTSChallenge "
                "counts from 1 (first_frame=1), KITTI-MOTS from 0 (first_frame=0)"
            )
        if (frame, track_id) in ids:
            raise ValueError(f"Expected each id once in a frame, got id {track_id} again {where}")
        ids.add((frame, track_id))
        if number not in (1, 2, IGNORE_CLASS):
            raise ValueError(f"Expected class 1 (car), 2 (pedestrian) or 10 (not scored), got {number} {where}")
        if classes.setdefault(track_id, number) != number:
            raise ValueError(f"Expected one class of id {track_id}, got {classes[track_id]} and {number} {where}")


def _check_masks(rows: list[tuple[int, int, int, int]], masks: list[Rle], size: tuple[int, int], file: Path) -> None:
    """Raise ValueError for a damaged mask, or two masks of a frame that overlap."""

    def where(index: int) -> str:
        frame, track_id, _, line = rows[index]
        return f"'{file}', line {line}, frame {frame} (from 0), object {track_id}"

    owner, begin, end = rle_intervals(masks, size, where)
    frames = np.array([frame for frame, _, _, _ in rows], dtype=np.int64)[owner]
    order = np.lexsort((begin, frames))
    owner, begin, end, frames = (values[order] for values in (owner, begin, end, frames))
    overlaps = np.flatnonzero((begin[1:] < end[:-1]) & (frames[1:] == frames[:-1]))
    if len(overlaps):
        first, second = sorted(owner[overlaps[0] : overlaps[0] + 2].tolist())
        raise ValueError(
            f"Expected masks that do not overlap, got objects {rows[first][1]} and {rows[second][1]} on one pixel in "
            f"frame {rows[first][0]} (from 0) of '{file}': the format forbids it, and the official evaluation refuses "
            "it"
        )


def _size_in(file: Path) -> tuple[int, int] | None:
    """Read height and width from the first line; None if it has none, as reading the tracks reports the error."""
    cells = read_start(file, "MOTS masks").split(maxsplit=5)
    try:
        return to_size(int(cells[3]), int(cells[4]), "")
    except (ValueError, IndexError):
        return None
