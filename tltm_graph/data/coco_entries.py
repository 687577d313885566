"""What the writers of COCO's files have in common."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tltm_graph.data.video import Video
from tltm_graph.data.writer import TracksWriter
from tltm_graph.io import JsonListWriter
from tltm_graph.structures import Sighting


class CocoEntriesWriter(TracksWriter):
    """A writer of one file whose entries do not wait for the end of the video."""

    _head = "["

    def __init__(
        self, path: str | Path, class_names: Sequence[str] | None = None, category_ids: Sequence[int] | None = None
    ) -> None:
        super().__init__(path, class_names, category_ids)
        self._entries: JsonListWriter | None = None

    def _opened(self) -> JsonListWriter:
        if self._entries is None:
            self._entries = JsonListWriter(self.path, self._head)
        return self._entries

    def _begin(self, video: Video) -> None:
        self._opened()

    def _write(self, frame: int, sightings: list[Sighting]) -> None:
        assert self.video is not None
        for row in sightings:
            where = f"object {row.id} in frame {frame} of video '{self.video.name}'"
            self._opened().add(self._entry(frame, row, where), where)

    def _end(self) -> None:
        pass

    def _close(self) -> None:
        self._opened().end(self._tail())
        self._opened().publish()

    def _discard(self) -> None:
        if self._entries is not None:
            self._entries.discard()
            self._entries = None

    @abstractmethod
    def _entry(self, frame: int, row: Sighting, where: str) -> dict[str, Any]: ...

    @abstractmethod
    def _tail(self) -> str: ...


def check_still(video: Video) -> None:
    if video.num_frames != 1:
        raise ValueError(f"Expected still images (videos of one frame), got {video.num_frames} in '{video.name}'")
