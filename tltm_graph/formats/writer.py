"""Base classes of the writers, and numbers that read back exactly."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tltm_graph.formats.video import Video
from tltm_graph.io.output import roll_back, write_atomically
from tltm_graph.structures import Observation


class TracksWriter(ABC):
    """Writer of the tracks of any number of videos, one video after the other, frame by frame.

    >>> with SomeWriter(path, class_names) as writer:
    ...     for video in videos:
    ...         writer.begin(video)
    ...         for frame, observations in video.tracks().observations():
    ...             writer.write(frame, observations)

    Memory does not grow with the number of videos. Output gets its name when it is complete: a file for each video
    when the video ends, a file for all videos when the writer is closed. If the ``with`` block fails, no partial
    output is left.

    Args:
        path: File or folder to write.
        class_names: Names of the classes by label; None if objects have no class.
        category_ids: Number that the file gives to each label; by default 1, 2, 3, ….
    """

    def __init__(
        self, path: str | Path, class_names: Sequence[str] | None = None, category_ids: Sequence[int] | None = None
    ) -> None:
        self.path = Path(path)
        self.class_names = None if class_names is None else tuple(class_names)
        self.category_ids = None if category_ids is None else tuple(category_ids)
        self.video: Video | None = None
        self.num_frames = 0

    def begin(self, video: Video) -> None:
        """Start the next video and end the previous one."""
        self.end()
        self.video, self.num_frames = video, 0
        self._begin(video)

    def write(self, frame: int, observations: Iterable[Observation]) -> None:
        """Add the observations of a frame. Frames come in order; frames without objects may be skipped.

        Args:
            frame: Index of the frame, from 0.
            observations: Objects of the frame.

        Raises:
            ValueError: If no video was begun, the frame is out of order or beyond the end of the video, an id is
                negative or occurs twice, a label is not a class, a box or score is not finite, or a mask has not the
                size of the video.
        """
        if self.video is None:
            raise ValueError("Expected begin(video) before the first frame of a video, got a frame")
        where = self._where(frame)
        if frame < self.num_frames:
            raise ValueError(f"Expected frames in order, got {where} after frame {self.num_frames - 1}")
        if self.video.num_frames is not None and frame >= self.video.num_frames:
            raise ValueError(f"Expected at most {self.video.num_frames} frames, got {where}")
        observations = list(observations)
        self._check(observations, self.video.size, where)
        self._fill_up(frame)
        self._write(frame, observations)
        self.num_frames = frame + 1

    def end(self) -> None:
        """End the video. Frames that were not written have no objects."""
        if self.video is not None:
            self._fill_up(self.video.num_frames or 0)
            self._end()
            self.video = None

    def close(self) -> None:
        """End the last video and complete the output that all videos share."""
        try:
            self.end()
            self._close()
        finally:
            self._discard()

    def category_id(self, label: int) -> int:
        """Return the number that the file gives to a label."""
        return label + 1 if self.category_ids is None else self.category_ids[label]

    def _where(self, frame: int) -> str:
        """Name a frame in an error message."""
        assert self.video is not None
        return f"frame {frame} of video '{self.video.name}'"

    def _check(self, observations: list[Observation], size: tuple[int, int] | None, where: str) -> None:
        ids: set[int] = set()
        for observation in observations:
            track_id, label, mask = observation.id, observation.label, observation.mask
            if not 0 <= track_id < 2**63 or track_id in ids:
                raise ValueError(f"Expected ids from 0 to 2⁶³ - 1, each once, got id {track_id} in {where}")
            ids.add(track_id)
            x0, y0, x1, y1 = observation.box
            if not (all(map(math.isfinite, (*observation.box, observation.score))) and x0 <= x1 and y0 <= y1):
                raise ValueError(
                    f"Expected a box (x0, y0, x1, y1) with x0 ≤ x1 and y0 ≤ y1 and a score, all finite, got "
                    f"{observation.box} and {observation.score} for object {track_id} in {where}"
                )
            if mask is not None and size is not None and tuple(mask["size"]) != size:
                raise ValueError(
                    f"Expected masks of {size[0]}×{size[1]} pixels (H×W), got {mask['size']} for object {track_id} "
                    f"in {where}"
                )
            if label < 0:
                raise ValueError(f"Expected labels of at least 0, got {label} for object {track_id} in {where}")
            if self.class_names is not None and label >= len(self.class_names):
                raise ValueError(
                    f"Expected labels below {len(self.class_names)}, got {label} for object {track_id} in {where}"
                )

    def _fill_up(self, end: int) -> None:
        """Write the frames without objects before ``end``."""
        for frame in range(self.num_frames, end):
            self._write(frame, [])
            self.num_frames = frame + 1

    @abstractmethod
    def _begin(self, video: Video) -> None: ...

    @abstractmethod
    def _write(self, frame: int, observations: list[Observation]) -> None:
        """Write one frame; called once for every frame, in order, also for frames without objects."""

    @abstractmethod
    def _end(self) -> None:
        """Complete ``self.video``, which had ``self.num_frames`` frames."""

    @abstractmethod
    def _close(self) -> None:
        """Complete the output after the last video."""

    @abstractmethod
    def _discard(self) -> None:
        """Remove temporary files; called after success and after failure."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._discard()


class TextFilesWriter(TracksWriter):
    """Base class of the MOT and MOTS writers: one text file of lines for each video."""

    def __init__(
        self, path: str | Path, class_names: Sequence[str] | None = None, category_ids: Sequence[int] | None = None
    ) -> None:
        super().__init__(path, class_names, category_ids)
        self._output = ExitStack()
        self._begun: set[str] = set()

    @abstractmethod
    def _file(self, video: Video) -> Path:
        """Return the path of a video's text file, made by :func:`tltm_graph.io.output.child`."""

    def _begin(self, video: Video) -> None:
        if video.name in self._begun:
            raise ValueError(f"Expected each video once, got '{video.name}' twice: rename one")
        self._begun.add(video.name)
        path = self._file(video)
        self._output = ExitStack()
        temporary = self._output.enter_context(write_atomically(path))
        self._text = self._output.enter_context(temporary.open("w", encoding="utf-8"))

    def _end(self) -> None:
        self._output.close()

    def _close(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)  # without videos, an empty folder

    def _discard(self) -> None:
        roll_back(self._output)


def exact_number(value: float) -> int | float:
    """Return an equal number without ``.0`` if it is whole; its text is the shortest that reads as this number."""
    return int(value) if abs(value) < 2**53 and value == int(value) else float(value)


def plain_number(value: float) -> int | float:
    """Remove the rounding error of a difference: round to 6 decimals if that changes the value by less than 1e-9.

    A width of 61.08 in a file becomes 61.080000000000013 as ``x1 - x0``. Such errors stay below 1e-9 for coordinates
    below 1e6 pixels, and files rarely have more than 6 decimals. Values with more decimals, for example from 32-bit
    floats, differ by more than 1e-9 and are kept.
    """
    rounded = round(value, 6)
    return exact_number(rounded if abs(rounded - value) < 1e-9 else value)


def extent(low: float, high: float) -> int | float:
    """Return the plainest width of an interval for which ``low + width`` equals ``high`` exactly.

    This is the plain number, the difference, or a neighbour of the difference. If the width is larger than ``high``
    (a box that begins far outside the image and ends near 0), none of them may fit; the end then moves by the last
    bit of the width.
    """
    width = high - low
    for candidate in (plain_number(width), width, math.nextafter(width, math.inf), math.nextafter(width, -math.inf)):
        if low + candidate == high:
            return exact_number(candidate)
    return width
