import gzip
import json
import zlib
from pathlib import Path
from typing import Any


def read_text(path: str | Path, what: str) -> str:
    """Read a UTF-8 text file, decompressed if its name ends in ``.gz``.

    Args:
        path: Path of the file.
        what: Expected content, for error messages.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is damaged or not text.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a file with {what}, found none at '{path}'")
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"Expected {what} in '{path}', got a damaged file: {error}") from error


def read_json(path: str | Path, what: str) -> Any:
    """Read a JSON file, decompressed if its name ends in ``.gz``.

    Args:
        path: Path of the file.
        what: Expected content, for error messages.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is damaged, empty or not JSON.
    """
    text = read_text(path, what)
    if not text.strip():
        raise ValueError(f"Expected {what} in '{path}', got an empty file")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: a number with thousands of digits
        raise ValueError(f"Expected {what} in '{path}', got a damaged or cut-off JSON file: {error}") from error
