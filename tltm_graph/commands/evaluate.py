import json
import math
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from tqdm import tqdm

from tltm_graph.commands.report import markdown_report
from tltm_graph.data import (
    Video,
    VideoSet,
    guess_format,
    local_split,
    map_classes,
    open_videos,
    read_class_map,
)
from tltm_graph.data.class_maps import same_classes
from tltm_graph.data.davis import MAX_LABEL, VOID, label_maps_of
from tltm_graph.data.local_split import Part
from tltm_graph.io import output_folder, write_atomically
from tltm_graph.metrics import ORACLES, Evaluation, On
from tltm_graph.metrics.benchmark_rules import PEDESTRIAN
from tltm_graph.metrics.davis import MAX_PROPOSALS
from tltm_graph.metrics.evaluation import ONE_CLASS, RULES_ON
from tltm_graph.metrics.overlap import check_same_video
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

Missing = Literal["error", "empty", "skip"]


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
        truth_format: One of :data:`tltm_graph.data.FORMATS`; by default the one it looks like.
        predictions_format: The same for the predictions.
        metrics: Of :data:`tltm_graph.metrics.FAMILIES`; by default those of the benchmark whose format the truth has.
        on: Compare masks or boxes; by default what the rules compare, else masks if both sides have them.
        rules: One of :data:`tltm_graph.metrics.RULES`; by default those of the benchmark whose format the truth has.
        class_map: From the classes of the predictions to those of the truth, see
            :func:`tltm_graph.data.read_class_map`; by default classes of the same name are the same.
        class_agnostic: Look at no classes. They are not looked at either if one side has none.
        part: Only this part of :func:`tltm_graph.data.local_split`.
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
    notes: list[str] = []
    true_set = open_videos(truth, kind, image_set=image_set)
    found_set = open_videos(predictions, predictions_format, like=true_set)
    if part is not None:
        scored, everything = local_split(true_set, part), true_set
        found_set = found_set.select([v for v in found_set if scored.named(v.name) or not everything.named(v.name)])
        true_set = scored
    class_names, found_set = _same_classes(true_set, found_set, class_map, class_agnostic or rules in ONE_CLASS, notes)
    pairs = _pairs(true_set, found_set, missing, notes)
    on = on or RULES_ON.get(rules) or _common(pairs)
    settings |= {"metrics": families, "on": on, "rules": rules, "truth_format": kind, "oracles": list(oracles)}
    evaluations = {name: Evaluation(families, class_names, on, rules) for name in ("", *oracles)}
    with output_folder(Path(output)) as folder:
        for true, found in tqdm(pairs, desc="scoring", unit=" videos", file=sys.stderr):
            _score(true, found, evaluations, on, union)
        scores = {name: evaluation.compute() for name, evaluation in evaluations.items()}
        report = {
            "settings": settings,
            "videos": len(pairs),
            "classes": class_names,
            "scores": {name: _finite(getattr(scores[""], name)) for name in ("overall", "per_video", "per_class")},
            "oracles": {name: _finite(scores[name].overall) for name in oracles},
            "notes": [*notes, *scores[""].notes],
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


def _same_classes(
    true_set: VideoSet, found_set: VideoSet, class_map: str | None, agnostic: bool, notes: list[str]
) -> tuple[tuple[str, ...] | None, VideoSet]:
    """The classes to score by, and the predictions in these classes."""
    names, found_names = true_set.class_names, found_set.class_names
    if class_map is not None:
        table = read_class_map(class_map)
        targets = names or tuple(dict.fromkeys(table.values()))
        table = {name: to for name, to in table.items() if to in targets}
        _note_dropped(found_set.class_names or (), table, targets, notes)
        found_set = map_classes(found_set, table, targets)
        found_names = targets
    if agnostic or names is None:
        return None, found_set
    if found_names is None:
        if len(names) > 1:
            notes.append("The predictions have no classes: classes are not looked at.")
        return None, found_set
    if found_names == names:
        return names, found_set
    table = same_classes([name for name in found_names if name in names])
    _note_dropped(found_names, table, names, notes)
    return names, map_classes(found_set, table, names)


def _note_dropped(names: Collection[str], table: Mapping[str, str], targets: Collection[str], notes: list[str]) -> None:
    """Says which classes of the predictions are left out; all of them are not."""
    dropped = [name for name in names if name not in table]
    if names and len(dropped) == len(names):
        raise ValueError(
            f"Expected predictions of the classes {_some(targets)}, got {_some(names)}: name a class map, or score "
            "without classes"
        )
    if dropped:
        notes.append(f"Predictions of {len(dropped)} classes that the truth lacks are left out: {_some(dropped)}.")


def _some(names: Collection[str]) -> str:
    listed = ", ".join(list(names)[:8])
    return listed if len(names) <= 8 else f"{listed} and {len(names) - 8} others"


def _pairs(
    true_set: VideoSet, found_set: VideoSet, missing: Missing, notes: list[str]
) -> list[tuple[Video, Video | None]]:
    """Each true video with its predictions."""
    if len(true_set) == 0:
        raise ValueError(f"Expected at least one video to score in '{true_set.name}', got none")
    if len(true_set) == len(found_set) == 1 and true_set[0].name != found_set[0].name:
        notes.append(f"The only video is '{true_set[0].name}' in the truth, '{found_set[0].name}' in the predictions.")
        return [(true_set[0], found_set[0])]
    unknown = [video.name for video in found_set if true_set.named(video.name) is None]
    if unknown:
        raise ValueError(
            f"Expected predictions for the videos of '{true_set.name}' ({_some([v.name for v in true_set])}), got some "
            f"for '{unknown[0]}' in '{found_set.name}'"
        )
    pairs = [(video, found_set.named(video.name)) for video in true_set]
    lacking = [true.name for true, found in pairs if found is None]
    if len(lacking) == len(pairs) and missing == "skip":
        raise ValueError(
            f"Expected predictions for at least one of the {len(pairs)} videos of '{true_set.name}', got none in "
            f"'{found_set.name}'"
        )
    if lacking and missing == "error":
        raise ValueError(
            f"Expected predictions for all {len(true_set)} videos, got none for {len(lacking)} of them "
            f"({_some(lacking)}): say whether they count as empty or are to be skipped"
        )
    if lacking and missing == "skip":
        notes.append(f"{len(lacking)} videos without predictions are not scored: {_some(lacking)}.")
        return [pair for pair in pairs if pair[1] is not None]
    if lacking:
        notes.append(f"{len(lacking)} videos without predictions count as empty: {_some(lacking)}.")
    return pairs


def _common(pairs: Iterable[tuple[Video, Video | None]]) -> On:
    """Masks if the first tracks of both sides have them."""
    for true, found in pairs:
        first = [next(iter(video.tracks().values()), None) for video in (true, found) if video is not None]
        known = [track for track in first if track is not None]
        if any(track.masks is None for track in known):
            return "boxes"
        if len(known) == 2:
            return "masks"
    return "masks"


def _score(true: Video, found: Video | None, evaluations: Mapping[str, Evaluation], on: On, union: bool) -> None:
    """Feeds one video to all evaluations: the predictions as they are, and with one part made perfect."""
    plain = evaluations[""]
    truth = predicted = None
    if plain.needs_tracks or len(evaluations) > 1 or true.label_map is None:
        truth = true.tracks()
    if plain.needs_tracks or len(evaluations) > 1 or found is None or found.label_map is None:
        predicted = Tracks({}, true.size, true.num_frames or 0) if found is None else found.tracks()
    try:
        if "jf-semi" in plain.families and not union:
            if true.label_map is None and truth is not None:
                _check_given_ids(truth, "true", sum(not track.crowd for track in truth.values()))
            if found is not None and found.label_map is None:
                _check_given_ids(predicted, "predicted", MAX_PROPOSALS)
        shown = truth
        if truth is not None and plain.needs_label_maps and ("jf-semi" not in plain.families or union):
            shown = _counted_anew(truth)
        for oracle, evaluation in evaluations.items():
            changed, source = predicted, found
            if oracle:
                assert truth is not None
                assert predicted is not None
                counted = _pedestrians(truth) if plain.rules in ONE_CLASS else truth
                changed, source = ORACLES[oracle](counted, predicted, on), None
            maps = partial(_label_maps, true, shown, source, changed, union) if plain.needs_label_maps else None
            tracks = (truth, changed) if plain.needs_tracks else (None, None)
            evaluation.update(true.name, true.id, *tracks, maps)
    except ValueError as error:
        raise ValueError(f"Video '{true.name}': {error}") from error


def _pedestrians(truth: Tracks) -> Tracks:
    """The true objects that rules for one class score: a part that is made perfect finds these."""
    rows = ((frame, row) for frame, seen in truth.sightings() for row in seen if row.label == PEDESTRIAN and row.score)
    return Tracks.from_sightings(rows, truth.size, truth.num_frames)


def _check_given_ids(tracks: Tracks | None, side: str, most: int) -> None:
    """Ids that do not fit in a label map would be counted anew, and be those of other objects."""
    ids = [] if tracks is None else [track_id for track_id, track in tracks.items() if not track.crowd]
    wrong = next((track_id for track_id in ids if not 1 <= track_id <= most), None)
    if wrong is not None:
        raise ValueError(
            f"Expected {side} ids from 1 to {most} for the metric jf-semi, got {wrong}: number the objects of the "
            "first true frame 1, 2, …, and predict with these ids"
        )


def _counted_anew(truth: Tracks) -> Tracks:
    """Objects as 1, 2, … in the order in which they appear: J and F would take unused ids below for objects."""
    objects = sorted((track for track in truth.values() if not track.crowd), key=lambda track: track.frames[0])
    if len(objects) > MAX_LABEL:
        raise ValueError(f"Expected at most {MAX_LABEL} true objects for J and F, got {len(objects)}: score otherwise")
    crowds = [track for track in truth.values() if track.crowd]
    return replace(truth, tracks=dict(enumerate([*objects, *crowds], start=1)))


def _label_maps(
    true: Video, truth: Tracks | None, found: Video | None, predicted: Tracks | None, union: bool
) -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
    """Both sides as label maps, as they are in their files where they are label maps."""
    num_frames, size = true.num_frames or 0, true.size
    if predicted is not None and (found is None or found.label_map is None):
        if truth is not None:
            check_same_video(truth, predicted)
            num_frames, size = truth.num_frames, truth.size
        predicted = replace(predicted, num_frames=num_frames, size=predicted.size or size)
    true_maps, found_maps = (
        _maps(true, truth, MAX_LABEL),
        _maps(found, predicted, MAX_LABEL if union else MAX_PROPOSALS),
    )
    if union:
        true_maps, found_maps = map(_merged, true_maps), map(_as_one, found_maps)
    return zip_longest(true_maps, found_maps)


def _merged(pixels: np.ndarray) -> np.ndarray:
    """All true objects as object 1; void stays void."""
    return np.where(pixels == VOID, VOID, pixels > 0).astype(np.uint8)


def _as_one(pixels: np.ndarray) -> np.ndarray:
    """All predicted objects as object 1: predictions have no void."""
    return (pixels > 0).astype(np.uint8)


def _maps(video: Video | None, tracks: Tracks | None, most: int) -> Iterator[np.ndarray]:
    if video is not None and video.label_map is not None:
        return map(video.label_map, range(video.num_frames or 0))
    assert tracks is not None
    return label_maps_of(tracks, most)
