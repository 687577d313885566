"""Results on disk: one file for each row and seed, written as soon as it is computed and never computed twice."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.ablation.scoring import SceneScores
from tltm_graph.io.output import write_atomically
from tltm_graph.io.text import read_json


@dataclass(frozen=True)
class Result:
    """Result of one row with one seed.

    Args:
        row: Key of the row.
        seed: The seed.
        scores: Scores on the test scenes.
        notes: Remarks for the report, such as the tuned setting.
    """

    row: str
    seed: int
    scores: SceneScores
    notes: list[str]


def result_path(output: Path, row: str, seed: int) -> Path:
    """Return the path of a result in an output folder."""
    return output / "rows" / row / f"seed_{seed}.json"


def write_result(output: Path, result: Result) -> None:
    """Write a result to an output folder."""
    write_json(result_path(output, result.row, result.seed), asdict(result))


def read_results(output: Path, row: str) -> dict[int, Result]:
    """Read all results of a row, by seed."""
    return {seed: _read(path) for seed, path in seed_files(output / "rows" / row).items()}


def check_settings(output: Path, settings: dict[str, Any]) -> None:
    """Check that an output folder has no results of other settings, and write down the new ones.

    Raises:
        ValueError: If a setting differs from the one in the folder.
    """
    path = output / "settings.json"
    before = read_json(path, "settings") if path.is_file() else {}
    for name, value in settings.items():
        if before.get(name, value) != value:
            raise ValueError(
                f"Expected {name} {before[name]} as in the results in '{output}', got {value}: choose another folder "
                "with --output"
            )
    write_json(path, before | settings)


def seed_files(folder: Path) -> dict[int, Path]:
    """Find the files ``seed_N.json`` of a folder, by seed in ascending order."""
    return dict(sorted((int(path.stem.removeprefix("seed_")), path) for path in folder.glob("seed_*.json")))


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically. NaN, which JSON does not have, becomes null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as temporary:
        text = json.dumps(_without_nan(content), indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _read(path: Path) -> Result:
    content = read_json(path, "a result")
    scenes = {name: _with_nan(scores) for name, scores in content["scores"]["scenes"].items()}
    scores = SceneScores(_with_nan(content["scores"]["overall"]), scenes)
    return Result(content["row"], content["seed"], scores, content["notes"])


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _without_nan(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content


def _with_nan(scores: dict[str, float | None]) -> dict[str, float]:
    return {metric: math.nan if value is None else value for metric, value in scores.items()}
