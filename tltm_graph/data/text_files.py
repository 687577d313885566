from abc import abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tltm_graph.data.video import Video
from tltm_graph.data.writer import TracksWriter
from tltm_graph.io import write_atomically


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
