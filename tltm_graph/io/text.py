import gzip
import json
import os
import re
import reprlib
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import yaml

from tltm_graph.io.output import mark_input
from tltm_graph.limits import check_size, current_limits
from tltm_graph.printable import one_line

_CHUNK = 1 << 20  # bytes
_DAMAGED = (OSError, EOFError, UnicodeDecodeError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""Errors of damaged, encrypted or unreadable files."""

_MAX_ALIASES = 10  # each line of a YAML file may repeat the line before many times
_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_SHOWN = reprlib.Repr()
_SHOWN.maxlevel, _SHOWN.maxdict, _SHOWN.maxlist, _SHOWN.maxstring, _SHOWN.maxother, _SHOWN.maxlong = 3, 6, 6, 60, 60, 40


class _Bytes(Protocol):
    def read(self, size: int, /) -> bytes: ...


def shown(value: Any) -> str:
    """Describe a value of a file in one short line, for error messages. The work does not grow with the value."""
    return _SHOWN.repr(value)[:80]


@contextmanager
def one_line_errors(path: str | Path = "") -> Iterator[None]:
    """Context in which the message of a ValueError is one line of at most 1000 characters, and names the file.

    Args:
        path: File that is read, or folder of such files.
    """
    try:
        yield
    except ValueError as error:
        message = str(error)
        if str(path) not in message:
            message = f"{message}, in '{path}'"
        if len(message) > 1000:  # a name in the file can have any length
            message = f"{message[:700]} … {message[-250:]}"
        if _CONTROL.search(message) is None and message == str(error):
            raise
        raise ValueError(one_line(message)) from error


def check_file(path: str | Path, what: str) -> None:
    """Check that an input is a regular file: opening a pipe or a device can block.

    Args:
        path: Path of the file.
        what: Expected content, for error messages.

    Raises:
        FileNotFoundError: If nothing is there.
        ValueError: If it is a folder, a pipe or a device, or cannot be reached.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(f"Expected a file with {what}, found none at '{path}'") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"Expected a file with {what} at '{one_line(str(path))}', got: {reason}") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise ValueError(f"Expected a file with {what}, got {kind} at '{path}': name a file")
    mark_input(path)


def read_text(path: str | Path, what: str) -> str:
    """Read a UTF-8 text file of bounded size, with line breaks as ``\\n`` and without a byte order mark.

    A name in ``.gz`` is decompressed. A name in ``.zip`` is an archive of one JSON file, which is read.

    Args:
        path: Path of the file.
        what: Expected content, for error messages.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is damaged, not text, or larger than :attr:`tltm_graph.limits.Limits.max_size`.
    """
    text = read_exact_text(path, what)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def read_exact_text(path: str | Path, what: str) -> str:
    """Read a text file like :func:`read_text`, with its own line breaks."""
    path = Path(path)
    check_file(path, what)
    try:
        with _open_packed(path) as file:
            return str(_read_bounded(file, path), "utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(f"Expected {what} in '{path}', got a damaged file: {error}: save it as UTF-8") from error
    except MemoryError as error:
        raise ValueError(f"Expected {what} in '{path}', got more than the memory holds: split the file") from error
    except _DAMAGED as error:
        raise ValueError(f"Expected {what} in '{path}', got a damaged file: {error}") from error


def read_start(path: str | Path, what: str) -> str:
    """Read the first 65,536 bytes of a text file like :func:`read_text`; nothing if the file is damaged."""
    check_file(path, what)
    try:
        with _open_packed(Path(path)) as file:
            return str(file.read(1 << 16), "utf-8", "ignore").removeprefix("\ufeff")
    except _DAMAGED:
        return ""


@contextmanager
def _open_packed(path: Path) -> Iterator[_Bytes]:
    """Open a file, or what is packed in it."""
    with open(path, "rb") as file:
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked
        elif path.suffix == ".zip":
            with _open_member(file, path) as member:
                yield member
        else:
            yield file


def _read_bounded(file: _Bytes, path: Path) -> bytes:
    packed = path.suffix in (".gz", ".zip")
    step = _CHUNK if packed else min(path.stat().st_size, current_limits().max_bytes) + 1
    chunks, size = [], 0
    while chunk := file.read(step):
        size += len(chunk)
        check_size(size, f"'{path}'")
        chunks.append(chunk)
    return b"".join(chunks)


@contextmanager
def _open_member(file: BinaryIO, path: Path) -> Iterator[_Bytes]:
    """Open the only JSON file of an archive."""
    with zipfile.ZipFile(file) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".json")]
        if len(members) != 1:
            raise ValueError(f"Expected one JSON file in '{path}', got {shown([m.filename for m in members])}")
        check_size(members[0].file_size, f"'{path}'")
        if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"Expected a file packed with 'deflate' in '{path}', got another method: pack it again")
        with archive.open(members[0]) as unpacked:
            yield unpacked


def read_json(path: str | Path, what: str) -> Any:
    """Read a JSON file, decompressed as by :func:`read_text`.

    Args:
        path: Path of the file.
        what: Expected content, for error messages.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is damaged, empty, too large or not JSON.
    """
    return parse_json(read_text(path, what), path, what)


def parse_json(text: str, path: str | Path, what: str) -> Any:
    """Parse the text of a JSON file; see :func:`read_json`."""
    if not text.strip():
        raise ValueError(f"Expected {what} in '{path}', got an empty file")
    check_json_text(text, path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError, MemoryError) as error:  # ValueError: a number with thousands of digits
        raise ValueError(f"Expected {what} in '{path}', got a damaged or cut-off JSON file: {error}") from error


def check_json_text(text: str, path: str | Path) -> None:
    """Raise a ValueError if JSON text has so many lists and objects that they take many times its size."""
    most = current_limits().max_bytes // 32  # an object takes 64 bytes and more, and two characters of text
    if len(text) > most and text.count("[") + text.count("{") > most:
        raise ValueError(
            f"Expected at most {most} lists and objects in '{path}', got more: allow more with max_size (--max-size) "
            "if you trust the file"
        )


def read_yaml(path: str | Path, what: str) -> Any:
    """Read a YAML file, decompressed as by :func:`read_text`.

    Args:
        path: Path of the file.
        what: Expected content, for error messages.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is damaged, not YAML, nested too deeply, or repeats its content (aliases) too often.
    """
    text = read_text(path, what)
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is twenty times as fast
    try:
        aliases = depth = 0
        for event in yaml.parse(text, Loader=loader):
            aliases += isinstance(event, yaml.AliasEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if aliases > _MAX_ALIASES or depth > 100:
                raise ValueError(f"more than {_MAX_ALIASES} aliases or 100 levels: write the content out")
        return yaml.load(text, Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"Expected {what} in '{path}', got damaged YAML: {one_line(str(error))}") from error
