import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """Makes ``folder`` if needed and makes sure it can be written to.

    If the block fails, what was made for nothing is taken away again.

    Raises:
        OSError: If the folder cannot be made or written to.
    """
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
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
        for parent in made:
            if not any(parent.iterdir()):
                parent.rmdir()
        raise
