"""Files a run can go on from: named by step, whole or not there at all."""

import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from tltm_graph.io import write_atomically


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the state after ``step`` steps is."""
    return folder / f"step_{step:08d}.ckpt"


def checkpoint_step(path: Path) -> int:
    """How many steps were done."""
    return int(path.stem.removeprefix("step_"))


def write_checkpoint(checkpoint: dict[str, Any], path: str | Path) -> None:
    """Writes a checkpoint so that it survives a crash of program or machine: under another name first, then to the
    disk, and only then under its own name."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as temporary, temporary.open("wb") as file:
        torch.save(checkpoint, file)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint, None if there is none. Damaged ones are passed over with a warning."""
    for path in sorted(folder.glob("step_*.ckpt"), reverse=True):
        if _is_whole(path):
            return path
        warnings.warn(f"'{path}' is damaged and passed over", stacklevel=2)
    return None


def remove_old_checkpoints(folder: Path, keep: int) -> None:
    """Leaves the ``keep`` newest checkpoints, and nothing of those that were being written when a run was killed."""
    for path in [*sorted(folder.glob("step_*.ckpt"))[:-keep], *folder.glob(".step_*.partial.ckpt")]:
        path.unlink(missing_ok=True)


def _is_whole(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError):
        return False
