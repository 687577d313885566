import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from tltm_graph.io.output import temporary_path
from tltm_graph.structures import Observation, Track, Tracks


class Spool:
    """The observations of one video on disk, written frame by frame and read track by track or frame by frame.

    File formats that start with a whole track or video need all observations before the first byte. The spool keeps
    them, so memory does not grow with the video.

    Args:
        path: Path of the file to be written. The spool is a hidden file next to it until it is closed.
    """

    def __init__(self, path: Path) -> None:
        self.path = temporary_path(path.with_name(f"{path.name}.spool"))
        self.path.unlink(missing_ok=True)
        with self._writing():
            self._database = sqlite3.connect(self.path)
        try:
            with self._writing():
                self._database.execute("PRAGMA journal_mode = OFF")
                self._database.execute("PRAGMA synchronous = OFF")
                self._database.execute("CREATE TABLE observations (track INT, frame INT, row TEXT)")
        except BaseException:
            self.close()
            raise
        self._indexed = False

    def add(self, frame: int, observations: Iterable[Observation]) -> None:
        """Store the observations of one frame.

        Raises:
            ValueError: If an id needs more than 63 bits.
            OSError: If the disk is full.
        """
        rows = ((row.id, frame, json.dumps(row[1:])) for row in observations)
        try:
            with self._writing():
                self._database.executemany("INSERT INTO observations VALUES (?, ?, ?)", rows)
        except OverflowError as error:
            raise ValueError(
                f"Expected track ids below 2⁶³, got a larger one in frame {frame}: renumber them"
            ) from error

    def track_ids(self) -> list[int]:
        """Ids of all tracks so far, in ascending order."""
        self._index()
        return [row[0] for row in self._database.execute("SELECT DISTINCT track FROM observations ORDER BY track")]

    def track(self, track_id: int) -> Track:
        """Read one track."""
        self._index()
        query = "SELECT frame, row FROM observations WHERE track = ? ORDER BY frame"
        rows = ((frame, _observation(track_id, row)) for frame, row in self._database.execute(query, (track_id,)))
        return Tracks.from_observations(rows, None)[track_id]

    def frames(self) -> Iterator[tuple[int, list[Observation]]]:
        """Iterate over the frames with observations, in order; observations keep the order in which they were added."""
        rows = self._database.execute("SELECT frame, track, row FROM observations ORDER BY frame, rowid")
        for frame, group in groupby(rows, key=lambda row: row[0]):
            yield frame, [_observation(track_id, row) for _, track_id, row in group]

    def close(self) -> None:
        """Remove the spool."""
        self._database.close()
        self.path.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OSError(f"Expected room for tracks in '{self.path}', got: {error}") from error

    def _index(self) -> None:
        if not self._indexed:
            with self._writing():
                self._database.execute("CREATE INDEX by_track ON observations (track, frame)")
            self._indexed = True


def _observation(track_id: int, text: str) -> Observation:
    box, score, label, mask, crowd, area = json.loads(text)
    return Observation(track_id, tuple(box), score, label, mask, crowd, area)
