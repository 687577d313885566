from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics import official_tracking as official
from tests.metrics.identity_cases import drawn, frame, plain, random_frames
from tests.metrics.official_data import expected, mot17, mots, needs_shared, tud
from tltm_graph.metrics.benchmark_rules import mot_challenge_frames, mots_frames
from tltm_graph.metrics.identity_f1 import IdentityF1, IdentityF1Scores
from tltm_graph.metrics.overlap import FrameOverlap


def scored(*videos: list[FrameOverlap]) -> IdentityF1Scores:
    metric = IdentityF1()
    for number, frames in enumerate(videos):
        metric.update(f"video {number}", iter(frames))
    return metric.compute()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 8), st.integers(0, 8), st.integers(0, 12), st.sampled_from([None, 20, 4]))
def test_equals_the_official_algorithm(seed: int, objects: int, tracks: int, frames: int, levels: int | None):
    video = random_frames(seed, objects, tracks, frames, levels)
    assert scored(video).named() == official.identity(plain(video))


@pytest.mark.parametrize("seed", range(5))
def test_is_the_best_of_all_one_to_one_matchings(seed: int):
    video = random_frames(seed, 5, 5, 15)
    agreed = np.zeros((5, 5))
    for f in video:
        for i, g in enumerate(f.truth_ids // 7):
            for j, p in enumerate(f.predicted_ids // 7):
                agreed[g, p] += f.iou[i, j] >= 0.5
    best = max(sum(agreed[g, p] for g, p in enumerate(order)) for order in permutations(range(5)))
    assert scored(video).idtp == best > 0


def test_many_groups_of_tracks_are_one_problem():
    video = random_frames(3, 30, 40, 25)
    for f in video:
        f.iou[np.random.default_rng(1).random(f.iou.shape) < 0.97] = 0
    assert scored(video).named() == official.identity(plain(video))


def test_an_object_belongs_to_its_longest_track():
    assert scored(drawn("xxxxx", "aabbb")) == IdentityF1Scores(idtp=3, idfn=2, idfp=2)
    assert scored(drawn("xxxxx", "aabab")) == IdentityF1Scores(idtp=3, idfn=2, idfp=2)
    assert scored(drawn("xxx..", "aa.AA")) == IdentityF1Scores(idtp=2, idfn=1, idfp=2)


def test_the_threshold_is_not_lowered():
    assert scored([frame([0], [0], [[0.5]])]).idf1 == 1
    assert scored([frame([0], [0], [[np.nextafter(0.5, 0)]])]).idf1 == 0


def test_another_threshold():
    metric = IdentityF1(threshold=0.75)
    metric.update("video", [frame([0], [0], [[0.7]]), frame([0], [0], [[0.8]])])
    assert metric.compute() == IdentityF1Scores(1, 1, 1)
    assert repr(metric) == "IdentityF1(threshold=0.75)"


def test_videos_are_added():
    assert scored(drawn("xxx", "aab"), drawn("xx", ".a")) == IdentityF1Scores(3, 2, 1)


def test_nothing():
    assert scored() == scored([]) == scored([frame([], [])]) == IdentityF1Scores(0, 0, 0)
    assert scored([frame([1, 2], [])]) == IdentityF1Scores(0, 2, 0)
    assert scored([frame([], [1, 2])]) == IdentityF1Scores(0, 0, 2)
    assert (scored().idf1, scored().idp, scored().idr) == (0, 0, 0)


def check(metric: IdentityF1, theirs: dict[str, float]) -> None:
    for name, value in metric.compute().named().items():
        assert value == pytest.approx(theirs[name], abs=1e-12), name


@needs_shared
@pytest.mark.parametrize("sequence", ["MOT17-02", "MOT17-05", "MOT17-09", "MOT17-13"])
def test_mot17(sequence: str):
    metric = IdentityF1()
    metric.update(sequence, mot_challenge_frames(*mot17(sequence)))
    check(metric, expected("mot17/expected.json")[f"{sequence}-FRCNN"])


@needs_shared
def test_tud():
    metric = IdentityF1()
    for sequence, length in (("TUD-Campus", 71), ("TUD-Stadtmitte", 179)):
        metric.update(sequence, mot_challenge_frames(*tud(sequence, length)))
    theirs = expected("tud/expected.json")
    check(metric, theirs["recomputed_with_official_TrackEval"]["COMBINED_SEQ"])
    assert metric.compute().idf1 == pytest.approx(theirs["published_mmtracking_test"]["IDF1"], abs=1e-3)
    assert metric.compute().idp == pytest.approx(theirs["published_mmtracking_test"]["IDP"], abs=1e-3)


@needs_shared
def test_mots():
    truth, predicted = mots("mots20/MOTS20-05/gt/gt.txt.gz"), mots("mots20/perturbed/tracker_results/MOTS20-05.txt.gz")
    metric = IdentityF1()
    metric.update("MOTS20-05", mots_frames(truth, predicted, label=1))
    check(metric, expected("mots20/perturbed/official_TrackEval_scores.json")["COMBINED_SEQ"])
