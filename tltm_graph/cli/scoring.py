"""Score one video: its tracks, and the label maps that J and F are defined on."""

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import zip_longest

import numpy as np

from tltm_graph.formats import Video
from tltm_graph.formats.davis import MAX_LABEL, VOID, label_maps_of
from tltm_graph.metrics import Evaluation
from tltm_graph.metrics.benchmark_rules import PEDESTRIAN
from tltm_graph.metrics.davis import MAX_PROPOSALS
from tltm_graph.metrics.evaluation import ONE_CLASS, Scores
from tltm_graph.metrics.oracle import ORACLES
from tltm_graph.metrics.overlap import On, check_same_video
from tltm_graph.structures import Tracks


def score_video(
    true: Video, predicted: Video | None, evaluations: Mapping[str, Evaluation], on: On, union: bool
) -> bool:
    """Update all evaluations with one video.

    Args:
        true: Ground truth.
        predicted: Predictions; None for none.
        evaluations: Evaluations by the name of the oracle that is applied to the predictions; "" for none.
        on: Compare masks or boxes.
        union: Take all objects as one for J and F.

    Returns:
        False if there are no predicted tracks; True if tracks were not needed.
    """
    plain = evaluations[""]
    truth = tracks = None
    if plain.needs_tracks or len(evaluations) > 1 or true.label_map is None:
        truth = true.tracks()
    if plain.needs_tracks or len(evaluations) > 1 or predicted is None or predicted.label_map is None:
        tracks = Tracks({}, true.size, true.num_frames or 0) if predicted is None else predicted.tracks()
    try:
        given_ids = "jf-semi" in plain.families and not union
        if given_ids:
            if true.label_map is None and truth is not None:
                _check_given_ids(truth, "true", sum(not track.crowd for track in truth.values()))
            if predicted is not None and predicted.label_map is None:
                _check_given_ids(tracks, "predicted", MAX_PROPOSALS)
        numbered = _renumbered(truth) if truth is not None and plain.needs_label_maps and not given_ids else truth
        for oracle, evaluation in evaluations.items():
            changed, source = tracks, predicted
            if oracle:
                assert truth is not None
                assert tracks is not None
                counted = _pedestrians(truth) if plain.rules in ONE_CLASS else truth
                changed, source = ORACLES[oracle](counted, tracks, on), None
            maps = partial(_label_map_pairs, true, numbered, source, changed, union) if plain.needs_label_maps else None
            pair = (truth, changed) if plain.needs_tracks else (None, None)
            evaluation.update(true.name, true.id, *pair, maps)
    except ValueError as error:
        raise ValueError(f"Video '{true.name}': {error}") from error
    return tracks is None or len(tracks) > 0


def union_hint(scores: Scores, pairs: Collection[tuple[Video, Video | None]], union: bool) -> list[str]:
    """Suggest ``--union`` if the ground truth has one object and the predictions have several, as in DAVIS 2016."""
    if union or "JF_mean" not in scores.overall:
        return []
    for true, predicted in pairs:
        if predicted is None or predicted.label_map is None or true.label_map is None or not true.num_frames:
            continue
        if set(np.unique(true.label_map(0)).tolist()) - {0, VOID} != {1}:
            return []
        if int(predicted.label_map(predicted.num_frames // 2 if predicted.num_frames else 0).max()) > 1:
            return [f"'{true.name}' has one true object and several predicted ones: DAVIS 2016 scores with --union."]
    return []


def _pedestrians(truth: Tracks) -> Tracks:
    """Ground-truth objects that count under rules for one class: oracles make predictions of these."""
    rows = (
        (frame, row) for frame, rows in truth.observations() for row in rows if row.label == PEDESTRIAN and row.score
    )
    return Tracks.from_observations(rows, truth.size, truth.num_frames)


def _check_given_ids(tracks: Tracks | None, side: str, largest: int) -> None:
    """Check that ids fit into a label map: renumbered, they would be those of other objects."""
    ids = [] if tracks is None else [track_id for track_id, track in tracks.items() if not track.crowd]
    wrong = next((track_id for track_id in ids if not 1 <= track_id <= largest), None)
    if wrong is not None:
        raise ValueError(
            f"Expected {side} ids from 1 to {largest} for the metric jf-semi, got {wrong}: number the objects of the "
            "first true frame 1, 2, …, and predict with these ids"
        )


def _renumbered(truth: Tracks) -> Tracks:
    """Number objects 1, 2, … by first appearance: J and F count unused smaller ids as objects."""
    objects = sorted((track for track in truth.values() if not track.crowd), key=lambda track: track.frames[0])
    if len(objects) > MAX_LABEL:
        raise ValueError(
            f"Expected at most {MAX_LABEL} true objects for J and F, got {len(objects)}: use other metrics"
        )
    crowds = [track for track in truth.values() if track.crowd]
    return replace(truth, tracks=dict(enumerate([*objects, *crowds], start=1)))


def _label_map_pairs(
    true: Video, truth: Tracks | None, predicted: Video | None, tracks: Tracks | None, union: bool
) -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
    """Pair the label maps of both sides, read from files if their format stores label maps."""
    num_frames, size = true.num_frames or 0, true.size
    if tracks is not None and (predicted is None or predicted.label_map is None):
        if truth is not None:
            check_same_video(truth, tracks)
            num_frames, size = truth.num_frames, truth.size
        tracks = replace(tracks, num_frames=num_frames, size=tracks.size or size)
    true_maps = _label_maps(true, truth, MAX_LABEL)
    predicted_maps = _label_maps(predicted, tracks, MAX_LABEL if union else MAX_PROPOSALS)
    if union:
        true_maps = (np.where(labels == VOID, VOID, labels > 0).astype(np.uint8) for labels in true_maps)
        predicted_maps = ((labels > 0).astype(np.uint8) for labels in predicted_maps)  # predictions have no void
    return zip_longest(true_maps, predicted_maps)


def _label_maps(video: Video | None, tracks: Tracks | None, max_objects: int) -> Iterator[np.ndarray]:
    if video is not None and video.label_map is not None:
        return _read_ahead(map(video.label_map, range(video.num_frames or 0)))
    assert tracks is not None
    return label_maps_of(tracks, max_objects)


def _read_ahead(maps: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Read the next label map while the caller works on the current one."""
    with ThreadPoolExecutor(1) as reader:
        future = reader.submit(next, maps, None)
        while (labels := future.result()) is not None:
            future = reader.submit(next, maps, None)
            yield labels
