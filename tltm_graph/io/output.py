import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def temporary_path(path: Path) -> Path:
    """Hidden path next to ``path`` for writing it, of this process and with the same suffix."""
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path``, which replaces it at the end of the block.

    So readers see either the old file or the complete new one. If the block raises, the temporary file is removed and
    the old one stays.
    """
    path = Path(path)
    temporary = temporary_path(path)
    try:
        yield temporary
        _set_default_mode(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _set_default_mode(path: Path) -> None:
    """Give a file the permissions of new files: some writers create files that only their owner can read."""
    probe = path.with_name(f"{path.name}.mode")
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
            os.replace(old, path)  # interrupted between the two renames
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


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
        probe = folder / f".{os.getpid()}.probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(f"Expected a folder to write to at '{folder}', got: {error.strerror or error}") from error
    try:
        yield folder
    except BaseException:
        for parent in created:
            if not any(parent.iterdir()):
                parent.rmdir()
        raise
