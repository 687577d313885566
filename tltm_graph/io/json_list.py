import gzip
import json
import os
from pathlib import Path
from typing import IO, Any


class JsonListWriter:
    """A JSON file with one long list, written entry by entry; it appears under its name when it is finished.

    Args:
        path: Where to; packed if the name ends in ``.gz``.
        head: What comes before the first entry, up to the bracket.
    """

    def __init__(self, path: Path, head: str = "[") -> None:
        self.path = path
        self.temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        opening = gzip.open if path.suffix == ".gz" else open
        self._file: IO[str] = opening(self.temporary, "wt", encoding="utf-8")
        self._file.write(head)
        self._separator = "\n"

    def add(self, entry: dict[str, Any], where: str) -> None:
        """Writes the next entry.

        Raises:
            ValueError: If a number in it is not finite; ``where`` says where it comes from.
        """
        try:
            text = json.dumps(entry, separators=(",", ":"), allow_nan=False)
        except ValueError as error:
            raise ValueError(f"Expected finite numbers in {where}, got one that is not") from error
        self._file.write(self._separator + text)
        self._separator = ",\n"

    def end(self, tail: str = "]\n") -> None:
        """Writes what comes after the last entry; the file is whole, and still under its temporary name."""
        self._file.write("\n" + tail)
        self._file.close()

    def publish(self) -> None:
        """Gives the file its name."""
        os.replace(self.temporary, self.path)

    def discard(self) -> None:
        """Removes what is temporary; nothing happens to a file that has its name."""
        self._file.close()
        self.temporary.unlink(missing_ok=True)
