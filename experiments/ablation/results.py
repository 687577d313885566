"""Results on disk: one file for each row and seed, there as soon as it is known and never computed twice."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from experiments.ablation.scoring import SceneScores
from tltm_graph.io import write_atomically

_NUMBERS = ("overall", "scenes")


@dataclass(frozen=True)
class Result:
    """One row with one seed.

    Args:
        row: Key of the row.
        seed: The seed.
        scores: What it scored.
        notes: What was chosen or left out on the way.
    """

    row: str
    seed: int
    scores: SceneScores
    notes: dict[str, Any] = field(default_factory=dict)


class Results:
    """The results in a folder.

    Args:
        folder: The folder, made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, row: str, seed: int) -> Path:
        """Where a result is, or will be."""
        return self.folder / "rows" / row / f"seed_{seed}.json"

    def write(self, result: Result) -> None:
        """Keeps a result."""
        write_json(self.path(result.row, result.seed), asdict(result))

    def read(self, row: str, seed: int) -> Result | None:
        """A result, None if it is not known yet."""
        path = self.path(row, seed)
        if not path.is_file():
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
        scores = SceneScores(**{name: _with_nan(content["scores"][name]) for name in _NUMBERS})
        return Result(content["row"], content["seed"], scores, content["notes"])

    def of_row(self, row: str, seeds: Iterable[int]) -> dict[int, Result]:
        """What is known of a row, by seed."""
        found = ((seed, self.read(row, seed)) for seed in seeds)
        return {seed: result for seed, result in found if result is not None}

    def check_settings(self, settings: dict[str, Any]) -> None:
        """Makes sure that the folder holds results of these settings alone, and notes them; None is not known yet.

        Raises:
            ValueError: If a setting was another one before.
        """
        path = self.folder / "settings.json"
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        for name, value in settings.items():
            if value is not None and before.get(name) not in (None, value):
                raise ValueError(
                    f"Expected {name} {before[name]} as in the results in '{self.folder}', got {value}: --output names "
                    "another folder"
                )
        known = {name: value for name, value in settings.items() if value is not None}
        write_json(path, before | known)


def write_json(path: Path, content: Any) -> None:
    """Writes a file that is whole or not there; NaN, which JSON does not have, as null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as temporary:
        text = json.dumps(_without_nan(content), indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _without_nan(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content


def _with_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _with_nan(value) for name, value in content.items()}
    return math.nan if content is None else content
