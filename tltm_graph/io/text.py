import gzip
import json
import zlib
from pathlib import Path
from typing import Any


def read_text(path: str | Path, what: str) -> str:
    """The text of a file, unpacked if its name ends in ``.gz``.

    Args:
        path: The file.
        what: Is expected in it, for error messages.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or not text.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a file with {what}, found none at '{path}'")
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"Expected {what} in '{path}', got a damaged file: {error}") from error
    return text


def read_json(path: str | Path, what: str) -> Any:
    """The content of a JSON file, unpacked if its name ends in ``.gz``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, not JSON, or empty.
    """
    text = read_text(path, what)
    if not text.strip():
        raise ValueError(f"Expected {what} in '{path}', got an empty file")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a plain ValueError
        raise ValueError(f"Expected {what} in '{path}', got a damaged or cut-off JSON file: {error}") from error
