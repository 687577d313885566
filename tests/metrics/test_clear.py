import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from tests.metrics import official_tracking as official
from tests.metrics.identity_cases import drawn, frame, plain, random_frames
from tests.metrics.official_data import expected, mot17, mots, needs_shared, tud
from tltm_graph.metrics.benchmark_rules import mot_challenge_frames, mots_frames
from tltm_graph.metrics.clear import Clear, ClearBdd100k, ClearBdd100kScores, ClearScores, MatchHistory
from tltm_graph.metrics.overlap import FrameOverlap


def scored(*videos: list[FrameOverlap]) -> ClearScores:
    metric = Clear()
    for number, frames in enumerate(videos):
        metric.update(f"video {number}", iter(frames))
    return metric.compute()


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 6), st.integers(0, 6), st.integers(0, 15), st.sampled_from([None, 20, 4]))
def test_equals_the_official_algorithm(seed: int, objects: int, tracks: int, frames: int, levels: int | None):
    video = random_frames(seed, objects, tracks, frames, levels)
    ours = scored(video).named()
    for name, value in official.clear(plain(video)).items():
        assert ours[name] == pytest.approx(value, abs=1e-12), name


def test_an_old_pair_stays_together_until_it_is_too_far_apart():
    begin, rival = frame([0], [0]), [[0.5, 0.99]]
    assert scored([begin, frame([0], [0, 1], rival)]).id_switches == 0
    assert scored([begin, frame([0], [0, 1], [[0.499, 0.99]])]).id_switches == 1
    assert scored([begin, frame([0], [0, 1], rival)]).overlap == 1.5


def test_a_switch_compares_with_the_last_track_however_old():
    assert scored(drawn("xxx", "aba")).id_switches == 2
    assert scored(drawn("xxxxx", "aA.Ba")).id_switches == 0
    assert scored(drawn("xx...xx", "aa...bb")).id_switches == 1


def test_frames_without_predictions_begin_no_fragment():
    assert scored(drawn("xxx", "aBa")).fragments == 1
    assert scored(drawn("xxx", "a.a")).fragments == 0, "the frame of the miss has no prediction"
    assert scored(drawn("x.x", "a.a")).fragments == 0
    assert scored(drawn("xxxx", "B.aa")).fragments == 0, "the first match is no fragment"


@pytest.mark.parametrize(
    ("predicted", "kind"),
    [("aaaaa", "mostly_tracked"), ("aaaaB", "partly_tracked"), ("aBBBB", "partly_tracked"), ("BBBBB", "mostly_lost")],
)
def test_objects_at_the_limits_are_partly_tracked(predicted: str, kind: str):
    scores = scored(drawn("xxxxx", predicted))
    kinds = {name: getattr(scores, name) for name in ("mostly_tracked", "partly_tracked", "mostly_lost")}
    assert kinds == {name: int(name == kind) for name in kinds}


def test_scores_follow_from_the_counts():
    scores = ClearScores(80, 20, 10, 5, 3, 1, 1, 7, 50, 64.0)
    named = scores.named()
    assert (scores.mota, named["MODA"], named["sMOTA"], named["MOTP"]) == (0.65, 0.70, 0.49, 0.8)
    assert (named["CLR_Re"], named["CLR_Pr"]) == (0.8, 80 / 90)
    assert named["MOTAL"] == pytest.approx((80 - 10 - math.log10(5)) / 100)
    assert (named["MTR"], named["FP_per_frame"]) == (0.6, 0.2)
    assert ClearScores(1, 0, 0, 1, 1, 0, 0, 0, 1, 1.0).named()["MOTAL"] == 1
    assert ClearScores(0, 10, 20, 0, 0, 0, 1, 0, 1, 0.0).mota == -2, "MOTA may be negative"


def test_a_rounding_error_below_the_threshold_is_tolerated():
    assert scored([frame([0], [0], [[np.nextafter(0.5, 0)]])]).tp == 1
    assert scored([frame([0], [0], [[0.5 - 1e-12]])]).tp == 0
    strict = Clear(threshold=0.75)
    strict.update("video", [frame([0], [0], [[0.7]])])
    assert strict.compute().tp == 0


def test_no_videos_and_empty_videos():
    assert scored() == scored([]) == ClearScores(0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0)
    assert set(scored().named().values()) == {0}


def test_frames_count_in_videos_without_true_or_predicted_objects():
    missed, false = [frame([1, 2], [])] * 4, [frame([], [1, 2])] * 4
    assert scored(missed) == ClearScores(0, 8, 0, 0, 0, 0, 2, 0, 4, 0.0)
    assert scored(false) == ClearScores(0, 0, 8, 0, 0, 0, 0, 0, 4, 0.0)
    assert scored(missed, false).named()["FP_per_frame"] == 1
    assert (scored(missed).named()["MLR"], scored(false).named()["MLR"]) == (1, 0)


def check(metric: Clear, theirs: dict[str, float]) -> None:
    for name, value in metric.compute().named().items():
        assert value == pytest.approx(theirs[name], abs=1e-9), name


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("sequence", ["MOT17-02", "MOT17-05", "MOT17-09", "MOT17-13"])
def test_mot17(sequence: str):
    metric = Clear()
    metric.update(sequence, mot_challenge_frames(*mot17(sequence)))
    check(metric, expected("mot17/expected.json")[f"{sequence}-FRCNN"])


@needs_shared
def test_tud():
    metric = Clear()
    for sequence, length in (("TUD-Campus", 71), ("TUD-Stadtmitte", 179)):
        metric.update(sequence, mot_challenge_frames(*tud(sequence, length)))
    theirs = expected("tud/expected.json")
    check(metric, theirs["recomputed_with_official_TrackEval"]["COMBINED_SEQ"])
    assert metric.compute().mota == pytest.approx(theirs["published_mmtracking_test"]["MOTA"], abs=1e-3)
    assert metric.compute().id_switches == theirs["published_mmtracking_test"]["IDs"]


@needs_shared
def test_mots():
    truth, predicted = mots("mots20/MOTS20-05/gt/gt.txt.gz"), mots("mots20/perturbed/tracker_results/MOTS20-05.txt.gz")
    metric = Clear()
    metric.update("MOTS20-05", mots_frames(truth, predicted, label=1))
    theirs = expected("mots20/perturbed/official_TrackEval_scores.json")["COMBINED_SEQ"]
    check(metric, theirs)
    assert metric.compute().named()["sMOTA"] == pytest.approx(theirs["sMOTA"], abs=1e-12)


def test_match_history_counts_each_kind_of_interruption():
    """Object 0 is matched, present but missed, absent, and matched again."""
    history = MatchHistory()
    for objects, tracks, track_of in (([0], [5], {0: 5}), ([0], [6], {}), ([], [6], {}), ([0], [7], {0: 7})):
        history.add(objects, tracks, track_of)
    assert (history.id_switches, history.restarts, history.recoveries) == (1, 1, 1)
    assert (history.num_frames, history.num_predicted, history.matched_shares()) == (4, 4, [2 / 3])
    assert (history.last, history.previous) == ({0: 7}, {0: 7})
    history.add([0], [], {})
    assert history.previous == {0: 7}, "a frame without predictions is no previous frame"


# --- BDD100K


def scored_bdd100k(*videos: list[FrameOverlap]) -> ClearBdd100kScores:
    metric = ClearBdd100k()
    for number, frames in enumerate(videos):
        metric.update(f"video {number}", iter(frames))
    return metric.compute()


def by_events(frames: list[FrameOverlap]) -> ClearBdd100kScores:
    """Count in a list of events, as py-motmetrics (MIT licence) makes them."""
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
        is_matched = [kind != "miss" for kind, o, _ in events if o == obj]
        shares.append(sum(is_matched) / len(is_matched))
        matches = np.flatnonzero(is_matched)
        span = is_matched[matches[0] : matches[-1] + 1] if len(matches) else []
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
        frames=len(frames),
        overlap=hits - float(np.nansum([d for _, _, d in events])),
    )


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 6), st.integers(0, 6), st.integers(0, 15))
def test_bdd100k_equals_the_list_of_events(seed: int, objects: int, tracks: int, frames: int):
    video = random_frames(seed, objects, tracks, frames)
    ours, theirs = vars(scored_bdd100k(video)).copy(), vars(by_events(video)).copy()
    assert ours.pop("overlap") == pytest.approx(theirs.pop("overlap"), abs=1e-9)
    assert ours == theirs


def test_bdd100k_remembers_the_last_track_over_frames_without_it():
    rival = frame([0], [0, 1], [[0.5, 0.99]])
    away = frame([0], [])
    assert scored_bdd100k([frame([0], [0]), away, rival]).id_switches == 0
    assert scored_bdd100k([frame([0], [0]), away, rival]).overlap == 1.5
    assert scored_bdd100k(drawn("xxx", "aba")).id_switches == 2


def test_bdd100k_gives_a_shared_last_track_to_the_first_object():
    begin = [frame([3], [9], [[1.0]]), frame([5], [9], [[1.0]])]
    scores = scored_bdd100k([*begin, frame([3, 5], [9], [[0.6], [0.9]])])
    assert (scores.id_switches, scores.fn, scores.overlap) == (0, 1, 2.6)


@pytest.mark.parametrize(
    ("truth", "predicted", "fragments"),
    [("xxx", "aBa", 1), ("xxx", "a.a", 1), ("x.x", "a.a", 0), ("xxxx", "B.aa", 0), ("xxxx", "aaB.", 0)],
)
def test_bdd100k_fragments_are_misses_between_matches(truth: str, predicted: str, fragments: int):
    assert scored_bdd100k(drawn(truth, predicted)).fragments == fragments


@pytest.mark.parametrize(
    ("predicted", "kind"),
    [("aaaaB", "mostly_tracked"), ("aaaBB", "partly_tracked"), ("aBBBB", "partly_tracked"), ("BBBBB", "mostly_lost")],
)
def test_bdd100k_limits_belong_to_the_better_side(predicted: str, kind: str):
    assert getattr(scored_bdd100k(drawn("xxxxx", predicted)), kind) == 1


def test_bdd100k_without_objects():
    scores = scored_bdd100k([])
    assert scores == scored_bdd100k() == ClearBdd100kScores(0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0)
    assert math.isnan(scores.mota)
    assert math.isnan(scores.motp)
    assert scored_bdd100k([frame([], [1])]).mota == -math.inf
    assert scored_bdd100k([frame([1], [])]).mota == 0
