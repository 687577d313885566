import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside ``path``, renamed to it at the end: readers see the old file or the whole new one.

    If the block raises, the temporary file is removed and the old one stays.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        _usual_mode(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _usual_mode(path: Path) -> None:
    """Gives a file the permissions of any new file: some writers make ones that nobody else can read."""
    probe = path.with_name(f"{path.name}.mode")
    try:
        probe.touch()
        path.chmod(probe.stat().st_mode)
    finally:
        probe.unlink(missing_ok=True)


@contextmanager
def write_folder_atomically(path: str | Path) -> Iterator[Path]:
    """Gives an empty temporary folder beside ``path``, which takes its place at the end.

    What was in ``path`` before is gone then. If the block raises, it stays, and the temporary folder is removed.

    Raises:
        FileExistsError: If there is a file at ``path``.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"Expected a folder to write at '{path}', got a file: remove it, or name another folder")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        if old.exists() and not path.exists():
            os.replace(old, path)  # it came to an end between the two steps
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
