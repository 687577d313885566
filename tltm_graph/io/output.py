"""Safe writing of files and folders.

An output appears when it is complete. It replaces only what this package wrote and nobody changed since, or, with
:func:`output_rules`, other files too; it never replaces a file that is read. What was written is listed in the hidden
file ``.tltm_graph_files`` of its folder; files of a folder that was written as a whole, in that of the folder above.
"""

import errno
import json
import os
import re
import shutil
import signal
import socket
import stat
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

LEDGER = ".tltm_graph_files"
"""Name of the list of the files that this package wrote to a folder, one JSON object in each line."""

_MAX_NAME = 200  # bytes; file systems allow 255, and temporary names are longer
_DEPTH = 4  # folders above a file in which it may be listed: a data set has <output>/JPEGImages/<video>/<frame>
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name))


class _Inputs:
    """Files and folders that are read, by all that may give them away."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._identities: dict[tuple[int, int], str] = {}
        self._folders: dict[str, str] = {}  # folders around inputs

    def add(self, path: str | Path) -> None:
        name = os.path.realpath(path)
        if name in self._names:
            return
        self._names[name] = name
        identity = _identity(path)
        if identity is not None:
            self._identities[identity] = name
        for parent in Path(name).parents:
            if str(parent) in self._folders:
                break
            self._folders[str(parent)] = name

    def replaced_by(self, target: Path) -> str | None:
        """The input that is lost if ``target`` is replaced: it, one in it, or the same file of another name."""
        identity = _identity(target)
        same = None if identity is None else self._identities.get(identity)
        return same or self._names.get(str(target)) or self._folders.get(str(target))

    def around(self, target: Path) -> str | None:
        """The input folder that ``target`` lies in."""
        return next((self._names[str(p)] for p in target.parents if str(p) in self._names), None)


@dataclass
class _Rules:
    overwrite: bool = False
    inputs: _Inputs | None = None
    cleaned: set[str] = field(default_factory=set)
    temporary: set[Path] | None = None  # None outside of output_rules, which removes them


_RULES: ContextVar[_Rules] = ContextVar("output_rules")


def _rules() -> _Rules:
    rules = _RULES.get(None)
    if rules is None:
        rules = _Rules()
        _RULES.set(rules)
    return rules


@contextmanager
def output_rules(overwrite: bool = False, protect_inputs: bool = True) -> Iterator[None]:
    """Context in which inputs are protected, and outputs may replace any other file on request.

    At its end no temporary file is left, even if a signal came between the creation of one and its registration.

    Args:
        overwrite: True to replace files that this package did not write.
        protect_inputs: False for work that updates files of its own: it may replace what it reads.
    """
    rules = _Rules(overwrite, _Inputs() if protect_inputs else None, temporary=set())
    token = _RULES.set(rules)
    try:
        yield
    finally:
        _RULES.reset(token)
        for path in rules.temporary or ():
            _remove(path)


def mark_input(path: str | Path) -> None:
    """Note that a file or folder is read, so that no output of the same :func:`output_rules` replaces it."""
    inputs = _rules().inputs
    if inputs is not None:
        inputs.add(path)


def child(folder: Path, name: str) -> Path:
    """Return the path of a file or folder in ``folder`` whose name comes from data.

    Raises:
        ValueError: If the name is not a plain, visible file name.
    """
    plain = name.isprintable() and not re.search(r"[/\\]|^\.|^[A-Za-z]:|^$|[ .]$", name)
    try:
        plain = plain and len(name.encode()) <= _MAX_NAME
    except UnicodeEncodeError:  # half of a surrogate pair
        plain = False
    if not plain:
        raise ValueError(
            f"Expected a name that can be that of a file in '{folder}', got {name[:80]!a}: rename the video or frame"
        )
    return folder / name


def check_target(path: str | Path) -> None:
    """Check that a file may be written at ``path``. Call it before long work.

    Raises:
        OSError: If there is a folder, a block device or a socket, or a file that this package did not write.
        ValueError: If the file is read by the same command.
    """
    target = Path(os.path.realpath(path))
    _refuse_inputs(path, target)
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise OSError(f"Expected a folder to write to for '{path}', got: {error.strerror}: name another") from error
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"Expected to write the file '{path}', got a folder of that name: name another file")
    if _is_stream(mode):
        return
    if not stat.S_ISREG(mode):
        raise OSError(f"Expected a file to write at '{path}', got a device or socket: name another file")
    if not (_rules().overwrite or target.stat().st_size == 0 or _is_ours(target)):
        raise _foreign(path)


def check_folder_target(path: str | Path) -> None:
    """Check that a folder may be written at ``path``. Call it before long work.

    Raises:
        OSError: If there is a file, or a folder with files that this package did not write.
        ValueError: If something in the folder is read by the same command.
    """
    target = Path(os.path.realpath(path))
    _refuse_inputs(path, target)
    if not os.path.lexists(target):
        return
    inputs = _rules().inputs
    around = None if inputs is None else inputs.around(target)
    if around is not None:
        raise _is_input(path, around)
    if not target.is_dir():
        raise FileExistsError(f"Expected a folder to write at '{path}', got a file: remove it, or name another folder")
    if _rules().overwrite:
        return
    for folder, names, files in os.walk(target):
        links = [name for name in names if os.path.islink(os.path.join(folder, name))]
        for name in (*files, *links):
            if name != LEDGER and not _is_ours(Path(folder, name)):
                raise _foreign(Path(folder, name))


def _foreign(path: str | Path) -> FileExistsError:
    return FileExistsError(
        f"Expected to write a new file, or to replace one that tltm-graph wrote, got '{path}' of another origin: name "
        "another output, or allow it to be replaced (--overwrite; in Python, tltm_graph.io.output.output_rules)"
    )


def _refuse_inputs(path: str | Path, target: Path) -> None:
    inputs = _rules().inputs
    name = None if inputs is None else inputs.replaced_by(target)
    if name is not None:
        raise _is_input(path, name)


def _is_input(path: str | Path, name: str) -> ValueError:
    return ValueError(
        f"Expected an output that is not an input, got '{path}', which would replace '{name}', which is read: name "
        "another output"
    )


def _identity(path: str | Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _is_stream(mode: int) -> bool:
    """A pipe or a device such as /dev/null: written to, never replaced."""
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


@cache
def _host() -> str:
    return re.sub(r"\W", "_", socket.gethostname())[:32]


def temporary_path(path: Path, suffix: str | None = None) -> Path:
    """Hidden path next to ``path``, of this process, with the suffix of ``path`` or another one."""
    suffix = path.suffix if suffix is None else suffix
    temporary = path.with_name(f".{path.stem}.{_host()}-{os.getpid()}.partial{suffix}")
    rules = _rules()
    if rules.temporary is not None:
        rules.temporary.add(temporary)
    return temporary


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def remove_dead_partials(folder: Path) -> None:
    """Remove what processes of this machine that have died left in a folder; once for each folder."""
    cleaned = _rules().cleaned
    if str(folder) in cleaned or not folder.is_dir():
        return
    cleaned.add(str(folder))
    pattern = re.compile(rf"\..*\.{re.escape(_host())}-(\d+)\.(partial|old)(\..*)?")
    with os.scandir(folder) as entries:
        left = [(entry.name, int(found[1])) for entry in entries if (found := pattern.fullmatch(entry.name))]
    for name, process in left:
        if process != os.getpid() and not _is_alive(process):
            if name.endswith(".old") and not os.path.lexists(folder / _original(name)):
                os.replace(folder / name, folder / _original(name))  # killed between the two renames
            else:
                _remove(folder / name)


def _original(name: str) -> str:
    return name[1:].rpartition(f".{_host()}-")[0]


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


class _Ledger:
    """List of the files in a folder, and in its folders, that this package wrote, with their sizes and times."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LEDGER
        self._files: dict[str, list[Any]] = {}
        self._position = 0
        self._num_lines = 0

    def has(self, file: Path) -> bool:
        """True if this package wrote the file, and it has not changed since."""
        known = self._files.get(str(file.relative_to(self.path.parent)))
        return known is not None and known[:2] == _signature(file)

    def names(self, group: str) -> list[str]:
        """Unchanged files of a group."""
        folder = self.path.parent
        return [name for name, known in self._files.items() if known[2:] == [group] and self.has(folder / name)]

    def add(self, files: Iterable[Path], group: str = "") -> None:
        """Note files that were just written."""
        self.update()
        folder = self.path.parent
        entries = {str(file.relative_to(folder)): [*_signature(file), group] for file in files}
        if self._num_lines > 1000 + 2 * len(self._files):
            entries, mode = self._files | entries, "w"
        else:
            mode = "a"
        lines = [json.dumps({name: entry}) + "\n" for name, entry in entries.items()]
        with self.path.open(mode, encoding="utf-8", errors="surrogateescape") as file:
            file.write("".join(lines))
        self.update()

    def update(self) -> None:
        """Read the lines that are new."""
        try:
            size = self.path.stat().st_size if not self.path.is_symlink() else 0
        except OSError:
            size = 0
        if size < self._position:
            self._files, self._position, self._num_lines = {}, 0, 0
        if size == self._position:
            return
        with self.path.open("rb") as file:
            file.seek(self._position)
            lines = file.read(size - self._position).splitlines()
        self._position = size
        for line in lines:
            with suppress(ValueError, RecursionError, AttributeError):
                self._files |= {name: entry for name, entry in json.loads(line).items() if isinstance(entry, list)}
        self._num_lines += len(lines)


_LEDGERS: dict[str, _Ledger] = {}


def _ledger(folder: Path) -> _Ledger:
    ledger = _LEDGERS.setdefault(str(folder), _Ledger(folder))
    ledger.update()
    return ledger


def _is_ours(file: Path) -> bool:
    return any(_ledger(folder).has(file) for folder in tuple(file.parents)[:_DEPTH])


def _signature(file: Path) -> list[int]:
    status = file.lstat()
    return [status.st_size, status.st_mtime_ns] if stat.S_ISREG(status.st_mode) else [-1, -1]


_STAGING: ContextVar[tuple[Path, ...]] = ContextVar("staging", default=())


@contextmanager
def _staging(folder: Path) -> Iterator[None]:
    """Context in which files of a temporary folder are not listed: they are when they get their names."""
    token = _STAGING.set((*_STAGING.get(), folder))
    try:
        yield
    finally:
        _STAGING.reset(token)


def _record(files: list[Path], folder: Path, group: str = "") -> None:
    if not any(staging == folder or staging in folder.parents for staging in _STAGING.get()):
        with suppress(OSError):  # a full disk, or a read-only list: the next run asks for --overwrite
            _ledger(folder).add(files, group)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Context of a few quick steps that belong together: signals wait for its end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    handlers = {number: signal.signal(number, lambda n, _: received.append(n)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for number in received:
            signal.raise_signal(number)


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path``, which replaces it at the end of the block.

    So readers see either the old file or the complete new one. If the block raises, the temporary file is removed and
    the old one stays. Missing folders are created. A symbolic link stays, and its target is written. A pipe or device
    is written to.

    Raises:
        OSError: If there is a folder, or a file that this package did not write (see :func:`check_target`).
        ValueError: If the file is read by the same command.
    """
    check_target(path)
    target = Path(os.path.realpath(path))
    if target.exists() and _is_stream(target.stat().st_mode):
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder) / Path(path).name
            yield temporary
            with temporary.open("rb") as written, target.open("wb") as stream:
                shutil.copyfileobj(written, stream)
        return
    with output_folder(target.parent):
        remove_dead_partials(target.parent)
        temporary = temporary_path(target)
        try:
            yield temporary
            _set_default_mode(temporary)
            with uninterrupted():
                check_target(path)  # another program may have written meanwhile
                os.replace(temporary, target)
                _record([target], target.parent)
        finally:
            temporary.unlink(missing_ok=True)


def _set_default_mode(path: Path) -> None:
    """Give a file the permissions of new files: some writers create files that only their owner can read."""
    probe = temporary_path(path, ".mode")
    try:
        probe.touch()
        path.chmod(probe.stat().st_mode)
    finally:
        probe.unlink(missing_ok=True)


@contextmanager
def write_folder_atomically(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder next to ``path``, which replaces it at the end of the block.

    If the block raises, the temporary folder is removed and the old one stays.

    Raises:
        OSError: If there is a file, or a folder with files that this package did not write.
        ValueError: If something in the folder is read by the same command.
    """
    check_folder_target(path)
    target = Path(os.path.realpath(path))
    with output_folder(target.parent):
        remove_dead_partials(target.parent)
        temporary = temporary_path(target.with_name(f"{target.name}.folder"), "")
        old = temporary.with_name(f".{target.name}.{_host()}-{os.getpid()}.old")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            with _staging(temporary):
                yield temporary
            with uninterrupted():
                check_folder_target(path)
                if target.exists():
                    os.replace(target, old)
                os.replace(temporary, target)
                _record([file for file in target.rglob("*") if not file.is_dir()], target.parent)
        finally:
            if old.exists() and not target.exists():
                os.replace(old, target)  # interrupted between the two renames
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def write_together(folder: Path, group: str) -> Iterator[Path]:
    """Yield a temporary folder whose files replace those of the same name in ``folder`` at the end of the block.

    All files appear together. Unchanged files that an earlier block of the same group wrote, and this one did not, are
    removed. If the block raises, all old files stay.

    Args:
        folder: Folder of the files, which must exist.
        group: Name for the files that belong together.

    Raises:
        OSError: If a file is in place of which this package did not write.
        ValueError: If a file would replace one that is read by the same command.
    """
    target = Path(os.path.realpath(folder))
    remove_dead_partials(target)
    temporary = temporary_path(target / group, "")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        with _staging(temporary):
            yield temporary
        with uninterrupted():
            files = sorted(file for file in temporary.iterdir())
            extras = [target / name for name in _ledger(target).names(group) if not (temporary / name).exists()]
            for file in files:
                _check_member(target / file.name)
            inputs = _rules().inputs
            for extra in extras:
                if inputs is None or inputs.replaced_by(extra) is None:
                    extra.unlink()
            for file in files:
                os.replace(file, target / file.name)
            _record([target / file.name for file in files], target, group)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_member(path: Path) -> None:
    """Check a file of an output folder, where a symbolic link would lead out of it."""
    if path.is_symlink() and not _rules().overwrite:
        raise OSError(f"Expected to write the file '{path}', got a symbolic link of that name: remove it")
    check_target(path)


def check_members(folder: str | Path, names: Iterable[str]) -> None:
    """Check that files of these names may be written to a folder. Call it before long work.

    Raises:
        OSError: If one of them is there and this package did not write it.
        ValueError: If one of them is read by the same command.
    """
    for name in names:
        _check_member(Path(os.path.realpath(folder)) / name)


def roll_back(output: ExitStack) -> None:
    """Leave open contexts as after a failure; do nothing if they were left before."""
    output.__exit__(GeneratorExit, GeneratorExit(), None)


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """Create ``folder`` if it does not exist, and check that it can be written to.

    If the block raises, the folders created here are removed again, if they are empty.

    Raises:
        OSError: If the folder cannot be created or written to.
    """
    created = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise OSError(f"Expected a folder to write to at '{folder}', got: {error.strerror or error}") from error
    try:
        yield folder
    except BaseException:
        for parent in created:
            with suppress(OSError):
                if not any(parent.iterdir()):
                    parent.rmdir()
        raise
