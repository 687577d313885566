import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from tltm_graph.structures import Observation, Track, Tracks


class Spool:
    """The observations of one video on disk, written frame by frame and read track by track or frame by frame.

    For formats that need a whole track, or the whole video, before the first byte: memory does not grow with the video.

    Args:
        path: The file that will be written; the spool lies beside it, hidden, until it is closed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(f".{path.name}.{os.getpid()}.spool")
        self.path.unlink(missing_ok=True)
        self._database = sqlite3.connect(self.path)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE seen (track INT, frame INT, row TEXT)")
        self._indexed = False

    def add(self, frame: int, observations: Iterable[Observation]) -> None:
        """Keeps the observations of one frame."""
        self._database.executemany(
            "INSERT INTO seen VALUES (?, ?, ?)", ((row.id, frame, json.dumps(row[1:])) for row in observations)
        )

    def track_ids(self) -> list[int]:
        """Ids of all tracks so far, in order."""
        self._index()
        return [row[0] for row in self._database.execute("SELECT DISTINCT track FROM seen ORDER BY track")]

    def track(self, track_id: int) -> Track:
        """The whole of one track."""
        self._index()
        query = "SELECT frame, row FROM seen WHERE track = ? ORDER BY frame"
        rows = ((frame, _observation(track_id, row)) for frame, row in self._database.execute(query, (track_id,)))
        return Tracks.from_observations(rows, None)[track_id]

    def frames(self) -> Iterator[tuple[int, list[Observation]]]:
        """Each frame in which something was seen, in order, with its observations in the order they came."""
        rows = self._database.execute("SELECT frame, track, row FROM seen ORDER BY frame, rowid")
        for frame, group in groupby(rows, key=lambda row: row[0]):
            yield frame, [_observation(track_id, row) for _, track_id, row in group]

    def close(self) -> None:
        """Removes the spool."""
        self._database.close()
        self.path.unlink(missing_ok=True)

    def _index(self) -> None:
        if not self._indexed:
            self._database.execute("CREATE INDEX by_track ON seen (track, frame)")
            self._indexed = True


def _observation(track_id: int, text: str) -> Observation:
    box, score, label, mask, crowd, area = json.loads(text)
    return Observation(track_id, tuple(box), score, label, mask, crowd, area)
