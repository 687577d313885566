import gzip
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

from tltm_graph.io.output import roll_back, write_atomically
from tltm_graph.io.text import check_json_text, read_text, shown

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()  # not an attribute: it cannot be pickled


class JsonListReader:
    """Reader of a JSON object with a long list, which never holds all elements of the list in memory.

    Each element is parsed once, to validate it and find its end, and then discarded. The reader keeps the text, the
    position of each element, and the value of one key, by which elements are looked up. So a file of a hundred
    thousand masks opens in the time of parsing it, with little more memory than its text.

    Args:
        path: Path of the file; decompressed if it ends in ``.gz``.
        member: Name of the long list.
        key: Key by which elements are looked up; its values are integers or strings.
        what: Expected content of the file, for error messages.

    Attributes:
        content: All other members of the object.
        found: True if the object has the list.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is no JSON object, is truncated, has a member twice, or an element has no integer or
            string under the key.
    """

    def __init__(self, path: str | Path, member: str, key: str, what: str) -> None:
        self.path = Path(path)
        self.member = member
        self.content: dict[str, Any] = {}
        self.found = False
        self._text = read_text(path, what)
        check_json_text(self._text, path)
        self._positions: dict[Any, list[tuple[int, int]]] = {}  # value of the key -> (number, position) of elements
        self._key = key
        try:
            self._scan()
        except json.JSONDecodeError as error:
            raise ValueError(f"Expected {what} in '{path}', got a damaged or cut-off JSON file: {error}") from error

    def __len__(self) -> int:
        return sum(map(len, self._positions.values()))

    def keys(self) -> list[Any]:
        """Values of the key, in the order of the file."""
        return list(self._positions)

    def elements(self, value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        """Parse the elements whose key has this value; yields each with its number in the list."""
        for number, position in self._positions.get(value, ()):
            yield number, self._decode(position)[0]

    def _scan(self) -> None:
        position = self._expect("{", 0)
        while self._at(position) != "}":
            if self._at(position) != '"':
                raise json.JSONDecodeError("Expecting a name in double quotes", self._text, position)
            name, position = self._decode(position)
            if name in self.content or (name == self.member and self.found):
                raise json.JSONDecodeError(f"{shown(name)} is there twice", self._text, position)
            position = self._expect(":", position)
            if name == self.member and self._at(position) == "[":
                self.found = True
                position = self._scan_list(self._expect("[", position))
            else:
                self.content[name], position = self._decode(position)
            position = self._next(position, "}")
        if self._skip(position + 1) != len(self._text):
            raise json.JSONDecodeError("Extra data", self._text, position + 1)

    def _scan_list(self, position: int) -> int:
        number = 0
        while self._at(position) != "]":
            begin = position
            element, position = self._decode(position)
            value = element.get(self._key) if isinstance(element, dict) else None
            if not isinstance(value, int | str) or isinstance(value, bool):
                raise ValueError(
                    f"Expected '{self._key}' in every element of '{self.member}' in '{self.path}', got "
                    f"{shown(element)} as element {number}"
                )
            self._positions.setdefault(value, []).append((number, begin))
            number += 1
            position = self._next(position, "]")
        return position + 1

    def _next(self, position: int, end: str) -> int:
        """Skip the comma after an element; returns the position of the next element or of the end."""
        position = self._skip(position)
        if self._at(position) == end:
            return position
        position = self._expect(",", position)
        if self._at(position) == end:
            raise json.JSONDecodeError("Expecting another element", self._text, position)
        return position

    def _decode(self, position: int) -> tuple[Any, int]:
        try:
            return _DECODER.raw_decode(self._text, position)
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError, StopIteration) as error:  # ValueError: a number with thousands of digits
            raise json.JSONDecodeError(str(error) or "Expecting value", self._text, position) from error

    def _expect(self, character: str, position: int) -> int:
        position = self._skip(position)
        if self._at(position) != character:
            raise json.JSONDecodeError(f"Expecting '{character}'", self._text, position)
        return self._skip(position + 1)

    def _at(self, position: int) -> str:
        return self._text[position : position + 1]

    def _skip(self, position: int) -> int:
        match = _SPACE.match(self._text, position)
        assert match is not None  # the pattern also matches the empty string
        return match.end()


class JsonListWriter:
    """Writer of a JSON file with a long list, entry by entry, under the name ``temporary`` until :meth:`publish`.

    Args:
        path: Path of the file; compressed if it ends in ``.gz``.
        head: Text before the first entry, including the opening bracket.
    """

    def __init__(self, path: Path, head: str = "[") -> None:
        self._output = ExitStack()
        self.temporary = self._output.enter_context(write_atomically(path))
        opening = gzip.open if path.suffix == ".gz" else open
        self._file: IO[str] = opening(self.temporary, "wt", encoding="utf-8")
        self._file.write(head)
        self._separator = "\n"

    def add(self, entry: dict[str, Any], where: str) -> None:
        """Write the next entry.

        Args:
            entry: Entry of the list.
            where: Origin of the entry, for the error message.

        Raises:
            ValueError: If a number in the entry is not finite.
        """
        try:
            text = json.dumps(entry, separators=(",", ":"), allow_nan=False)
        except ValueError as error:
            raise ValueError(f"Expected finite numbers in {where}, got one that is not") from error
        self._file.write(self._separator + text)
        self._separator = ",\n"

    def end(self, tail: str = "]\n") -> None:
        """Write the text after the last entry and close the file. It keeps its temporary name."""
        self._file.write("\n" + tail)
        self._file.close()

    def publish(self) -> None:
        """Give the file its final name."""
        self._output.close()

    def discard(self) -> None:
        """Remove the temporary file; a published file stays."""
        with suppress(OSError):  # the disk is full
            self._file.close()
        roll_back(self._output)
