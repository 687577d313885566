import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics import official_tracking as official
from tests.metrics.identity_cases import drawn, frame, plain, random_frames
from tests.metrics.official_data import expected, mot17, mots, needs_shared, tud
from tltm_graph.metrics.benchmark_rules import mot_challenge_frames, mots_frames
from tltm_graph.metrics.clear import Clear, ClearScores
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


def test_a_switch_is_told_from_the_last_track_however_old():
    assert scored(drawn("xxx", "aba")).id_switches == 2
    assert scored(drawn("xxxxx", "aA.Ba")).id_switches == 0
    assert scored(drawn("xx...xx", "aa...bb")).id_switches == 1


def test_fragments_and_the_frames_that_are_passed_over():
    assert scored(drawn("xxx", "aBa")).fragments == 1
    assert scored(drawn("xxx", "a.a")).fragments == 0, "nobody predicts anything in the frame of the miss"
    assert scored(drawn("x.x", "a.a")).fragments == 0
    assert scored(drawn("xxxx", "B.aa")).fragments == 0, "the first stretch is none"


@pytest.mark.parametrize(
    ("predicted", "kind"),
    [("aaaaa", "mostly_tracked"), ("aaaaB", "partly_tracked"), ("aBBBB", "partly_tracked"), ("BBBBB", "mostly_lost")],
)
def test_the_limits_are_partly_tracked(predicted: str, kind: str):
    scores = scored(drawn("xxxxx", predicted))
    kinds = {name: getattr(scores, name) for name in ("mostly_tracked", "partly_tracked", "mostly_lost")}
    assert kinds == {name: int(name == kind) for name in kinds}


def test_scores_follow_from_the_counts():
    scores = ClearScores(80, 20, 10, 5, 3, 1, 1, 7, 50, 64.0)
    assert (scores.mota, scores.moda, scores.smota, scores.motp) == (0.65, 0.70, 0.49, 0.8)
    assert (scores.recall, scores.precision) == (0.8, 80 / 90)
    named = scores.named()
    assert named["MOTAL"] == pytest.approx((80 - 10 - math.log10(5)) / 100)
    assert (named["MTR"], named["FP_per_frame"]) == (0.6, 0.2)
    assert ClearScores(1, 0, 0, 1, 1, 0, 0, 0, 1, 1.0).named()["MOTAL"] == 1
    assert ClearScores(0, 10, 20, 0, 0, 0, 1, 0, 1, 0.0).mota == -2, "it may be negative"


def test_an_overlap_that_misses_the_threshold_by_a_rounding_error_counts():
    assert scored([frame([0], [0], [[np.nextafter(0.5, 0)]])]).tp == 1
    assert scored([frame([0], [0], [[0.5 - 1e-12]])]).tp == 0
    strict = Clear(threshold=0.75)
    strict.update("video", [frame([0], [0], [[0.7]])])
    assert strict.compute().tp == 0


def test_nothing():
    assert scored() == scored([]) == ClearScores(0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0)
    assert set(scored().named().values()) == {0}


def test_frames_of_videos_without_a_side_count():
    missed, invented = [frame([1, 2], [])] * 4, [frame([], [1, 2])] * 4
    assert scored(missed) == ClearScores(0, 8, 0, 0, 0, 0, 2, 0, 4, 0.0)
    assert scored(invented) == ClearScores(0, 0, 8, 0, 0, 0, 0, 0, 4, 0.0)
    assert scored(missed, invented).named()["FP_per_frame"] == 1
    assert (scored(missed).named()["MLR"], scored(invented).named()["MLR"]) == (1, 0)


def check(metric: Clear, theirs: dict[str, float]) -> None:
    for name, value in metric.compute().named().items():
        assert value == pytest.approx(theirs[name], abs=1e-9), name


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
    assert metric.compute().smota == pytest.approx(theirs["sMOTA"], abs=1e-12)
