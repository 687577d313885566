import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics import official_davis
from tests.metrics.random_masks import flattened, generators, random_mask, random_masks, sizes
from tltm_graph.metrics.packed_mask import LabelMap
from tltm_graph.metrics.region_boundary import (
    RegionBoundaryScores,
    boundary_f,
    boundary_radius,
    frame_statistics,
    label_map_scores,
    mean_scores,
    region_similarity,
)


def official(truth: np.ndarray, predicted: np.ndarray, void: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    shape = (len(truth), len(predicted))
    region = [official_davis.iou(t, p, void) for t in truth for p in predicted]
    edge = [official_davis.f_measure(p, t, void) for t in truth for p in predicted]
    return np.array(region, dtype=float).reshape(shape), np.array(edge, dtype=float).reshape(shape)


@given(generators(), sizes(), st.booleans(), st.integers(0, 3), st.integers(0, 3))
def test_official_numbers_to_the_last_bit(
    rng: np.random.Generator, size: tuple[int, int], with_void: bool, num_true: int, num_predicted: int
):
    truth, predicted = random_masks(rng, num_true, *size), random_masks(rng, num_predicted, *size)
    void = random_mask(rng, *size) if with_void else None
    region, edge = official(truth, predicted, void)
    assert np.array_equal(region_similarity(truth, predicted, void), region)
    assert np.array_equal(boundary_f(truth, predicted, void), edge)


@given(generators(), sizes(), st.booleans())
def test_label_maps_are_like_their_masks(rng: np.random.Generator, size: tuple[int, int], with_void: bool):
    truth = flattened(random_masks(rng, 2, *size), [1, 2])
    predicted = flattened(random_masks(rng, 3, *size), [2, 300, 1])
    void = random_mask(rng, *size) if with_void else None
    true_ids, found_ids = [1, 2, 4], [300, 9, 1, 2]
    region, edge = official(
        np.array([truth == i for i in true_ids]), np.array([predicted == i for i in found_ids]), void
    )
    scores = label_map_scores(LabelMap(truth), true_ids, LabelMap(predicted), found_ids, void)
    assert np.array_equal(scores.region, region)
    assert np.array_equal(scores.boundary, edge)


def test_larger_frames_with_wide_disks():
    rng = np.random.default_rng(0)
    truth, predicted = random_masks(rng, 4, 720, 1280), random_masks(rng, 4, 720, 1280)
    region, edge = official(truth, predicted, None)
    assert np.array_equal(region_similarity(truth, predicted), region)
    assert np.array_equal(boundary_f(truth, predicted), edge)


@given(generators(), sizes())
def test_swapping_sides_changes_nothing(rng: np.random.Generator, size: tuple[int, int]):
    truth, predicted = random_masks(rng, 2, *size), random_masks(rng, 2, *size)
    assert np.allclose(boundary_f(truth, predicted), boundary_f(predicted, truth).T, atol=1e-15)
    assert np.array_equal(region_similarity(truth, predicted), region_similarity(predicted, truth).T)


def test_empty_and_full_masks():
    empty, full, part = (np.zeros((1, 20, 80), dtype=bool) for _ in range(3))
    full[:], part[:, 3:9, 50:70] = True, True
    cases = {
        "both empty": (empty, empty, 1, 1),
        "missed": (part, empty, 0, 0),
        "false positive": (empty, part, 0, 0),
        "the whole frame": (full, full, 1, 1),
        "a full frame has no boundary": (full, empty, 0, 1),
        "nor to match": (full, part, 120 / 1600, 0),
    }
    for name, (truth, predicted, region, edge) in cases.items():
        assert region_similarity(truth, predicted).item() == region, name
        assert boundary_f(truth, predicted).item() == edge, name
    void = np.ones((20, 80), dtype=bool)
    assert region_similarity(part, empty, void).item() == boundary_f(part, empty, void).item() == 1


def test_a_boundary_within_reach_matches():
    truth = np.zeros((1, 75, 100), dtype=bool)  # diagonal 125: radius 1
    truth[0, 20:40, 30:60] = True
    assert boundary_radius(truth.shape[1:]) == 1
    assert boundary_f(truth, np.roll(truth, 1, axis=2)).item() == 1
    assert boundary_f(truth, np.roll(truth, 2, axis=2)).item() < 1


@pytest.mark.parametrize(
    ("size", "radius"),
    [((240, 427), 4), ((360, 640), 6), ((480, 854), 8), ((720, 1280), 12), ((1080, 1920), 18), ((0, 0), 0)],
)
def test_radius(size: tuple[int, int], radius: int):
    assert boundary_radius(size) == radius


def test_no_masks_and_no_pixels():
    none, some = np.zeros((0, 5, 6), dtype=bool), np.ones((2, 5, 6), dtype=bool)
    for measure in (region_similarity, boundary_f):
        assert measure(none, some).shape == (0, 2)
        assert measure(some, none).shape == (2, 0)
        assert measure(none, none).shape == (0, 0)
        assert measure(np.zeros((1, 0, 7), dtype=bool), np.zeros((1, 0, 7), dtype=bool)).tolist() == [[1]]


def test_errors():
    masks = np.zeros((2, 4, 5), dtype=bool)
    for measure in (region_similarity, boundary_f):
        with pytest.raises(ValueError, match=r"predicted masks bool \(N, H, W\), got uint8 of shape \(2, 4, 5\)"):
            measure(masks, masks.astype(np.uint8))
        with pytest.raises(ValueError, match=r"of one size, got 4×5 and 5×5 \(H×W\): scale the prediction"):
            measure(masks, np.zeros((2, 5, 5), dtype=bool))
        with pytest.raises(ValueError, match=r"void pixels bool \(4, 5\), got bool of shape \(4, 4\)"):
            measure(masks, masks, np.zeros((4, 4), dtype=bool))
        with pytest.raises(ValueError, match=r"true masks bool \(N, H, W\), got bool of shape \(4, 5\)"):
            measure(masks[0], masks)
    with pytest.raises(ValueError, match=r"of one size, got 4×5 and 4×6"):
        label_map_scores(LabelMap(np.zeros((4, 5), int)), [1], LabelMap(np.zeros((4, 6), int)), [1])


@given(st.integers(1, 255), st.integers(0, 2**32 - 1))
def test_statistics_equal_the_official_ones(num_frames: int, seed: int):
    values = np.random.default_rng(seed).random(num_frames)
    assert frame_statistics(values) == pytest.approx(official_davis.statistics(values), abs=1e-14)


def test_bins_share_their_limits():
    values = np.arange(10.0)  # bins 0..2 and 7..9
    assert frame_statistics(values) == (4.5, 0.9, 1 - 8)
    assert frame_statistics(np.array([0.75, 0.25]))[2] == 0.5
    assert frame_statistics(np.array([0.75])) == (0.75, 1, 0)


def test_recall_is_strictly_above_a_half():
    assert frame_statistics(np.array([0.5, 0.5, 0.5, 0.75]))[1] == 0.25


def test_decay_of_long_videos():
    values = np.linspace(1, 0, 300)
    assert np.isnan(official_davis.statistics(values)[2]), "8 bits are too few for 300 frames"
    assert frame_statistics(values)[2] == pytest.approx(0.7492, abs=1e-4)


def test_statistics_without_frames_and_of_nan():
    assert np.isnan(frame_statistics(np.zeros(0))).all()
    assert frame_statistics(np.array([np.nan, 1.0]))[:2] == (1, 0.5)
    assert np.isnan(frame_statistics(np.array([np.nan]))[0])


def test_mean_scores():
    one, other = RegionBoundaryScores(0.5, 1, 0, 0.25, 0, 0.5), RegionBoundaryScores(1, 0, 0.5, 0.75, 1, 0)
    assert one.JF_mean == 0.375
    assert mean_scores([one, other]) == (0.75, 0.5, 0.25, 0.5, 0.5, 0.25)
    assert np.isnan(mean_scores([])).all()
    assert np.isnan(RegionBoundaryScores(*mean_scores([])).JF_mean)
