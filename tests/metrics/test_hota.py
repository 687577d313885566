import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics import official_tracking as official
from tests.metrics.identity_cases import drawn, frame, plain, random_frames
from tests.metrics.official_data import expected, mot17, mots, needs_shared, tud
from tltm_graph.metrics.benchmark_rules import mot_challenge_frames, mots_frames
from tltm_graph.metrics.hota import ALPHAS, Hota, HotaScores
from tltm_graph.metrics.overlap import FrameOverlap


def scored(*videos: list[FrameOverlap]) -> HotaScores:
    metric = Hota()
    for number, frames in enumerate(videos):
        metric.update(f"video {number}", iter(frames))
    return metric.compute()


def same(ours: HotaScores, theirs: dict[str, np.ndarray]) -> None:
    for name, count in (("HOTA_TP", ours.tp), ("HOTA_FN", ours.fn), ("HOTA_FP", ours.fp)):
        assert count.tolist() == theirs[name].tolist(), name
    for name, curve in ours.curves().items():
        np.testing.assert_allclose(curve, theirs[name], rtol=0, atol=1e-12, err_msg=name)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 8), st.integers(0, 8), st.integers(0, 12), st.sampled_from([None, 20, 4]))
def test_equals_the_official_algorithm(seed: int, objects: int, tracks: int, frames: int, levels: int | None):
    video = random_frames(seed, objects, tracks, frames, levels)
    same(scored(video), official.hota(plain(video)))


def test_equals_the_official_algorithm_over_videos():
    videos = [random_frames(seed, 6, 9, 20) for seed in range(4)]
    same(scored(*videos), official.combined_hota([official.hota(plain(video)) for video in videos]))


def test_videos_weigh_by_their_matches():
    good, bad = [frame([0], [0])] * 9, [frame([0], [0]), frame([0], [])]
    both = scored(good, bad)
    mean = (scored(good).hota + scored(bad).hota) / 2
    assert both.hota == pytest.approx(np.sqrt(10 / 11 * (9 + 1 / 2) / 10))
    assert abs(both.hota - mean) > 0.05


@pytest.mark.parametrize("predicted", ["aabb", "abab", "abba"])
def test_an_object_in_two_halves(predicted: str):
    scores = scored(drawn("xxxx", predicted))
    assert [scores.named()[name] for name in ("DetA", "AssA", "LocA")] == [1, 0.5, 1]
    assert scores.hota == pytest.approx(0.5**0.5)


def test_the_geometric_mean_is_taken_at_each_alpha():
    video = [frame([0, 1], [0, 1], [[0.9, 0], [0, 0.4]])] * 3 + [frame([0, 1], [2, 1], [[0.9, 0], [0, 0.4]])]
    scores = scored(video)
    assert scores.hota < np.sqrt(scores.named()["DetA"] * scores.named()["AssA"]) - 1e-3


def test_the_alignment_of_the_whole_video_decides_a_frame():
    """In the first frame the stranger overlaps more, but the other is with the object for the rest of the video."""
    stranger = frame([1], [1, 2], [[0.6, 0.9]])
    scores = scored([stranger] + [frame([1], [1])] * 5)
    assert scores.tp[0] == 6
    assert scores.association[0] == 6, "one track has all six"
    assert scores.overlap[0] == pytest.approx(5.6)


@pytest.mark.parametrize("alpha", range(19))
def test_an_overlap_of_alpha_passes_alpha(alpha: int):
    scores = scored([frame([0], [0], [[round(0.05 * (alpha + 1), 2)]])])
    assert scores.tp.tolist() == [1] * (alpha + 1) + [0] * (18 - alpha)


def test_alphas():
    assert [round(alpha, 2) for alpha in ALPHAS.tolist()] == [round(0.05 * i, 2) for i in range(1, 20)]


@pytest.mark.parametrize(
    ("video", "fn", "fp"),
    [
        ([], 0, 0),
        ([frame([], [])], 0, 0),
        ([frame([3, 4], [])] * 2, 4, 0),
        ([frame([], [3, 4, 5])] * 2, 0, 6),
        ([frame([1], []), frame([], [1])], 1, 1),
        ([frame([1], [1], [[0.0]])], 1, 1),
    ],
)
def test_nothing_to_match(video: list[FrameOverlap], fn: int, fp: int):
    scores = scored(video)
    assert (scores.tp.tolist(), scores.fn.tolist(), scores.fp.tolist()) == ([0] * 19, [fn] * 19, [fp] * 19)
    assert [scores.named()[name] for name in ("HOTA", "AssA", "LocA")] == [0, 0, 1]
    same(scores, official.hota(plain(video)))


def test_no_videos():
    assert scored().named() == scored([]).named()


def test_ids_may_be_huge():
    large = [frame([2**62], [2**61, 5], [[0.8, 0.3]])] * 3
    assert scored(large).named() == scored([frame([0], [1, 2], [[0.8, 0.3]])] * 3).named()


def check(metric: Hota, theirs: dict[str, float]) -> None:
    for name, value in metric.compute().named().items():
        assert value == pytest.approx(theirs[name], abs=1e-9), name


@needs_shared
@pytest.mark.parametrize("sequence", ["MOT17-02", "MOT17-05", "MOT17-09", "MOT17-13"])
def test_mot17(sequence: str):
    metric = Hota()
    metric.update(sequence, mot_challenge_frames(*mot17(sequence)))
    check(metric, expected("mot17/expected.json")[f"{sequence}-FRCNN"])


@needs_shared
def test_tud():
    theirs = expected("tud/expected.json")
    metric = Hota()
    for sequence, length in (("TUD-Campus", 71), ("TUD-Stadtmitte", 179)):
        metric.update(sequence, mot_challenge_frames(*tud(sequence, length)))
    for sequence, scores in metric.per_video().items():
        assert scores.hota == pytest.approx(theirs["recomputed_with_official_TrackEval"][sequence]["HOTA"], abs=1e-9)
    check(metric, theirs["recomputed_with_official_TrackEval"]["COMBINED_SEQ"])
    assert metric.compute().hota == pytest.approx(theirs["published_mmtracking_test"]["HOTA"], abs=1e-3)


@needs_shared
def test_mots():
    truth, predicted = mots("mots20/MOTS20-05/gt/gt.txt.gz"), mots("mots20/perturbed/tracker_results/MOTS20-05.txt.gz")
    metric = Hota()
    metric.update("MOTS20-05", mots_frames(truth, predicted, label=1))
    check(metric, expected("mots20/perturbed/official_TrackEval_scores.json")["COMBINED_SEQ"])
