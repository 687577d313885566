"""Videos of a data set, and a fixed split of them into parts for training and validation."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, overload

import numpy as np

from tltm_graph.io import FrameReader, read_frames
from tltm_graph.io.text import one_line_errors
from tltm_graph.limits import check_length, check_pixels
from tltm_graph.printable import one_line
from tltm_graph.structures import Tracks


@dataclass(frozen=True, eq=False)
class Video:
    """One video of a data set: its frames and its tracks, which are read only on request.

    Args:
        name: Name of the video, the same in every format; usually the name of its folder.
        num_frames: Length in frames; None for a stream of unknown length.
        size: Height and width in pixels; None if unknown.
        id: Number of the video in formats that number videos.
        images: Files of the frames in order; None if they are not available.
        frame_names: Names of the frames in the format, without suffix; None if it only counts them.
        fps: Frames per second; None if unknown.
        load: Function that reads the tracks, ground truth or predictions; None if there are none.
        label_map: Function that reads the label map of a frame, uint8 or wider (H, W), 0 for background and otherwise
            the id of the track. Formats of label maps set it, to avoid encoding and decoding masks.

    Raises:
        ValueError: If the video is longer or larger than :class:`tltm_graph.limits.Limits` allows, the id needs more
            than 63 bits, or a name cannot be written as UTF-8 or holds a null character.
    """

    name: str
    num_frames: int | None = None
    size: tuple[int, int] | None = None
    id: int = 1
    images: tuple[Path, ...] | None = None
    frame_names: tuple[str, ...] | None = None
    fps: float | None = None
    load: Callable[[], Tracks] | None = field(default=None, repr=False)
    label_map: Callable[[int], np.ndarray] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_names((self.name, *(self.frame_names or ())), "a video and its frames")
        where = f"video '{self.name}'"
        if not -(2**63) <= self.id < 2**63:
            raise ValueError(f"Expected an id below 2⁶³, got {self.id} of {where}: renumber the videos")
        check_length(self.num_frames or 0, where)
        if self.size is not None:
            check_pixels(*self.size, where)

    def frames(self) -> FrameReader:
        """Read the images, one at a time.

        Raises:
            FileNotFoundError: If they are not available.
        """
        if self.images is None:
            raise FileNotFoundError(
                f"Expected the frames of video '{self.name}', got its tracks only: name the folder of its images"
            )
        missing = next((path for path in self.images if not path.exists()), None)
        if missing is not None:
            raise FileNotFoundError(f"Expected a frame of video '{self.name}' at '{missing}', found none")
        return read_frames(self.images, fps=self.fps or 30.0)

    def blank_frames(self) -> FrameReader:
        """Make black images of the video's length and size, to associate saved detections without the frames.

        Raises:
            ValueError: If the length or the size is unknown.
        """
        if self.num_frames is None or self.size is None:
            raise ValueError(
                f"Expected the length and size of video '{self.name}', got {self.num_frames} frames of {self.size}"
            )
        black = np.zeros((*self.size, 3), dtype=np.uint8)
        fps = self.fps or 30.0
        images = ((black, index / fps, f"frame {index}") for index in range(self.num_frames))
        return FrameReader(images, self.name, fps, self.num_frames)

    def tracks(self) -> Tracks:
        """Read the tracks; each call reads them again.

        Raises:
            ValueError: If there are none, or they are not valid.
        """
        if self.load is None:
            raise ValueError(f"Expected tracks of video '{self.name}', got a video without annotations")
        with one_line_errors():
            return self.load()


def check_names(names: Sequence[str], what: str) -> None:
    """Raise a ValueError for a name that no file can hold."""
    text = "".join(names)
    if text.isascii() and "\0" not in text:
        return
    wrong = next((name for name in names if _UNWRITABLE.search(name)), None)
    if wrong is not None:
        raise ValueError(f"Expected names of {what} that files can hold, got '{one_line(wrong)}': rename it")


_UNWRITABLE = re.compile("[\0\ud800-\udfff]")


class VideoSet(Sequence[Video]):
    """Videos of a data set or of a file of results, with their classes.

    Args:
        videos: The videos, in the order of the file.
        class_names: Names of the classes by label; None if objects have no class.
        category_ids: Number that a file gives to each label; by default 1, 2, 3, ….
        name: Name of the file or folder, for error messages.

    Raises:
        ValueError: If a name or an id of a video occurs twice, not every class has a number, or the name of a class
            cannot be written as UTF-8 or holds a null character.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        class_names: tuple[str, ...] | None = None,
        category_ids: tuple[int, ...] | None = None,
        name: str = "videos",
    ) -> None:
        self.videos = tuple(videos)
        self.class_names = class_names
        self.category_ids = category_ids or (None if class_names is None else tuple(range(1, len(class_names) + 1)))
        self.name = name
        if len(self.category_ids or ()) != len(class_names or ()):
            raise ValueError(
                f"Expected a number for each of the {len(class_names or ())} classes of '{name}', got "
                f"{len(self.category_ids or ())}"
            )
        check_names(class_names or (), "classes")
        self._by_name = {video.name: video for video in self.videos}
        for attribute in ("name", "id"):
            values: set[object] = set()
            for value in (getattr(video, attribute) for video in self.videos):
                if value in values:
                    raise ValueError(f"Expected each video once in '{name}', got {attribute} {value!r} twice")
                values.add(value)

    def named(self, name: str) -> Video | None:
        """Return the video of that name, None if there is none."""
        return self._by_name.get(name)

    @overload
    def __getitem__(self, index: int) -> Video: ...
    @overload
    def __getitem__(self, index: slice) -> "VideoSet": ...
    def __getitem__(self, index: int | slice) -> "Video | VideoSet":
        if isinstance(index, slice):
            return self.select(self.videos[index])
        return self.videos[index]

    def select(self, videos: Sequence[Video]) -> "VideoSet":
        """Return a set of other videos with the same classes."""
        return VideoSet(videos, self.class_names, self.category_ids, self.name)

    def __len__(self) -> int:
        return len(self.videos)

    def __iter__(self) -> Iterator[Video]:
        return iter(self.videos)

    def __repr__(self) -> str:
        classes = "no classes" if self.class_names is None else f"{len(self.class_names)} classes"
        return f"{type(self).__name__}('{self.name}', {len(self)} videos, {classes})"


Part = Literal["train", "val"]

HELD_OUT = 0.1
"""Share of the videos in the part "val"."""


def local_split(videos: VideoSet, part: Part) -> VideoSet:
    """Select a fixed part of a training set, to validate without the withheld truth of the official validation set.

    A video is in "val" if the SHA-256 of its name, read as a number in [0, 1), is below :data:`HELD_OUT`. The split is
    the same on every machine, needs no list, and does not change when videos are added or removed.

    Args:
        videos: The training set, with unique names; YouTube-VIS and OVIS name videos by the hash of their folder.
        part: "train" or "val".
    """
    return videos.select([video for video in videos if is_held_out(video.name) == (part == "val")])


def is_held_out(name: str) -> bool:
    """Tell whether the video of that name belongs to "val"."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8]) / 2**64 < HELD_OUT
