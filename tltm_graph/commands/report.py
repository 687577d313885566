import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

COLUMNS: dict[str, tuple[str, ...]] = {
    "ap": ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10"),
    "hota": ("HOTA", "DetA", "AssA", "LocA"),
    "clear": ("MOTA", "sMOTA", "MOTP", "IDSW", "IDSw", "Frag", "FM", "FP", "FN", "CLR_FP", "CLR_FN"),
    "idf1": ("IDF1", "IDP", "IDR"),
    "edges": ("EdgePr", "EdgeRe", "EdgeF1"),
    "jf": ("JF_mean", "J_mean", "J_recall", "J_decay", "F_mean", "F_recall", "F_decay"),
    "jf-semi": ("JF_mean_semi", "J_mean_semi", "F_mean_semi", "JF_mean", "J_mean", "F_mean", "J_recall", "F_recall"),
}
"""What of each family of metrics is shown; the rest is in the JSON file."""

MAIN = ("AP", "JF_mean", "JF_mean_semi", "HOTA", "MOTA", "IDF1", "EdgeF1")
"""What stands for a family where there is room for one number."""

Row = Mapping[str, float | None]


def markdown_report(report: Mapping[str, Any], longest: int | None = None) -> str:
    """The scores as a page: all videos together, what each part costs, by class, by video.

    Args:
        report: What :func:`tltm_graph.commands.evaluate` returns.
        longest: Leave out tables of more rows; None to leave out none.
    """
    settings = report["settings"]
    classes = "not looked at" if report["classes"] is None else f"{len(report['classes'])}"
    lines = [
        f"# {settings['predictions']} against {settings['truth']}",
        "",
        f"{report['videos']} videos, classes: {classes}, on {settings['on']}, rules: {settings['rules']}. "
        "Shares in per cent.",
        "",
        *(f"Note: {note}" for note in report["notes"]),
        "",
    ]
    overall = report["scores"]["overall"]
    for family in settings["metrics"]:
        names = [name for name in COLUMNS[family] if name in overall]
        lines += [*table(names, [[shown(overall[name]) for name in names]]), ""]
    if report["oracles"]:
        lines += ["## What each part costs", "", *oracle_table(overall, report["oracles"]), ""]
    for title, key in (("By class", "per_class"), ("By video", "per_video")):
        rows = report["scores"][key]
        if rows and (longest is None or len(rows) <= longest):
            lines += [f"## {title}", "", *rows_table(key.removeprefix("per_"), rows, settings["metrics"]), ""]
    return "\n".join(lines).rstrip() + "\n"


def oracle_table(overall: Row, oracles: Mapping[str, Row]) -> list[str]:
    """Scores with one part made perfect, and how much more that is."""
    names = [name for name in MAIN if name in overall]
    rows = [["as it is", *(shown(overall[name]) for name in names)]]
    for oracle, scores in oracles.items():
        cells = [f"{shown(scores[name])} ({_gain(scores[name], overall[name])})" for name in names]
        rows.append([f"perfect {oracle}", *cells])
    return table(["", *names], rows)


def rows_table(what: str, rows: Mapping[str, Row], families: Iterable[str]) -> list[str]:
    """A row for each video or class."""
    known = {name for row in rows.values() for name in row}
    names = dict.fromkeys(n for family in families for n in [n for n in COLUMNS[family] if n in known][:4])
    return table([what, *names], [[key, *(shown(row.get(name)) for name in names)] for key, row in rows.items()])


def shown(value: float | None) -> str:
    """A share in per cent, a count as it is, a dash for what is not defined."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return str(value) if isinstance(value, int) else f"{100 * value:.2f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, with columns aligned for reading as text."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(head, widths, strict=True)) + " |"]
    lines.append("|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)) + "|")
    for row in rows:
        cells = [
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _gain(value: float | None, before: float | None) -> str:
    if value is None or before is None:
        return "–"
    return f"{100 * (value - before):+.2f}"
