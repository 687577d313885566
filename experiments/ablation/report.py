"""Report on all results of a folder."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.ablation.analysis import Mean, difference, mean_of
from experiments.ablation.results import Result, read_results, seed_files
from experiments.ablation.rows import ROWS, Row
from experiments.ablation.scoring import METRICS
from tltm_graph.io.output import write_atomically
from tltm_graph.io.text import read_json

RowResults = Mapping[str, Mapping[int, Result]]
"""Results by row and seed; rows without results are missing."""


def write_report(output: Path) -> None:
    """Write ``ablation.md`` from all results in a folder."""
    by_row = {key: found for key in ROWS if (found := read_results(output, key))}
    alive = {seed: read_json(path, "shares") for seed, path in seed_files(output / "alive").items()}
    with write_atomically(output / "ablation.md") as temporary:
        temporary.write_text(_markdown(by_row, alive), encoding="utf-8")


def _references(key: str, by_row: RowResults) -> list[str]:
    """Rows that a row can be compared with: those with a result of one of its seeds."""
    return [other for other in ROWS[key].references if by_row[key].keys() & by_row.get(other, {}).keys()]


def _markdown(by_row: RowResults, alive: Mapping[int, Any]) -> str:
    blocks = []
    if by_row:
        rows = [ROWS[key] for key in by_row]
        blocks += [
            "## The paper's Table 3",
            "\n".join(f"* `{row.key}` ({row.title}): {row.description}" for row in rows),
        ]
        blocks += [
            "Means ± standard errors over the seeds, in percent. Differences are taken seed by seed (all scenes "
            "together) and scene by scene (each a mean over the seeds) before they are averaged. Bold differences are "
            "more than two standard errors away from 0.",
            _score_table(rows, by_row),
            _difference_table(by_row),
        ]
    if alive:
        blocks += ["## Is the GNN alive?", _alive_table(alive)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _score_table(rows: Sequence[Row], by_row: RowResults) -> str:
    lines = [f"| | seeds | {' | '.join(METRICS)} |", f"|---|--:|{'--:|' * len(METRICS)}"]
    notes = []
    for row in rows:
        results = by_row[row.key]
        cells = [_cell(mean_of(results, metric)) for metric in METRICS]
        lines.append(f"| {row.title} | {len(results)} | {' | '.join(cells)} |")
        notes += [f"* {row.key}, seed {seed}: {note}" for seed, result in results.items() for note in result.notes]
    return "\n".join(lines) + "\n\n" + "\n".join(notes)


def _difference_table(by_row: RowResults) -> str:
    lines = [f"| difference | over | {' | '.join(METRICS)} |", f"|---|---|{'--:|' * len(METRICS)}"]
    for key in by_row:
        for other in _references(key, by_row):
            differences = [difference(by_row[key], by_row[other], metric) for metric in METRICS]
            for over in ("seeds", "scenes"):
                means: list[Mean] = [getattr(d, over) for d in differences]
                cells = [f"**{_cell(mean, '+')}**" if mean.is_significant else _cell(mean, "+") for mean in means]
                title = f"{ROWS[key].title} − {ROWS[other].title}" if over == "seeds" else ""
                lines.append(f"| {title} | {over} ({means[0].count}) | {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _cell(mean: Mean, sign: str = "") -> str:
    value = "–" if math.isnan(mean.value) else f"{100 * mean.value:{sign}.1f}"
    return value if math.isnan(mean.error) else f"{value} ± {100 * mean.error:.1f}"


def _alive_table(alive: Mapping[int, Any]) -> str:
    lines = [
        "| association | look-alikes: decisions changed, logits zeroed | shuffled | far apart: zeroed | shuffled | "
        "coming back: ids regained | without relation | times an object came back |",
        "|---|" + "--:|" * 7,
    ]
    measures = [f"{scenes}, {change}" for scenes in ("look-alikes", "far apart") for change in ("zeroed", "shuffled")]
    measures += ["regained", "regained without relation"]
    associations = dict.fromkeys(name for of_seed in alive.values() for name in of_seed)
    for association in associations:
        by_seed = [of_seed[association] for of_seed in alive.values() if association in of_seed]
        shares = [[shares[measure]["share"] for shares in by_seed] for measure in measures]
        cells = [_cell(Mean.of([math.nan if share is None else share for share in of_seeds])) for of_seeds in shares]
        counts = ", ".join(str(shares["regained"]["of"]) for shares in by_seed)
        lines.append(f"| {association} | {' | '.join(cells)} | {counts} |")
    return "\n".join(lines)
