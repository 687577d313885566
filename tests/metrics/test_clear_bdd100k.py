import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from tests.metrics.identity_cases import drawn, frame, random_frames
from tests.metrics.official_data import BDD_CLASSES, bdd100k, expected, needs_shared
from tltm_graph.metrics.benchmark_rules import bdd100k_frames
from tltm_graph.metrics.clear_bdd100k import ClearBdd100k, ClearBdd100kScores, summarise_bdd100k
from tltm_graph.metrics.identity_f1 import IdentityF1, IdentityF1Scores
from tltm_graph.metrics.overlap import FrameOverlap
from tltm_graph.metrics.video_metric import update_together


def scored(*videos: list[FrameOverlap]) -> ClearBdd100kScores:
    metric = ClearBdd100k()
    for number, frames in enumerate(videos):
        metric.update(f"video {number}", iter(frames))
    return metric.compute()


def by_events(frames: list[FrameOverlap]) -> ClearBdd100kScores:
    """The same from a list of events, as py-motmetrics (MIT licence) makes them."""
    last: dict[int, int] = {}
    events: list[tuple[str, int, float]] = []  # kind, object, distance
    for f in frames:
        objects, tracks = f.truth_ids.tolist(), f.predicted_ids.tolist()
        distance = 1 - f.iou
        distance[distance > 0.5] = np.nan
        free_objects, free_tracks = dict.fromkeys(range(len(objects)), True), dict.fromkeys(range(len(tracks)), True)
        for i, obj in enumerate(objects):
            j = tracks.index(last[obj]) if obj in last and last[obj] in tracks else None
            if j is not None and free_tracks[j] and np.isfinite(distance[i, j]):
                events.append(("match", obj, distance[i, j]))
                free_objects[i] = free_tracks[j] = False
        rows, columns = ([i for i, is_free in free.items() if is_free] for free in (free_objects, free_tracks))
        rest = distance[np.ix_(rows, columns)]
        for r, c in zip(*linear_sum_assignment(np.nan_to_num(rest, nan=1000.0)), strict=True):
            if np.isfinite(rest[r, c]):
                obj, track = objects[rows[r]], tracks[columns[c]]
                events.append(("switch" if last.get(obj, track) != track else "match", obj, rest[r, c]))
                last[obj] = track
                free_objects[rows[r]] = free_tracks[columns[c]] = False
        events += [("miss", objects[i], np.nan) for i, is_free in free_objects.items() if is_free]
        events += [("fp", -1, np.nan) for is_free in free_tracks.values() if is_free]
    kinds = [kind for kind, _, _ in events]
    shares, fragments = [], 0
    for obj in {obj for _, obj, _ in events if obj >= 0}:
        found = [kind != "miss" for kind, o, _ in events if o == obj]
        shares.append(sum(found) / len(found))
        ever = np.flatnonzero(found)
        span = found[ever[0] : ever[-1] + 1] if len(ever) else []
        fragments += sum(a and not b for a, b in pairwise(span))
    hits = kinds.count("match") + kinds.count("switch")
    return ClearBdd100kScores(
        tp=hits,
        fn=kinds.count("miss"),
        fp=kinds.count("fp"),
        id_switches=kinds.count("switch"),
        mostly_tracked=sum(share >= 0.8 for share in shares),
        partly_tracked=sum(0.2 <= share < 0.8 for share in shares),
        mostly_lost=sum(share < 0.2 for share in shares),
        fragments=fragments,
        overlap=hits - float(np.nansum([d for _, _, d in events])),
    )


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 6), st.integers(0, 6), st.integers(0, 15))
def test_equals_the_list_of_events(seed: int, objects: int, tracks: int, frames: int):
    video = random_frames(seed, objects, tracks, frames)
    ours, theirs = vars(scored(video)).copy(), vars(by_events(video)).copy()
    assert ours.pop("overlap") == pytest.approx(theirs.pop("overlap"), abs=1e-9)
    assert ours == theirs


def test_the_last_track_is_remembered_over_frames_without_it():
    rival = frame([0], [0, 1], [[0.5, 0.99]])
    away = frame([0], [])
    assert scored([frame([0], [0]), away, rival]).id_switches == 0
    assert scored([frame([0], [0]), away, rival]).overlap == 1.5
    assert scored(drawn("xxx", "aba")).id_switches == 2


def test_a_track_that_two_objects_remember_goes_to_the_first():
    begin = [frame([3], [9], [[1.0]]), frame([5], [9], [[1.0]])]
    scores = scored([*begin, frame([3, 5], [9], [[0.6], [0.9]])])
    assert (scores.id_switches, scores.fn, scores.overlap) == (0, 1, 2.6)


@pytest.mark.parametrize(
    ("truth", "predicted", "fragments"),
    [("xxx", "aBa", 1), ("xxx", "a.a", 1), ("x.x", "a.a", 0), ("xxxx", "B.aa", 0), ("xxxx", "aaB.", 0)],
)
def test_a_fragment_is_a_miss_between_matches(truth: str, predicted: str, fragments: int):
    assert scored(drawn(truth, predicted)).fragments == fragments


@pytest.mark.parametrize(
    ("predicted", "kind"),
    [("aaaaB", "mostly_tracked"), ("aaaBB", "partly_tracked"), ("aBBBB", "partly_tracked"), ("BBBBB", "mostly_lost")],
)
def test_the_limits_belong_to_the_better_side(predicted: str, kind: str):
    assert getattr(scored(drawn("xxxxx", predicted)), kind) == 1


def test_nothing():
    scores = scored([])
    assert scores == scored() == ClearBdd100kScores(0, 0, 0, 0, 0, 0, 0, 0, 0.0)
    assert math.isnan(scores.mota)
    assert math.isnan(scores.motp)
    assert scored([frame([], [1])]).mota == -math.inf
    assert scored([frame([1], [])]).mota == 0


def test_classes_without_a_score_enter_the_mean_as_zero():
    clear = {"cat": scored(drawn("xx", "aB")), "dog": scored([frame([], [1])]), "cow": scored([])}
    identity = {"cat": IdentityF1Scores(1, 1, 1), "dog": IdentityF1Scores(0, 0, 1), "cow": IdentityF1Scores(0, 0, 0)}
    summary = summarise_bdd100k(clear, identity)
    assert summary.clear == ClearBdd100kScores(1, 1, 2, 0, 0, 1, 0, 0, 1.0)
    assert summary.identity == IdentityF1Scores(1, 1, 2)
    assert (summary.mean_idf1, summary.mean_mota, summary.mean_motp) == (0.5 / 3, 0 / 3, 1 / 3)


def test_both_scores_of_every_class_are_needed():
    with pytest.raises(ValueError, match=r"Expected both scores of every class, got classes \['cat'\] and \[\]"):
        summarise_bdd100k({"cat": scored()}, {})
    with pytest.raises(ValueError, match="Expected both scores of every class"):
        summarise_bdd100k({}, {})


@needs_shared
def test_bdd100k():
    truth, predicted = bdd100k("seg_track_sample"), bdd100k("seg_track_preds")
    clear, identity = {}, {}
    for label, name in enumerate(BDD_CLASSES):
        metrics = ClearBdd100k(), IdentityF1()
        update_together(metrics, "video", bdd100k_frames(truth, predicted, "masks", label))
        clear[name], identity[name] = (metric.compute() for metric in metrics)
    ours = summarise_bdd100k(clear, identity).named()
    theirs = expected("bdd100k_masks/expected_scores.json")["seg_track"]["summary"]
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        share = isinstance(value, float)
        assert ours[name] * (100 if share else 1) == pytest.approx(value, abs=1e-9), name
