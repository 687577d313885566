import math

import numpy as np
import pytest

from tltm_graph.metrics.average_precision import (
    AREAS,
    RECALLS,
    THRESHOLDS,
    PrecisionRecall,
    in_range,
    match_predictions,
    precision_recall,
    video_ap_scores,
)

SCORED, NO_CROWD = np.ones((2, len(AREAS)), dtype=bool), np.zeros(2, dtype=bool)


def matches(iou: list[list[float]], scored: np.ndarray = SCORED, crowd: np.ndarray = NO_CROWD) -> tuple[list, list]:
    """Which predictions have a match, and which a scored one, at IoU 0.5 among tracks of all areas."""
    matched, matched_scored = match_predictions(np.array(iou), scored, crowd)
    return matched[:, 0, 0].tolist(), matched_scored[:, 0, 0].tolist()


def test_confident_predictions_choose_first():
    assert matches([[0.6, 0.0], [0.9, 0.0]]) == ([True, False], [True, False])
    assert matches([[0.6, 0.7], [0.9, 0.9]]) == ([True, True], [True, True])


def test_of_equal_overlaps_the_last_is_matched():
    assert matches([[0.6, 0.6], [0.6, 0.0]])[0] == [True, True]
    assert matches([[0.6, 0.6], [0.0, 0.6]])[0] == [True, False]


def test_objects_that_are_not_scored_are_matched_last():
    scored = np.array([[True], [False]]).repeat(len(AREAS), axis=1)
    assert matches([[0.6, 0.9], [0.6, 0.9], [0.6, 0.9]], scored) == ([True, True, False], [True, False, False])


def test_a_crowd_is_matched_any_number_of_times():
    crowd = np.array([False, True])
    scored = ~crowd[:, None].repeat(len(AREAS), axis=1)
    assert matches([[0.0, 0.9]] * 3, scored, crowd) == ([True] * 3, [False] * 3)


def test_each_threshold_has_its_own_matching():
    matched, _ = match_predictions(np.array([[0.72]]), SCORED[:1], NO_CROWD[:1])
    assert matched[0, 0].tolist() == (THRESHOLDS <= 0.72).tolist()


def test_both_limits_belong_to_a_range_of_areas():
    assert in_range(np.array([0.0, 128.0**2, 256.0**2])).tolist() == [
        [True, True, False, False],
        [True, True, True, False],
        [True, False, True, True],
    ]


def test_scores_are_means_over_classes_with_a_true_object():
    shape = len(THRESHOLDS), len(RECALLS), 3, len(AREAS)
    precision, recall = np.full(shape, -1.0), np.full((len(THRESHOLDS), 3, len(AREAS), 3), -1.0)
    precision[:, :, 0], precision[:, :, 1] = 0.25, 0.75  # class 2 has no true object
    recall[:, 0], recall[:, 1] = 0.5, 1.0
    scores = video_ap_scores(PrecisionRecall(precision, recall), {0: 3}, {1: 4, 7: 2})
    assert (scores.AP, scores.AP75, scores.AR10, scores.ARl) == (0.5, 0.5, 0.75, 0.75)
    assert [c.AP50 for c in scores.per_class.values()] == pytest.approx([0.25, 0.75, math.nan], nan_ok=True)
    assert [(c.truths, c.predictions) for c in scores.per_class.values()] == [(3, 0), (0, 4), (0, 0)]
    assert scores.ignored_classes == {7: 2}


def test_without_videos_nothing_is_defined():
    curves = precision_recall([], 2)
    assert {*np.unique(curves.precision), *np.unique(curves.recall)} == {-1.0}
