"""Checkpoint files, named by step and written atomically."""

import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from tltm_graph.io.output import output_rules, write_atomically


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return the path of the state after ``step`` steps."""
    return folder / f"step_{step:08d}.ckpt"


def checkpoint_step(path: Path) -> int:
    """Read the number of finished steps from the name."""
    return int(path.stem.removeprefix("step_"))


def write_checkpoint(checkpoint: dict[str, Any], path: str | Path) -> None:
    """Write a checkpoint that survives a crash of program or machine.

    It is written under another name and flushed to the disk before it gets its own name.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    rules = output_rules(overwrite=True)  # a resumed run replaces what was damaged, or copied without its times
    with rules, write_atomically(path) as temporary, temporary.open("wb") as file:
        torch.save(checkpoint, file)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def newest_checkpoint(folder: Path) -> Path | None:
    """Find the newest complete checkpoint; None if there is none. Damaged ones are skipped with a warning."""
    for path in sorted(folder.glob("step_*.ckpt"), reverse=True):
        if _is_complete(path):
            return path
        warnings.warn(f"'{path}' is damaged and skipped", stacklevel=2)
    return None


def remove_old_checkpoints(folder: Path, keep: int) -> None:
    """Remove all but the ``keep`` newest checkpoints, and the partial files of killed runs."""
    for path in [*sorted(folder.glob("step_*.ckpt"))[:-keep], *folder.glob(".step_*.partial.ckpt")]:
        path.unlink(missing_ok=True)


def _is_complete(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError):
        return False
