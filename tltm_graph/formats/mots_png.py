from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from tltm_graph.formats.label_maps import LabelMaps, frame_files, label_map_observations, video_folders
from tltm_graph.formats.mots import IGNORE_CLASS, MOTS_CLASSES, disjoint_masks, mots_class
from tltm_graph.formats.text_files import discard
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.formats.writer import TracksWriter
from tltm_graph.io import write_folder_atomically
from tltm_graph.ops import to_coco
from tltm_graph.structures import Observation, Tracks

_CLASS_STEP = 1000


def read_mots_png(path: str | Path) -> VideoSet:
    """Opens masks of KITTI-MOTS or MOTSChallenge in pictures of 16 bits, ``path/<video>/<frame>.png``.

    The value of a pixel is class · 1000 + number of the object, 0 for background. It is the id of the track; class 1 is
    a car (label 0), 2 a pedestrian (label 1), and 10 a region that is not to be scored: ``crowd``, with label 1. The
    frames are read one after the other; their names count from 0 in KITTI-MOTS and from 1 in MOTSChallenge, without
    gap.

    Args:
        path: The folder of one video or one with a folder for each.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no label maps, or the names of its frames do not count. Damaged pictures and unknown
            classes are reported when the tracks, or the label map, of their video are asked for.
    """
    videos = []
    for number, folder in enumerate(video_folders(Path(path)), start=1):
        maps = LabelMaps(folder.name, tuple(frame_files(folder, (".png",))))
        _check_names(maps.paths, folder)
        videos.append(replace(maps.video(number), load=partial(_read_tracks, maps)))
    return VideoSet(videos, MOTS_CLASSES, name=str(path))


class MotsPngWriter(TracksWriter):
    """Writes masks as KITTI-MOTS has them, pictures of 16 bits: ``path/<video>/<frame>.png``, a picture for each frame.

    The folder of a video appears when the video ends, in place of an older one. The value of a pixel is
    class · 1000 + number: an id that already says its class is the value itself, so that truth comes back as it was;
    one below 1000 is the number; others do not fit. Masks are made disjoint, see
    :func:`~tltm_graph.formats.disjoint.disjoint`. Boxes and scores have no place in the format and are lost.

    Args:
        path: Folder of the videos.
        class_names: Names of the classes by label: "car" and "pedestrian" or "person".
        category_ids: Not used; the format has its own.
        first_frame: The number that the first frame is called by: 0 in KITTI-MOTS (000000.png), 1 in MOTSChallenge.

    Raises:
        ValueError: At an object of another class, without a mask, or whose id does not fit; at two objects that would
            get one value; at a video whose size nothing tells.
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
        self._folder = self.path
        self._size: tuple[int, int] | None = None
        self._written = 0
        self._owners: dict[int, int] = {}  # value -> id

    def _begin(self, video: Video) -> None:
        if Path(video.name).name != video.name:
            raise ValueError(f"Expected a name that can be a folder's, got video '{video.name}': rename it")
        self._size, self._written, self._owners = video.size, 0, {}
        self._output = ExitStack()
        self._folder = self._output.enter_context(write_folder_atomically(self.path / video.name))

    def _write(self, frame: int, observations: list[Observation]) -> None:
        assert self.video is not None
        where = f"frame {frame} of video '{self.video.name}'"
        rows = disjoint_masks(observations, where)
        masks = to_coco([row.mask for row in rows if row.mask is not None])
        if not masks:
            return  # written with the next frame that has objects: by then the size is known
        if self._size is None:
            self._size = masks[0]["size"][0], masks[0]["size"][1]
        self._fill(frame)
        labels = np.zeros(self._known_size(), dtype=np.uint16)
        for row, mask in zip(rows, masks, strict=True):
            if tuple(mask["size"]) != labels.shape:
                raise ValueError(f"Expected masks of {labels.shape} pixels (H, W), got {mask['size']} in {where}")
            labels[coco_mask.decode(mask).astype(bool)] = self._value(row, where)
        self._save(frame, labels)

    def _end(self) -> None:
        self._fill(self.num_frames)
        self._output.close()

    def _close(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)  # no videos is a folder without folders

    def _discard(self) -> None:
        discard(self._output)

    def _value(self, row: Observation, where: str) -> int:
        number = mots_class(row, self.class_names, where)
        value = row.id if row.id // _CLASS_STEP == number else number * _CLASS_STEP + row.id
        if value // _CLASS_STEP != number or self._owners.setdefault(value, row.id) != row.id:
            raise ValueError(
                f"Expected ids below {_CLASS_STEP}, or class · {_CLASS_STEP} + a number below {_CLASS_STEP} that no "
                f"other object has, got id {row.id} of class {number} in {where}: the format holds no more, number the "
                "tracks anew or write MOTS text files"
            )
        return value

    def _fill(self, end: int) -> None:
        """Writes the frames without objects before ``end``."""
        if self._written < end:
            empty = np.zeros(self._known_size(), dtype=np.uint16)
            for frame in range(self._written, end):
                self._save(frame, empty)

    def _known_size(self) -> tuple[int, int]:
        assert self.video is not None
        if self._size is None:
            raise ValueError(
                f"Expected the size of video '{self.video.name}', which has no masks to tell it: give it one"
            )
        return self._size

    def _save(self, frame: int, labels: np.ndarray) -> None:
        Image.fromarray(labels).save(self._folder / f"{frame + self.first_frame:06d}.png")  # uint16 is mode "I;16"
        self._written = frame + 1


def _read_tracks(maps: LabelMaps) -> Tracks:
    def rows() -> Iterator[tuple[int, Observation]]:
        for frame, path in enumerate(maps.paths):
            for row in label_map_observations(maps(frame)):
                number = row.id // _CLASS_STEP
                if number not in (1, 2, IGNORE_CLASS):
                    raise ValueError(
                        f"Expected pixels of class · {_CLASS_STEP} + number, class 1 (car), 2 (pedestrian) or 10 (not "
                        f"scored), got {row.id} in '{path}'"
                    )
                yield frame, row._replace(label=min(number, 2) - 1, crowd=number == IGNORE_CLASS)

    return Tracks.from_observations(rows(), maps.size, len(maps.paths))


def _check_names(paths: Sequence[Path], folder: Path) -> None:
    names = [path.stem for path in paths]
    numbers = [int(name) if name.isdecimal() else -1 for name in names]
    first = min(numbers[:1], default=0)
    for number, expected, name in zip(numbers, range(first, first + len(names)), names, strict=True):
        if number != expected or first not in (0, 1):
            raise ValueError(
                f"Expected pictures called 0, 1, 2, … or 1, 2, 3, … without gap in '{folder}', got '{name}.png' where "
                f"{expected if first in (0, 1) else '0 or 1'} is due: a missing frame would shift all that follow"
            )
