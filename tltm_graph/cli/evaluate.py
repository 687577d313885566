import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from tltm_graph.cli.arguments import Data, Folder, Missing, Option
from tltm_graph.cli.formats import FORMAT_TABLE, Format, ImageSet, Part
from tltm_graph.cli.running import write_json
from tltm_graph.printable import one_line

EPILOG = FORMAT_TABLE

Metric = Literal["ap", "hota", "clear", "idf1", "edges", "jf", "jf-semi"]
Rules = Literal["plain", "mot17", "mot20", "mots", "bdd100k"]
OracleName = Literal["detection", "association", "class", "mask"]

_IDENTITIES = ("hota", "clear", "idf1", "edges")
_METRICS: dict[str, tuple[str, ...]] = {
    "davis": ("jf", *_IDENTITIES),
    "label_maps": ("jf", *_IDENTITIES),
    "mot": _IDENTITIES,
    "mot_truth": _IDENTITIES,
    "mots": _IDENTITIES,
    "kitti_mots": _IDENTITIES,
    "mots_png": _IDENTITIES,
    "bdd100k": ("ap", *_IDENTITIES),
}
"""Default metrics by the format of the ground truth; for other formats, average precision and identities."""

_RULES = {
    "mot": "mot17",
    "mot_truth": "mot17",
    "mots": "mots",
    "kitti_mots": "mots",
    "mots_png": "mots",
    "bdd100k": "bdd100k",
}
"""Default rules by the format of the ground truth; for other formats, plain."""


def evaluate(
    *,
    truth: Data,
    predictions: Data,
    output: Folder = "out/eval",
    truth_format: Format | None = None,
    predictions_format: Format | None = None,
    metrics: Annotated[Sequence[Metric] | None, Option(metavar="METRIC")] = None,
    on: Literal["masks", "boxes"] | None = None,
    rules: Rules | None = None,
    class_map: Annotated[str | None, Option(metavar="NAME")] = None,
    class_agnostic: bool = False,
    part: Part | None = None,
    image_set: ImageSet | None = None,
    missing: Missing = "error",
    union: bool = False,
    oracles: Annotated[Sequence[Literal[OracleName, "all"]], Option("oracle", "PART")] = (),
) -> dict[str, Any]:
    """Score predicted tracks against ground truth.

    Metrics:
      ap       YouTube-VIS average precision and recall
      hota     HOTA, with DetA, AssA, LocA
      clear    MOTA, MOTP, sMOTA (sMOTSA on masks), ID switches, fragments
      idf1     IDF1, IDP, IDR
      edges    precision and recall of the association alone
      jf       J and F as in the DAVIS unsupervised challenge
      jf-semi  J and F as in the DAVIS semi-supervised challenge

    Written to the output folder:
      scores.json  all scores: over all videos, per class, per video
      scores.md    tables of them

    Args:
        truth: File or folder with the ground truth.
        predictions: File or folder with the tracks to score.
        output: Folder to write to.
        truth_format: Format of the ground truth. Default: recognized from its content.
        predictions_format: Format of the predictions. Default: recognized from their content.
        metrics: Metrics to compute. Default: jf hota clear idf1 edges for DAVIS, hota clear idf1 edges for MOT and
            MOTS, else ap hota clear idf1 edges.
        on: Compare masks or boxes. Default: masks if both sides have them.
        rules: Rules of a benchmark for objects that do not count. Default: those of the ground truth's format.
        class_map: Map from the predictions' classes to those of the ground truth. Default: equal names.
        class_agnostic: Ignore classes.
        part: Score only this part of the local split, by a hash of the video's name.
        image_set: Score only the videos of this list of DAVIS: val, 2017/val, …
        missing: Treatment of videos without predictions: stop with an error, count as empty, or skip.
        union: Compute J and F of all objects as one, as in DAVIS 2016.
        oracles: Score also with one part of the predictions made perfect, to see its cost: detection, association,
            class, mask, or all.

    Returns:
        Content of scores.json.

    Raises:
        ValueError: If an argument or a file is not valid, or predictions and ground truth do not belong together.
        OSError: If a file cannot be read or written.
    """
    settings = {name: _plain(value) for name, value in locals().items()}
    from tqdm import tqdm

    from tltm_graph.cli.pairing import common_classes, common_kind, name_some, pair_videos, pedestrians_of
    from tltm_graph.cli.scoring import score_video, union_hint
    from tltm_graph.formats import local_split, open_videos
    from tltm_graph.formats.formats import guess_format
    from tltm_graph.io.output import check_members, output_folder, write_together
    from tltm_graph.metrics import Evaluation
    from tltm_graph.metrics.evaluation import ONE_CLASS, RULES_ON

    check_members(output, ["scores.json", "scores.md"])
    kind = truth_format or guess_format(truth)
    families = tuple(dict.fromkeys(metrics or _METRICS.get(kind, ("ap", *_IDENTITIES))))
    parts: tuple[str, ...] = get_args(OracleName) if "all" in oracles else tuple(oracles)
    unknown = sorted(set(parts) - set(get_args(OracleName)))
    if unknown:
        raise ValueError(f"Expected oracles of {list(get_args(OracleName))}, got {unknown}")
    if missing not in get_args(Missing):
        raise ValueError(f"Expected missing to be one of {list(get_args(Missing))}, got {missing!r}")
    if parts and "jf-semi" in families and not union:
        raise ValueError(
            "Expected no oracles with the metric jf-semi, whose objects are given and have their ids: score jf instead"
        )
    chosen_rules: str = rules or _RULES.get(kind, "plain")
    if on is not None:
        Evaluation(families, None, on, chosen_rules)  # settings that exclude each other are an error before reading
    notes: list[str] = []
    all_true = open_videos(truth, kind)
    true_set = all_true if image_set is None else open_videos(truth, kind, image_set=image_set)
    if part is not None:
        true_set = local_split(true_set, part)
    if kind == "mot" and chosen_rules == "mot17" and true_set and all(v.name.startswith("MOT20") for v in true_set):
        chosen_rules = "mot20"
    predicted_set = open_videos(predictions, predictions_format, like=all_true)
    predicted_set = predicted_set.select(
        [video for video in predicted_set if true_set.named(video.name) or not all_true.named(video.name)]
    )
    if chosen_rules in ONE_CLASS and not class_agnostic:
        class_names, predicted_set = None, pedestrians_of(predicted_set, class_map, notes)
    else:
        class_names, predicted_set = common_classes(true_set, predicted_set, class_map, class_agnostic, notes)
    pairs = pair_videos(true_set, predicted_set, missing, notes)
    compared = on or RULES_ON.get(chosen_rules) or common_kind(pairs)
    settings |= {
        "metrics": families,
        "on": compared,
        "rules": chosen_rules,
        "truth_format": kind,
        "oracles": list(parts),
    }
    evaluations = {name: Evaluation(families, class_names, compared, chosen_rules) for name in ("", *parts)}
    with output_folder(Path(output)), write_together(Path(output), "scores") as folder:
        empty = []
        for true, predicted in tqdm(pairs, desc="scoring", unit=" videos", file=sys.stderr):
            has_tracks = score_video(true, predicted, evaluations, compared, union)
            if predicted is not None and not has_tracks:
                empty.append(true.name)
        if empty:
            notes.append(f"In {len(empty)} of {len(pairs)} videos nothing at all is predicted: {name_some(empty)}.")
        scores = {name: evaluation.compute() for name, evaluation in evaluations.items()}
        report = {
            "settings": settings,
            "videos": len(pairs),
            "classes": class_names,
            "scores": {name: _finite(getattr(scores[""], name)) for name in ("overall", "per_video", "per_class")},
            "oracles": {name: _finite(scores[name].overall) for name in parts},
            "notes": [*notes, *scores[""].notes, *union_hint(scores[""], pairs, union)],
        }
        write_json(folder / "scores.json", report, indent=1)
        (folder / "scores.md").write_text(markdown_report(report), encoding="utf-8")
    print(markdown_report(report, max_rows=40))
    print(f"written:\n  {output}/scores.json\n  {output}/scores.md")
    return report


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple | set) else value


def _finite(value: Any) -> Any:
    """Replace NaN, which JSON does not have, by None."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


COLUMNS: dict[str, tuple[str, ...]] = {
    "ap": ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10"),
    "hota": ("HOTA", "DetA", "AssA", "LocA"),
    "clear": ("MOTA", "sMOTA", "MOTP", "IDSW", "IDSw", "Frag", "FM", "FP", "FN", "CLR_FP", "CLR_FN"),
    "idf1": ("IDF1", "IDP", "IDR"),
    "edges": ("EdgePr", "EdgeRe", "EdgeF1"),
    "jf": ("JF_mean", "J_mean", "J_recall", "J_decay", "F_mean", "F_recall", "F_decay"),
    "jf-semi": ("JF_mean_semi", "J_mean_semi", "F_mean_semi", "JF_mean", "J_mean", "F_mean", "J_recall", "F_recall"),
}
"""Scores of each family of metrics in the tables; the others are only in the JSON file."""

_MAIN_SCORES = ("AP", "JF_mean", "JF_mean_semi", "HOTA", "MOTA", "IDF1", "EdgeF1")
"""Scores in the table of oracles."""

_Scores = Mapping[str, float | None]


def markdown_report(report: Mapping[str, Any], max_rows: int | None = None) -> str:
    """Format scores as tables: over all videos, with oracles, per class, per video.

    Args:
        report: Result of :func:`evaluate`.
        max_rows: Largest number of rows of a table; longer ones are left out. None for all.
    """
    settings = report["settings"]
    classes = "ignored" if report["classes"] is None else f"{len(report['classes'])}"
    lines = [
        f"# {settings['predictions']} against {settings['truth']}",
        "",
        f"{report['videos']} videos, classes: {classes}, on {settings['on']}, rules: {settings['rules']}. "
        "Shares in per cent.",
        "",
        *(f"Note: {one_line(note)}" for note in report["notes"]),
        "",
    ]
    overall = report["scores"]["overall"]
    for family in settings["metrics"]:
        names = [name for name in COLUMNS[family] if name in overall]
        lines += [*_table(names, [[_shown(overall[name]) for name in names]]), ""]
    if report["oracles"]:
        lines += ["## What each part costs", "", *_oracle_table(overall, report["oracles"]), ""]
    for title, key in (("By class", "per_class"), ("By video", "per_video")):
        rows = report["scores"][key]
        if rows and (max_rows is None or len(rows) <= max_rows):
            lines += [f"## {title}", "", *_score_table(key.removeprefix("per_"), rows, settings["metrics"]), ""]
    return "\n".join(lines).rstrip() + "\n"


def _oracle_table(overall: _Scores, oracles: Mapping[str, _Scores]) -> list[str]:
    """Scores with one part made perfect, and their gains."""
    names = [name for name in _MAIN_SCORES if name in overall]
    rows = [["as it is", *(_shown(overall[name]) for name in names)]]
    for oracle, scores in oracles.items():
        cells = [f"{_shown(scores[name])} ({_gain(scores[name], overall[name])})" for name in names]
        rows.append([f"perfect {oracle}", *cells])
    return _table(["", *names], rows)


def _score_table(first_column: str, rows: Mapping[str, _Scores], families: Iterable[str]) -> list[str]:
    """A row per video or class, with the first four scores of each family."""
    available = {name for row in rows.values() for name in row}
    names = dict.fromkeys(
        name for family in families for name in [name for name in COLUMNS[family] if name in available][:4]
    )
    return _table(
        [first_column, *names], [[_cell(key), *(_shown(row.get(name)) for name in names)] for key, row in rows.items()]
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, with aligned columns."""
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


def _cell(name: str) -> str:
    """A name from a file as a cell of a Markdown table."""
    return one_line(name, 200).replace("|", "\\|")


def _shown(value: float | None) -> str:
    """Per cent of a share, a count unchanged, a dash for an undefined score."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return str(value) if isinstance(value, int) else f"{100 * value:.2f}"


def _gain(value: float | None, before: float | None) -> str:
    if value is None or before is None:
        return "–"
    return f"{100 * (value - before):+.2f}"
