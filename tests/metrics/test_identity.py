from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import cases
from tests.metrics import official_tracking as official
from tests.metrics.identity_cases import drawn, frame, plain, random_frames
from tests.metrics.official_data import expected, mot17, mots, needs_shared, tud
from tltm_graph import Detections, MovingShapes
from tltm_graph.metrics.benchmark_rules import mot_challenge_frames, mots_frames
from tltm_graph.metrics.identity import IdentityF1, IdentityF1Scores, IdentityMeter, IdentityScores
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
def test_idf1_is_the_best_of_all_one_to_one_assignments(seed: int):
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


def test_no_videos_and_empty_videos():
    assert scored() == scored([]) == scored([frame([], [])]) == IdentityF1Scores(0, 0, 0)
    assert scored([frame([1, 2], [])]) == IdentityF1Scores(0, 2, 0)
    assert scored([frame([], [1, 2])]) == IdentityF1Scores(0, 0, 2)
    assert set(scored().named().values()) == {0}


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
    assert metric.compute().named()["IDP"] == pytest.approx(theirs["published_mmtracking_test"]["IDP"], abs=1e-3)


@needs_shared
def test_mots():
    truth, predicted = mots("mots20/MOTS20-05/gt/gt.txt.gz"), mots("mots20/perturbed/tracker_results/MOTS20-05.txt.gz")
    metric = IdentityF1()
    metric.update("MOTS20-05", mots_frames(truth, predicted, label=1))
    check(metric, expected("mots20/perturbed/official_TrackEval_scores.json")["COMBINED_SEQ"])


# --- IdentityMeter


def scores(truth: list[Detections], output: list[Detections]) -> IdentityScores:
    meter = IdentityMeter()
    for true, out in zip(truth, output, strict=True):
        meter.update(true, out)
    return meter.compute()


def compare(truth: str, output: str) -> IdentityScores:
    return scores(cases.drawn(truth), cases.drawn(output))


def test_meter_of_perfect_tracks():
    result = compare("a..b\na..b\n.a.b", "c..a\nc..a\n.c.a")
    assert result == IdentityScores(objects=2, observations=6, found=6, switches=0, fragments=0, whole=2, tracks=2)
    assert (result.recall, result.whole_share) == (1, 1)


def test_meter_counts_a_switch_and_a_fragment():
    result = compare("a..\na..\na..\na..", "a..\na..\n...\nb..")
    assert (result.switches, result.fragments, result.found, result.whole) == (1, 1, 3, 0)


def test_meter_counts_no_fragment_for_an_absent_object():
    assert compare("a..\n...\na..", "a..\n...\na..").fragments == 0
    assert compare("a..\na..\na..", "a..\n...\na..").fragments == 1


def test_meter_of_two_objects_that_swap():
    result = compare("a...b\na...b", "a...b\nb...a")
    assert (result.switches, result.whole) == (2, 0)


def test_meter_of_one_track_for_two_objects():
    result = compare("a...b\n....b", "a....\n....a")
    assert (result.switches, result.whole, result.tracks) == (0, 0, 1)


def test_meter_keeps_pairs_of_the_previous_frame():
    (true,) = cases.drawn("a")
    near = true.replace(boxes=true.boxes + torch.tensor([4.0, 0, 4, 0]))
    both = Detections.cat([near, true.replace(ids=torch.tensor([1]))])
    assert scores([true, true], [near, both]).switches == 0, "a better overlap does not break the pair"
    away = Detections.empty().replace(ids=torch.zeros(0, dtype=torch.int64))
    assert scores([true, true, true], [near, away, both]).switches == 1, "only pairs of the previous frame are kept"
    assert scores([true], [both]).found == 1


def test_meter_compares_masks_where_both_sides_have_them():
    scene = MovingShapes(5, (64, 96), num_objects=3, seed=2)
    truth = [scene.truth(t) for t in range(5)]
    emptied = [d.replace(masks=torch.zeros_like(d.masks)) for d in truth]
    assert scores(truth, truth).found == sum(map(len, truth))
    assert scores(truth, emptied).found == 0
    assert scores(truth, [d.replace(masks=None) for d in emptied]).found == sum(map(len, truth))


def test_meter_of_empty_frames_and_objects_without_a_track():
    result = compare("...\na..", "a..\n...")
    assert (result.objects, result.found, result.recall, result.whole_share, result.tracks) == (1, 0, 0, 0, 1)
    assert scores([], []).recall == 1
    (one,) = cases.drawn("a")
    assert scores([one], [one.replace(ids=torch.tensor([-1]))]).found == 0
    with pytest.raises(ValueError, match="Expected ids on both sides"):
        scores([one], [one.replace(ids=None)])
