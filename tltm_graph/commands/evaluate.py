import json
import math
import sys
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
from tqdm import tqdm

from tltm_graph.commands.label_map_pairs import check_given_ids, counted_anew, label_map_pairs
from tltm_graph.commands.pairing import (
    Missing,
    classes_to_score_by,
    common_kind,
    pair_videos,
    pedestrians_of,
    some,
)
from tltm_graph.commands.report import markdown_report
from tltm_graph.formats import Video, guess_format, local_split, open_videos
from tltm_graph.formats.davis import VOID
from tltm_graph.formats.video import Part
from tltm_graph.io import output_folder, write_atomically
from tltm_graph.metrics import ORACLES, Evaluation, Scores
from tltm_graph.metrics.benchmark_rules import PEDESTRIAN
from tltm_graph.metrics.davis import MAX_PROPOSALS
from tltm_graph.metrics.evaluation import ONE_CLASS, RULES_ON
from tltm_graph.metrics.overlap import On
from tltm_graph.structures import Tracks

IDENTITIES = ("hota", "clear", "idf1", "edges")

METRICS: dict[str, tuple[str, ...]] = {
    "davis": ("jf", *IDENTITIES),
    "label_maps": ("jf", *IDENTITIES),
    "mot": IDENTITIES,
    "mot_truth": IDENTITIES,
    "mots": IDENTITIES,
    "kitti_mots": IDENTITIES,
    "mots_png": IDENTITIES,
    "bdd100k": ("ap", *IDENTITIES),
}
"""What a truth in a format is scored by; those not named by average precision and identities."""

BENCHMARK_RULES = {
    "mot": "mot17",
    "mot_truth": "mot17",
    "mots": "mots",
    "kitti_mots": "mots",
    "mots_png": "mots",
    "bdd100k": "bdd100k",
}
"""The rules that go with a format; those not named have none."""


def evaluate(
    truth: str | Path,
    predictions: str | Path,
    output: str | Path = "out/eval",
    truth_format: str | None = None,
    predictions_format: str | None = None,
    metrics: Collection[str] | None = None,
    on: On | None = None,
    rules: str | None = None,
    class_map: str | None = None,
    class_agnostic: bool = False,
    part: Part | None = None,
    image_set: str | None = None,
    missing: Missing = "error",
    union: bool = False,
    oracles: Collection[str] = (),
) -> dict[str, Any]:
    """Scores predicted tracks against the truth, each in any format.

    Written to ``output``: ``scores.json`` with every number, and ``scores.md`` with tables over all videos, by class
    and by video.

    Args:
        truth: File or folder.
        predictions: File or folder.
        output: Folder to write to.
        truth_format: One of :data:`tltm_graph.formats.FORMATS`; by default the one it looks like.
        predictions_format: The same for the predictions.
        metrics: Of :data:`tltm_graph.metrics.FAMILIES`; by default those of the benchmark whose format the truth has.
        on: Compare masks or boxes; by default what the rules compare, else masks if both sides have them.
        rules: One of :data:`tltm_graph.metrics.RULES`; by default those of the benchmark whose format the truth has.
        class_map: From the classes of the predictions to those of the truth, see
            :func:`tltm_graph.formats.read_class_map`; by default classes of the same name are the same.
        class_agnostic: Look at no classes. They are not looked at either if one side has none.
        part: Only this part of :func:`tltm_graph.formats.local_split`.
        image_set: Only the videos of this list of DAVIS.
        missing: What videos without predictions are: an "error", "empty", or to "skip", so that they are not scored.
        union: J and F of all objects as one, as in DAVIS 2016.
        oracles: Of :data:`tltm_graph.metrics.ORACLES`: score also with that part of the predictions made perfect.

    Returns:
        What is in ``scores.json``.

    Raises:
        ValueError: If an argument is not understood, a file is not valid, or the two do not belong together.
        OSError: If a file cannot be read or written.
    """
    settings = {name: _plain(value) for name, value in locals().items()}
    kind = truth_format or guess_format(truth)
    families = tuple(dict.fromkeys(metrics or METRICS.get(kind, ("ap", *IDENTITIES))))
    unknown = sorted(set(oracles) - set(ORACLES))
    if unknown:
        raise ValueError(f"Expected oracles of {list(ORACLES)}, got {unknown}")
    if missing not in get_args(Missing):
        raise ValueError(f"Expected missing to be one of {list(get_args(Missing))}, got {missing!r}")
    if oracles and "jf-semi" in families and not union:
        raise ValueError(
            "Expected no oracles with the metric jf-semi, whose objects are given and have their ids: score jf instead"
        )
    rules = rules or BENCHMARK_RULES.get(kind, "plain")
    if on is not None:
        Evaluation(families, None, on, rules)  # settings that do not go together are told before anything is read
    notes: list[str] = []
    everything = open_videos(truth, kind)
    true_set = everything if image_set is None else open_videos(truth, kind, image_set=image_set)
    if part is not None:
        true_set = local_split(true_set, part)
    if kind == "mot" and rules == "mot17" and true_set and all(v.name.startswith("MOT20") for v in true_set):
        rules = "mot20"
    found_set = open_videos(predictions, predictions_format, like=everything)
    found_set = found_set.select([v for v in found_set if true_set.named(v.name) or not everything.named(v.name)])
    if rules in ONE_CLASS and not class_agnostic:
        class_names, found_set = None, pedestrians_of(found_set, class_map, notes)
    else:
        class_names, found_set = classes_to_score_by(true_set, found_set, class_map, class_agnostic, notes)
    pairs = pair_videos(true_set, found_set, missing, notes)
    on = on or RULES_ON.get(rules) or common_kind(pairs)
    settings |= {"metrics": families, "on": on, "rules": rules, "truth_format": kind, "oracles": list(oracles)}
    evaluations = {name: Evaluation(families, class_names, on, rules) for name in ("", *oracles)}
    with output_folder(Path(output)) as folder:
        with tqdm(pairs, desc="scoring", unit=" videos", file=sys.stderr) as bar:
            scored = ((true, found, _score(true, found, evaluations, on, union)) for true, found in bar)
            empty = [true.name for true, found, anything in scored if found is not None and not anything]
        if empty:
            notes.append(f"In {len(empty)} of {len(pairs)} videos nothing at all is predicted: {some(empty)}.")
        scores = {name: evaluation.compute() for name, evaluation in evaluations.items()}
        report = {
            "settings": settings,
            "videos": len(pairs),
            "classes": class_names,
            "scores": {name: _finite(getattr(scores[""], name)) for name in ("overall", "per_video", "per_class")},
            "oracles": {name: _finite(scores[name].overall) for name in oracles},
            "notes": [*notes, *scores[""].notes, *_union_hint(scores[""], pairs, union)],
        }
        with write_atomically(folder / "scores.json") as temporary:
            temporary.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        with write_atomically(folder / "scores.md") as temporary:
            temporary.write_text(markdown_report(report), encoding="utf-8")
    return report


def _finite(value: Any) -> Any:
    """The same with null for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple | set) else value


def _union_hint(scores: Scores, pairs: Collection[tuple[Video, Video | None]], union: bool) -> list[str]:
    """Says so where J and F of single objects were probably meant."""
    if union or "JF_mean" not in scores.overall:
        return []
    for true, found in pairs:
        if found is None or found.label_map is None or true.label_map is None or not true.num_frames:
            continue
        if set(np.unique(true.label_map(0)).tolist()) - {0, VOID} != {1}:
            return []
        if int(found.label_map(found.num_frames // 2 if found.num_frames else 0).max()) > 1:
            return [f"'{true.name}' has one true object and several predicted ones: DAVIS 2016 scores with --union."]
    return []


def _score(true: Video, found: Video | None, evaluations: Mapping[str, Evaluation], on: On, union: bool) -> bool:
    """Feeds one video to all evaluations: the predictions as they are, and with one part made perfect.

    Returns:
        Whether anything is predicted, as far as tracks were looked at.
    """
    plain = evaluations[""]
    truth = predicted = None
    if plain.needs_tracks or len(evaluations) > 1 or true.label_map is None:
        truth = true.tracks()
    if plain.needs_tracks or len(evaluations) > 1 or found is None or found.label_map is None:
        predicted = Tracks({}, true.size, true.num_frames or 0) if found is None else found.tracks()
    try:
        if "jf-semi" in plain.families and not union:
            if true.label_map is None and truth is not None:
                check_given_ids(truth, "true", sum(not track.crowd for track in truth.values()))
            if found is not None and found.label_map is None:
                check_given_ids(predicted, "predicted", MAX_PROPOSALS)
        shown = truth
        if truth is not None and plain.needs_label_maps and ("jf-semi" not in plain.families or union):
            shown = counted_anew(truth)
        for oracle, evaluation in evaluations.items():
            changed, source = predicted, found
            if oracle:
                assert truth is not None
                assert predicted is not None
                counted = _pedestrians(truth) if plain.rules in ONE_CLASS else truth
                changed, source = ORACLES[oracle](counted, predicted, on), None
            maps = partial(label_map_pairs, true, shown, source, changed, union) if plain.needs_label_maps else None
            tracks = (truth, changed) if plain.needs_tracks else (None, None)
            evaluation.update(true.name, true.id, *tracks, maps)
    except ValueError as error:
        raise ValueError(f"Video '{true.name}': {error}") from error
    return predicted is None or len(predicted) > 0


def _pedestrians(truth: Tracks) -> Tracks:
    """The true objects that rules for one class score: a part that is made perfect finds these."""
    rows = (
        (frame, row) for frame, seen in truth.observations() for row in seen if row.label == PEDESTRIAN and row.score
    )
    return Tracks.from_observations(rows, truth.size, truth.num_frames)
