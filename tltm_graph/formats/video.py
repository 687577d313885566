import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, overload

import numpy as np

from tltm_graph.io import FrameReader, read_frames
from tltm_graph.structures import Tracks


@dataclass(frozen=True, eq=False)
class Video:
    """One video of a data set: where its frames are, and what is known to be in it. Nothing is read until asked for.

    Args:
        name: Of the video, the same in every format: mostly the name of its folder.
        num_frames: Length, None for a stream that may go on.
        size: Height and width in pixels, None if unknown.
        id: Number of the video in formats that count videos.
        images: Files of the frames in order, None where they are not at hand.
        frame_names: What the format calls its frames, without suffix; None where it only counts them.
        fps: Frames a second, None if unknown.
        load: Reads its tracks, true or predicted; None where there are none.
        label_map: Reads the label map of a frame, uint8 or wider (H, W), 0 for background and the track's id elsewhere:
            for formats that are label maps, so that nothing has to be encoded and decoded on the way.
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

    def frames(self) -> FrameReader:
        """The pictures, one at a time.

        Raises:
            FileNotFoundError: If they are not at hand.
        """
        if self.images is None:
            raise FileNotFoundError(f"Expected the frames of video '{self.name}', got its tracks only: name the folder")
        missing = next((path for path in self.images if not path.exists()), None)
        if missing is not None:
            raise FileNotFoundError(f"Expected a frame of video '{self.name}' at '{missing}', found none")
        return read_frames(self.images, fps=self.fps or 30.0)

    def blank_frames(self) -> FrameReader:
        """Black pictures of its length and size, to associate detections that are at hand when the frames are not.

        Raises:
            ValueError: If the length or the size is not known.
        """
        if self.num_frames is None or self.size is None:
            raise ValueError(
                f"Expected the length and size of video '{self.name}', got {self.num_frames} frames of {self.size}"
            )
        black = np.zeros((*self.size, 3), dtype=np.uint8)
        fps = self.fps or 30.0
        pictures = ((black, index / fps, f"frame {index}") for index in range(self.num_frames))
        return FrameReader(pictures, self.name, fps, self.num_frames)

    def tracks(self) -> Tracks:
        """Its tracks, read anew at each call.

        Raises:
            ValueError: If there are none, or they are not valid.
        """
        if self.load is None:
            raise ValueError(f"Expected tracks of video '{self.name}', got a video without annotations")
        return self.load()


class VideoSet(Sequence[Video]):
    """The videos of a data set, or of a file of results, with its classes.

    Args:
        videos: In the order of the file.
        class_names: Names of the classes by label; None where objects have no class.
        category_ids: The number a file gives to each label; by default 1, 2, 3, ….
        name: Of the file or folder, for error messages.

    Raises:
        ValueError: If a name or an id of a video occurs twice, or not every class has a number.
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
        self._by_name = {video.name: video for video in self.videos}
        for what in ("name", "id"):
            seen: set[object] = set()
            for video in self.videos:
                if getattr(video, what) in seen:
                    raise ValueError(f"Expected each video once in '{name}', got {what} {getattr(video, what)!r} twice")
                seen.add(getattr(video, what))

    def named(self, name: str) -> Video | None:
        """The video of that name, None if there is none."""
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
        """A set of the same classes with other videos."""
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
    """A fixed part of a training set, to validate on where the truth of the official validation set is withheld.

    A video is in "val" if the SHA-256 of its name, read as a number in [0, 1), is below :data:`HELD_OUT`. So the split
    is the same everywhere and for ever, needs no list, and stays what it was when videos are added or left out.

    Args:
        videos: The set, whose names must be its own: YouTube-VIS and OVIS call videos by the hash of their folder.
        part: "train" or "val".
    """
    return videos.select([video for video in videos if is_held_out(video.name) == (part == "val")])


def is_held_out(name: str) -> bool:
    """Whether the video of that name belongs to "val"."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8]) / 2**64 < HELD_OUT
