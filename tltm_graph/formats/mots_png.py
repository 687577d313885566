"""Masks of KITTI-MOTS and MOTSChallenge in label maps of 16 bits."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tltm_graph.formats.label_maps import LabelMaps, frame_files, label_map_observations, video_folders
from tltm_graph.formats.mots import IGNORE_CLASS, MOTS_CLASSES, disjoint, mots_class
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.writer import TracksWriter
from tltm_graph.io.output import child, roll_back, write_folder_atomically
from tltm_graph.ops.rle import decode_rle
from tltm_graph.structures import Observation, Tracks

_CLASS_STEP = 1000


def read_mots_png(path: str | Path) -> VideoSet:
    """Open masks of KITTI-MOTS or MOTSChallenge in images of 16 bits, ``path/<video>/<frame>.png``.

    The value of a pixel is class · 1000 + number of the object, 0 for background. It is the id of the track. Class 1
    is a car (label 0), class 2 a pedestrian (label 1), and class 10 a region that is not scored: ``crowd`` with
    label 1. Names of frames count from 0 in KITTI-MOTS and from 1 in MOTSChallenge, without gaps.

    Args:
        path: Folder of one video, or folder with a folder for each video.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no label maps, or a frame is missing. Damaged images and unknown classes are reported
            when the tracks or the label map of their video are read.
    """
    videos = []
    for number, folder in enumerate(video_folders(Path(path)), start=1):
        maps = LabelMaps(folder.name, tuple(frame_files(folder, (".png",))))
        _check_names(maps.paths, folder)
        videos.append(replace(maps.video(number), load=partial(_read_tracks, maps)))
    return VideoSet(videos, MOTS_CLASSES, name=str(path))


class MotsPngWriter(TracksWriter):
    """Writer of masks as KITTI-MOTS has them: an image of 16 bits for each frame, ``path/<video>/<frame>.png``.

    The folder of a video appears when the video ends, and replaces an older one. The value of a pixel is
    class · 1000 + number. An id that already contains its class is the value itself, so ground truth reads back
    exactly; an id below 1000 is the number; other ids do not fit. Masks are made disjoint by
    :func:`~tltm_graph.formats.mots.disjoint`. Boxes and scores are lost.

    Args:
        path: Folder of the videos.
        class_names: Names of the classes by label: "car" and "pedestrian" or "person".
        category_ids: Not used; the format has its own.
        first_frame: Number in the name of the first frame: 0 in KITTI-MOTS (000000.png), 1 in MOTSChallenge.

    Raises:
        ValueError: At an object of another class, without a mask, or with an id that does not fit; at two objects of
            one value; at a video of unknown size without masks.
    """

    def __init__(
        self,
        path: str | Path,
        class_names: Sequence[str] | None = None,
        category_ids: Sequence[int] | None = None,
        first_frame: int = 0,
    ) -> None:
        super().__init__(path, class_names, category_ids)
        self.first_frame = first_frame
        self._output = ExitStack()
        self._begun: set[str] = set()
        self._folder = self.path
        self._size: tuple[int, int] | None = None
        self._num_written = 0
        self._owners: dict[int, int] = {}  # value -> id

    def _begin(self, video: Video) -> None:
        if video.name in self._begun:
            raise ValueError(f"Expected each video once, got '{video.name}' twice: rename one")
        self._begun.add(video.name)
        self._size, self._num_written, self._owners = video.size, 0, {}
        self._output = ExitStack()
        self._folder = self._output.enter_context(write_folder_atomically(child(self.path, video.name)))

    def _write(self, frame: int, observations: list[Observation]) -> None:
        where = self._where(frame)
        visible = disjoint(observations, where)
        masks = [observation.mask for observation in visible if observation.mask is not None]
        if not masks:
            return  # written before the next frame with objects, whose masks give the size
        if self._size is None:
            self._size = masks[0]["size"][0], masks[0]["size"][1]
        labels = self._empty_map()
        self._fill(frame)
        for observation, mask in zip(visible, masks, strict=True):
            if tuple(mask["size"]) != labels.shape:
                raise ValueError(f"Expected masks of {labels.shape} pixels (H, W), got {mask['size']} in {where}")
            labels[decode_rle([mask], labels.shape)[0].numpy()] = self._value(observation, where)
        self._save(labels)

    def _end(self) -> None:
        self._fill(self.num_frames)
        self._output.close()

    def _close(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)  # without videos, an empty folder

    def _discard(self) -> None:
        roll_back(self._output)

    def _value(self, observation: Observation, where: str) -> int:
        number, track_id = mots_class(observation, self.class_names, where), observation.id
        value = track_id if track_id // _CLASS_STEP == number else number * _CLASS_STEP + track_id
        if value // _CLASS_STEP != number or self._owners.setdefault(value, track_id) != track_id:
            raise ValueError(
                f"Expected ids below {_CLASS_STEP}, or class · {_CLASS_STEP} + a number below {_CLASS_STEP} that no "
                f"other object has, got id {track_id} of class {number} in {where}: renumber the tracks or write MOTS "
                "text files"
            )
        return value

    def _fill(self, end: int) -> None:
        """Write the frames without objects before ``end``."""
        while self._num_written < end:
            self._save(self._empty_map())

    def _empty_map(self) -> np.ndarray:
        assert self.video is not None
        if self._size is None:
            raise ValueError(f"Expected a size or a mask of video '{self.video.name}', got neither: give it a size")
        return np.zeros(self._size, dtype=np.uint16)

    def _save(self, labels: np.ndarray) -> None:
        file = self._folder / f"{self._num_written + self.first_frame:06d}.png"
        Image.fromarray(labels).save(file)  # uint16 becomes mode "I;16"
        self._num_written += 1


def _read_tracks(maps: LabelMaps) -> Tracks:
    def observations() -> Iterator[tuple[int, Observation]]:
        for frame, path in enumerate(maps.paths):
            for observation in label_map_observations(maps(frame)):
                number = observation.id // _CLASS_STEP
                if number not in (1, 2, IGNORE_CLASS):
                    raise ValueError(
                        f"Expected pixels of class · {_CLASS_STEP} + number, class 1 (car), 2 (pedestrian) or 10 (not "
                        f"scored), got {observation.id} in '{path}'"
                    )
                yield frame, observation._replace(label=min(number, 2) - 1, crowd=number == IGNORE_CLASS)

    return Tracks.from_observations(observations(), maps.size, len(maps.paths))


def _check_names(paths: Sequence[Path], folder: Path) -> None:
    """Raise ValueError for a gap in the frames: a missing frame would shift all frames after it."""
    numbers = [int(path.stem) if path.stem.isdecimal() else -1 for path in paths]
    first = min(numbers[:1], default=0)
    for expected, (number, path) in enumerate(zip(numbers, paths, strict=True), start=first):
        if number != expected or first not in (0, 1):
            raise ValueError(
                f"Expected images called 0, 1, 2, … or 1, 2, 3, … without gaps in '{folder}', got '{path.stem}.png' "
                f"instead of {expected if first in (0, 1) else '0 or 1'}: a missing frame would shift all later ones"
            )
