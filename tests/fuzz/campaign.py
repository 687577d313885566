"""Mutate valid files, run the commands that read them, and check what they do."""

import os
import random
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.isolation import Outcome, run
from tests.fuzz.mutations import mutate_tree
from tests.fuzz.seeds import Case


@dataclass
class Report:
    """Results of a campaign.

    Args:
        statuses: Number of inputs by case and exit status.
        faults: Descriptions of what must not happen, with what repeats it.
        accepted: Some inputs that were read without an error, to look at.
    """

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return sum(self.statuses.values())

    def __str__(self) -> str:
        accepted = sum(count for (_, status), count in self.statuses.items() if status == 0)
        head = f"{self.inputs} inputs, {accepted} accepted, {len(self.faults)} faults"
        rows = [f"  {case:24} status {status}: {count}" for (case, status), count in sorted(self.statuses.items())]
        return "\n".join([head, *rows, *self.faults])


def attack(case: Case, valid: Path, seed: int, report: Report, keep: Path | None = None) -> None:
    """Change a case as the seed tells, and run one of its commands.

    Args:
        case: Case.
        valid: Folder of the valid files.
        seed: Seed of the change.
        report: Report to add to.
        keep: Folder to which inputs that cause a fault are copied.
    """
    chance = random.Random(f"{case.name} {seed}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "work"
        folder.mkdir()
        source = valid / case.source
        changed = folder / source.name
        shutil.copytree(source, changed) if source.is_dir() else shutil.copy(source, changed)
        change = mutate_tree(changed, chance)
        before = contents(folder)
        words = arguments(chance.choice(case.commands), changed.name, valid)
        outcome = run(words, folder)
        fault = outcome.fault or _left_behind(folder, before, outcome)
        report.statuses[case.name, outcome.status] += 1
        line = f"{case.name} {seed} ({change}; {' '.join(words)}): {outcome.last_line[:300]}"
        if fault is not None:
            report.faults.append(f"{fault}: {line}")
            if keep is not None:
                shutil.copytree(
                    folder, keep / f"{case.name.replace(' ', '_')}_{seed}", symlinks=True, dirs_exist_ok=True
                )
        elif outcome.status == 0:
            report.accepted.append(line)


def arguments(command: str, changed: str, valid: Path) -> list[str]:
    """Fill in the names of a command of a :class:`Case`."""
    words = [word.replace("V/", f"{valid}/") for word in command.split()]
    return [changed if word == "X" else word.replace(":X", f":{changed}") for word in words]


def contents(folder: Path) -> dict[str, bytes | str]:
    """What is in a folder, by path: the bytes of files, and the kind of everything else."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        kind = "link" if path.is_symlink() else "pipe" if path.is_fifo() else "folder"
        regular = path.is_file() and not path.is_symlink()
        found[str(path.relative_to(folder))] = path.read_bytes() if regular else kind
    return found


def _left_behind(folder: Path, before: dict[str, bytes | str], outcome: Outcome) -> str | None:
    after = contents(folder)
    if {name: after.get(name) for name in before} != before:
        return "changes its input"
    new = sorted(set(after) - set(before))
    if any(".partial" in name or ".probe" in name or name.endswith((".old", ".mode")) for name in new):
        return f"leaves {new}"
    complete = [name for name in new if name.endswith(".tltm_graph_files") or after[name] == "folder"]
    many = any(name.startswith("out/") for name in new)  # videos of a set appear one by one
    if outcome.status != 0 and not many and new != complete and not outcome.last_line.endswith(("warning", "warnings")):
        return f"fails, and leaves {new}"
    return None


def campaign(cases: list[Case], valid: Path, seconds: float, first_seed: int = 0, keep: Path | None = None) -> Report:
    """Attack all cases in turn for some time, at least once each."""
    report, begin, seed = Report(), time.monotonic(), first_seed
    while True:
        for case in cases:
            attack(case, valid, seed, report, keep)
        seed += 1
        if time.monotonic() - begin > seconds:
            return report


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0))
