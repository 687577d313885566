from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from tltm_graph.formats.video import Video
from tltm_graph.formats.writer import TracksWriter
from tltm_graph.io import JsonListWriter, Spool
from tltm_graph.structures import Observation, Track


class TrackEntriesWriter(TracksWriter):
    """The base of writers of one JSON file with an entry for each track, which are added when a video ends."""

    _head: ClassVar[str] = "["
    _spool: Spool | None = None
    _list: JsonListWriter | None = None

    @abstractmethod
    def _entry(self, track_id: int, track: Track) -> dict[str, Any]: ...

    @property
    def _list_path(self) -> Path:
        return self.path

    def _opened(self) -> JsonListWriter:
        if self._list is None:
            self._list = JsonListWriter(self._list_path, self._head)
        return self._list

    def _begin(self, video: Video) -> None:
        self._opened()
        self._spool = Spool(self.path)

    def _write(self, frame: int, observations: list[Observation]) -> None:
        assert self._spool is not None
        self._spool.add(frame, observations)

    def _end(self) -> None:
        assert self.video is not None
        assert self._spool is not None
        for track_id in self._spool.track_ids():
            where = f"track {track_id} of video '{self.video.name}'"
            self._opened().add(self._entry(track_id, self._spool.track(track_id)), where)
        self._spool.close()
        self._spool = None

    def _discard(self) -> None:
        if self._list is not None:
            self._list.discard()
            self._list = None
        if self._spool is not None:
            self._spool.close()
            self._spool = None
