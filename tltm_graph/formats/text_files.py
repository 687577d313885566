import math
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tltm_graph.formats.video import Video
from tltm_graph.formats.writer import TracksWriter
from tltm_graph.io import write_atomically


def plain_number(value: float) -> int | float:
    """The number that was meant: to 6 decimals if that changes it by less than 1e-9, and without ``.0`` if it is whole.

    A width that a file gives as 61.08 comes out of ``x1 - x0`` as 61.080000000000013: differences carry the rounding of
    the coordinates, below 1e-9 for those below 1e6 pixels, while files rarely have more than 6 decimals. Numbers
    with more that are meant, such as those that were 32-bit floats once, differ by more and stay as they are.
    """
    near = round(value, 6)
    return exact_number(near if abs(near - value) < 1e-9 else value)


def exact_number(value: float) -> int | float:
    """The same number, without ``.0`` if it is whole; printed, it is the shortest text that reads as this number."""
    return int(value) if abs(value) < 2**53 and value == int(value) else float(value)


def extent(low: float, high: float) -> int | float:
    """The plainest width to write for an interval such that ``low + width`` is ``high`` again, to the last bit.

    The plain number mostly is; else the difference, or a neighbour of it. Only where the width is larger than ``high``
    (a box that begins far outside the picture and ends near 0) may none fit: the end then moves by the last bit of the
    width.
    """
    width = high - low
    for candidate in (plain_number(width), width, math.nextafter(width, math.inf), math.nextafter(width, -math.inf)):
        if low + candidate == high:
            return exact_number(candidate)
    return width


class TextFilesWriter(TracksWriter):
    """Writes one text file of lines for each video, which appears when the video ends; the base of MOT and MOTS."""

    def __init__(
        self, path: str | Path, class_names: Sequence[str] | None = None, category_ids: Sequence[int] | None = None
    ) -> None:
        super().__init__(path, class_names, category_ids)
        self._output = ExitStack()

    @abstractmethod
    def _file(self, video: Video) -> Path:
        """Where the lines of a video go."""

    def _begin(self, video: Video) -> None:
        if Path(video.name).name != video.name:
            raise ValueError(f"Expected a name that can be a file's, got video '{video.name}': rename it")
        path = self._file(video)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._output = ExitStack()
        temporary = self._output.enter_context(write_atomically(path))
        self._text = self._output.enter_context(temporary.open("w", encoding="utf-8"))

    def _end(self) -> None:
        self._output.close()

    def _close(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)  # no videos is a folder without files

    def _discard(self) -> None:
        discard(self._output)


def discard(output: ExitStack) -> None:
    """Leaves the open contexts as if their block had failed; nothing happens where they were left already."""
    error = GeneratorExit()
    output.__exit__(GeneratorExit, error, None)
