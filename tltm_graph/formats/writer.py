import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tltm_graph.formats.video import Video
from tltm_graph.structures import Observation


class TracksWriter(ABC):
    """Writes the tracks of any number of videos, one after the other and frame by frame; memory does not grow.

    >>> with SomeWriter(path, class_names) as writer:
    ...     for video in videos:
    ...         writer.begin(video)
    ...         for frame, observations in video.tracks().observations():
    ...             writer.write(frame, observations)

    What is written appears under its name when it is complete: a file for each video when the video ends, a file for
    all of them when the writer is closed. If the ``with`` block fails, nothing half-written is left.

    Args:
        path: File or folder to write.
        class_names: Names of the classes by label, None where objects have no class.
        category_ids: The number that the file gives to each label; by default 1, 2, 3, ….
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
        """Starts the next video, ending the one before."""
        self.end()
        self.video, self.num_frames = video, 0
        self._begin(video)

    def write(self, frame: int, observations: Iterable[Observation]) -> None:
        """Adds the observations of a frame; frames come in order, those without objects may be left out.

        Raises:
            ValueError: If no video was begun, the frame is not after the one before or beyond the end, an id is
                negative or occurs twice, a label is no class, a box or score is not finite, or a mask has another
                size than the video.
        """
        if self.video is None:
            raise ValueError("Expected begin(video) before the first frame of a video")
        where = f"frame {frame} of video '{self.video.name}'"
        if frame < self.num_frames:
            raise ValueError(f"Expected frames in order, got {where} after frame {self.num_frames - 1}")
        if self.video.num_frames is not None and frame >= self.video.num_frames:
            raise ValueError(f"Expected at most {self.video.num_frames} frames, got {where}")
        rows = list(observations)
        seen: set[int] = set()
        for row in rows:
            if row.id < 0 or row.id in seen:
                raise ValueError(f"Expected ids of at least 0, each once, got id {row.id} in {where}")
            seen.add(row.id)
            x0, y0, x1, y1 = row.box
            if not (all(map(math.isfinite, (*row.box, row.score))) and x0 <= x1 and y0 <= y1):
                raise ValueError(
                    f"Expected a box (x0, y0, x1, y1) with x0 ≤ x1 and y0 ≤ y1 and a score, all finite, got {row.box} "
                    f"and {row.score} for object {row.id} in {where}"
                )
            size = self.video.size
            if row.mask is not None and size is not None and tuple(row.mask["size"]) != size:
                raise ValueError(
                    f"Expected masks of {size[0]}×{size[1]} pixels (H×W), got {row.mask['size']} for object {row.id} "
                    f"in {where}"
                )
            if row.label < 0:
                raise ValueError(f"Expected labels of at least 0, got {row.label} for object {row.id} in {where}")
            if self.class_names is not None and row.label >= len(self.class_names):
                raise ValueError(
                    f"Expected labels below {len(self.class_names)}, got {row.label} for object {row.id} in {where}"
                )
        self._fill_up(frame)
        self._write(frame, rows)
        self.num_frames = frame + 1

    def end(self) -> None:
        """Ends the video; frames that were not written have no objects."""
        if self.video is not None:
            self._fill_up(self.video.num_frames or 0)
            self._end()
            self.video = None

    def _fill_up(self, end: int) -> None:
        for frame in range(self.num_frames, end):
            self._write(frame, [])
            self.num_frames = frame + 1

    def close(self) -> None:
        """Ends the last video and finishes what is one for all of them."""
        try:
            self.end()
            self._close()
        finally:
            self._discard()

    def category_id(self, label: int) -> int:
        """What the file calls a label."""
        return label + 1 if self.category_ids is None else self.category_ids[label]

    @abstractmethod
    def _begin(self, video: Video) -> None: ...

    @abstractmethod
    def _write(self, frame: int, observations: list[Observation]) -> None:
        """Called once for every frame, in order, those without objects included."""

    @abstractmethod
    def _end(self) -> None:
        """``self.video`` is complete; it had ``self.num_frames`` frames."""

    @abstractmethod
    def _close(self) -> None:
        """All videos are complete."""

    @abstractmethod
    def _discard(self) -> None:
        """Removes whatever is temporary; called after success and failure alike."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._discard()
