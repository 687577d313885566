import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tltm_graph.io.text import read_text

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()  # not in the object, which then could not be pickled


class JsonParts:
    """A JSON object one of whose members is a long list, opened without building that list.

    Every element is parsed once, to find where it ends and whether it is sound, and forgotten; what stays is the text,
    where each element stands in it, and one key of it to group them by. A file of a hundred thousand masks opens in the
    time it takes to parse it, in little more memory than its text.

    Args:
        path: The file; unpacked if its name ends in ``.gz``.
        member: Name of the long list.
        key: Of the elements, to find those with a value again.
        what: Is expected in the file, for error messages.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON object, cut off, has a member twice, or an element has no whole number or text
            under the key.
    """

    def __init__(self, path: str | Path, member: str, key: str, what: str) -> None:
        self.path = Path(path)
        self.member = member
        self.content: dict[str, Any] = {}  # all other members
        self.found = False  # whether the file has the list at all
        self._text = read_text(path, what)
        self._places: dict[Any, list[tuple[int, int]]] = {}  # value of the key: number and position of each element
        self._key = key
        try:
            self._scan()
        except (json.JSONDecodeError, RecursionError, StopIteration) as error:
            raise ValueError(f"Expected {what} in '{path}', got a damaged or cut-off JSON file: {error}") from error

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    def keys(self) -> list[Any]:
        """The values of the key that occur, in the order of the file."""
        return list(self._places)

    def elements(self, value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        """The elements whose key has that value, parsed anew, each with its number in the list."""
        for number, position in self._places.get(value, ()):
            yield number, _DECODER.raw_decode(self._text, position)[0]

    def _scan(self) -> None:
        position = self._expect("{", 0)
        while self._at(position) != "}":
            if self._at(position) != '"':
                raise json.JSONDecodeError("Expecting a name in double quotes", self._text, position)
            name, position = _DECODER.raw_decode(self._text, position)
            if name in self.content or (name == self.member and self.found):
                raise json.JSONDecodeError(f"'{name}' is there twice", self._text, position)
            position = self._expect(":", position)
            if name == self.member and self._at(position) == "[":
                self.found = True
                position = self._scan_list(self._expect("[", position))
            else:
                self.content[name], position = _DECODER.raw_decode(self._text, position)
            position = self._next(position, "}")
        if self._skip(position + 1) != len(self._text):
            raise json.JSONDecodeError("Extra data", self._text, position + 1)

    def _scan_list(self, position: int) -> int:
        number = 0
        while self._at(position) != "]":
            begin = position
            element, position = _DECODER.raw_decode(self._text, position)
            value = element.get(self._key) if isinstance(element, dict) else None
            if not isinstance(value, int | str) or isinstance(value, bool):
                raise ValueError(
                    f"Expected '{self._key}' in every element of '{self.member}' in '{self.path}', got "
                    f"{str(element)[:60]} as element {number}"
                )
            self._places.setdefault(value, []).append((number, begin))
            number += 1
            position = self._next(position, "]")
        return position + 1

    def _next(self, position: int, end: str) -> int:
        """After an element: past the comma to the next one, or at the end."""
        position = self._skip(position)
        if self._at(position) == end:
            return position
        position = self._expect(",", position)
        if self._at(position) == end:
            raise json.JSONDecodeError("Expecting another element", self._text, position)
        return position

    def _expect(self, character: str, position: int) -> int:
        position = self._skip(position)
        if self._at(position) != character:
            raise json.JSONDecodeError(f"Expecting '{character}'", self._text, position)
        return self._skip(position + 1)

    def _at(self, position: int) -> str:
        return self._text[position : position + 1]

    def _skip(self, position: int) -> int:
        match = _SPACE.match(self._text, position)
        assert match is not None  # it matches nothing, too
        return match.end()
