"""Results as tables and as a picture."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.ablation.analysis import Mean, difference, mean_of
from experiments.ablation.results import Result
from experiments.ablation.rows import PARTS, Row
from experiments.ablation.scoring import METRICS
from tltm_graph.io import write_atomically

Known = Mapping[str, Mapping[int, Result]]
"""Results by row and seed."""

_PLOTTED = ("AP", "HOTA", "IDF1")


def markdown(rows: Sequence[Row], known: Known, tuning: Mapping[str, Any], alive: Mapping[int, Any]) -> str:
    """All tables."""
    blocks = [
        "Means ± standard errors over the seeds, in percent. Differences are taken seed by seed (all scenes together) "
        "and scene by scene (each a mean over the seeds) before they are averaged. Bold ones are beyond two standard "
        "errors; below them is said which are, and over what."
    ]
    for part, title in PARTS.items():
        shown = [row for row in rows if part in row.parts and known.get(row.key)]
        if shown:
            blocks += [f"## {part}. {title}", _scores(shown, known), _differences(shown, known)]
    if tuning:
        blocks += ["## Tuned on validation scenes", _tuning(tuning)]
    if alive:
        blocks += ["## Is the GNN alive?", _alive(alive)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _scores(rows: Sequence[Row], known: Known) -> str:
    lines = [f"| | seeds | {' | '.join(METRICS)} |", f"|---|--:|{'--:|' * len(METRICS)}"]
    footnotes: list[str] = []
    for row in rows:
        cells = [_cell(mean_of(known[row.key], metric)) for metric in METRICS]
        unfair = sorted({str(r.notes["unfair"]) for r in known[row.key].values() if "unfair" in r.notes})
        footnotes += [f"{row.name}: {why}." for why in unfair]
        lines.append(f"| {row.name} | {len(known[row.key])} | {' | '.join(cells)} |")
    return "\n".join([*lines, *(f"\n{note}" for note in footnotes)])


def _differences(rows: Sequence[Row], known: Known) -> str:
    names = {row.key: row.name for row in rows}
    lines = []
    for row in rows:
        for other in row.against:
            if other not in names or not known[row.key].keys() & known[other].keys():
                continue
            differences = [difference(known[row.key], known[other], metric) for metric in METRICS]
            for over in ("seeds", "scenes"):
                cells = [_difference_cell(getattr(d, over)) for d in differences]
                title = f"{row.name} − {names[other]}" if over == "seeds" else ""
                count = getattr(differences[0], over).count
                lines.append(f"| {title} | {over} ({count}) | {' | '.join(cells)} |")
            beyond = [f"{metric} {d.verdict}" for metric, d in zip(METRICS, differences, strict=True)]
            told = ", ".join(what for what in beyond if not what.endswith("neither")) or "nothing"
            lines.append(f"| beyond over: {told} | |{' |' * len(METRICS)}")
    head = [f"| difference | over | {' | '.join(METRICS)} |", f"|---|---|{'--:|' * len(METRICS)}"]
    return "\n".join([*head, *lines]) if lines else ""


def _difference_cell(mean: Mean) -> str:
    cell = _cell(mean, "+")
    return f"**{cell}**" if mean.is_beyond else cell


def _cell(mean: Mean, sign: str = "") -> str:
    value = "–" if math.isnan(mean.value) else f"{100 * mean.value:{sign}.1f}"
    return value if math.isnan(mean.error) else f"{value} ± {100 * mean.error:.1f}"


def _tuning(tuning: Mapping[str, Any]) -> str:
    grids = list(tuning.values())
    settings = list(grids[0]["chosen"])
    tried = {name: sorted({setting[name] for setting in grids[0]["grid"]}) for name in settings}
    grid = "; ".join(f"{name} {', '.join(map(str, values))}" for name, values in tried.items())
    lines = [f"| IoU tracker on | {' | '.join(settings)} | AP | HOTA |", f"|---|{'--:|' * (len(settings) + 2)}"]
    for where, content in tuning.items():
        best = max(content["grid"], key=lambda setting: setting["mean"])
        scores = " | ".join(f"{100 * best[name]:.1f}" for name in ("AP", "HOTA"))
        lines.append(f"| {where} | {' | '.join(str(content['chosen'][name]) for name in settings)} | {scores} |")
    return f"Tried: all of {grid}. Best is the highest mean of AP and HOTA.\n\n" + "\n".join(lines)


def _alive(alive: Mapping[int, Any]) -> str:
    lines = [
        "| association | look-alikes: decisions changed, logits zeroed | shuffled | far apart: zeroed | shuffled | "
        "coming back: ids regained | without relation | times an object came back |",
        "|---|" + "--:|" * 7,
    ]
    names = [f"{scenes}, {evidence}" for scenes in ("look-alikes", "far apart") for evidence in ("zeroed", "shuffled")]
    names += ["regained", "regained without relation"]
    associations = dict.fromkeys(name for of_seed in alive.values() for name in of_seed)
    for association in associations:
        told = [of_seed[association] for of_seed in alive.values() if association in of_seed]
        cells = [_cell(Mean.of([_number(one[name]["share"]) for one in told])) for name in names]
        counts = ", ".join(str(one["regained"]["of"]) for one in told)
        lines.append(f"| {association} | {' | '.join(cells)} | {counts} |")
    return "\n".join(lines)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def plot(rows: Sequence[Row], known: Known, path: Path) -> None:
    """Dots with error bars, a panel for each of AP, HOTA and IDF1; small dots are single seeds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shown = [row for row in rows if known.get(row.key)]
    figure, axes = plt.subplots(
        1, len(_PLOTTED), sharey=True, figsize=(11, 1.2 + 0.32 * len(shown)), layout="constrained"
    )
    for axis, metric in zip(axes, _PLOTTED, strict=True):
        for place, row in enumerate(shown):
            values = [100 * result.scores.overall[metric] for result in known[row.key].values()]
            mean = mean_of(known[row.key], metric)
            axis.plot(values, [place] * len(values), ".", color="0.5", markersize=5, zorder=3)
            error = 0.0 if math.isnan(mean.error) else 100 * mean.error
            color = f"C{list(PARTS).index(row.parts[0])}"
            axis.errorbar(100 * mean.value, place, xerr=error, fmt="o", color=color, capsize=3)
        axis.set_xlabel(metric)
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(shown)), [row.name for row in shown])
    axes[0].invert_yaxis()
    with write_atomically(path) as temporary:
        figure.savefig(temporary, dpi=150)
    plt.close(figure)


def analysis(rows: Sequence[Row], known: Known) -> dict[str, Any]:
    """The numbers of all tables, shares in [0, 1]."""
    content: dict[str, Any] = {}
    for row in rows:
        results = known.get(row.key)
        if not results:
            continue
        content[row.key] = {
            "name": row.name,
            "seeds": sorted(results),
            "scores": {metric: vars(mean_of(results, metric)) for metric in METRICS},
            "notes": {seed: result.notes for seed, result in results.items()},
            "differences": {
                other: {metric: _difference(results, known[other], metric) for metric in METRICS}
                for other in row.against
                if known.get(other) and results.keys() & known[other].keys()
            },
        }
    return content


def _difference(results: Mapping[int, Result], reference: Mapping[int, Result], metric: str) -> dict[str, Any]:
    d = difference(results, reference, metric)
    return {"seeds": vars(d.seeds), "scenes": vars(d.scenes), "beyond": d.verdict}
