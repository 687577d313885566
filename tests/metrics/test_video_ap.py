import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.metrics.official_video_ap import AREA_RANGES, annotations, mean_area, official_video_ap
from tests.metrics.video_ap_cases import Case, made_up, perturbed, read_cells, rectangle, track, video
from tltm_graph import Tracks
from tltm_graph.metrics.video_ap import VideoAP, class_agnostic
from tltm_graph.ops import encode_rle
from tltm_graph.structures import Track

CELLS = Path(__file__).parents[3] / "shared" / "data" / "cells"
needs_cells = pytest.mark.skipif(not CELLS.exists(), reason="needs the folder 'shared' beside the project")
HERE = {0: (0, 0, 128, 128), 1: (0, 0, 128, 128)}
THERE = {0: (128, 128, 64, 64), 1: (128, 128, 64, 64)}


def scored(cases: list[Case], num_classes: int = 1) -> VideoAP:
    metric = VideoAP(num_classes)
    for case in cases:
        metric.update(*case)
    return metric


def close(value: float, expected: float) -> bool:
    return math.isclose(value, expected, abs_tol=1e-9)


def score(truth: Tracks, predicted: Tracks, num_classes: int = 1):
    return scored([(1, truth, predicted)], num_classes).compute()


def as_files(cases: list[Case]) -> tuple[list[dict], list[dict]]:
    """Annotations and predictions of all videos, numbered from 1."""
    truth: list[dict] = []
    predicted: list[dict] = []
    for video_id, true_tracks, tracks in cases:
        truth += annotations(true_tracks, video_id, len(truth) + 1)
        predicted += annotations(tracks, video_id, len(predicted) + 1)
    return truth, predicted


def assert_official(cases: list[Case], num_classes: int) -> None:
    metric = scored(cases, num_classes)
    expected = official_video_ap([case[0] for case in cases], list(range(1, num_classes + 1)), *as_files(cases))
    curves = metric.curves()
    assert np.array_equal(curves.precision, expected.precision[..., 2])
    assert np.array_equal(curves.recall, expected.recall)
    assert metric.compute().stats().tolist() == expected.stats()


class OrdinaryIoU(COCOeval):
    """COCO's evaluation without its own IoU for crowds, which videos do not have."""

    def computeIoU(self, image, category):  # noqa: N802
        truth, rows = self._gts[image, category], self._dts[image, category]
        rows = [rows[i] for i in np.argsort([-d["score"] for d in rows], kind="mergesort")][:100]
        return coco_mask.iou([d["segmentation"] for d in rows], [g["segmentation"] for g in truth], [0] * len(truth))


def runs(counts: str) -> list[int]:
    """Lengths of the runs that a compressed encoding stands for."""
    numbers: list[int] = []
    value = place = 0
    for character in counts:
        code = ord(character) - 48
        value |= (code & 0x1F) << (5 * place)
        place += 1
        if not code & 0x20:
            value -= (1 << (5 * place)) if code & 0x10 else 0
            numbers.append(value + (numbers[-2] if len(numbers) > 2 else 0))
            value = place = 0
    return numbers


def side_by_side(masks: list, size: tuple[int, int]) -> dict:
    """One mask with all frames side by side: its columns are those of the frames in order."""
    total = [0]
    for mask in masks:
        for i, run in enumerate(runs(mask["counts"]) if mask else [size[0] * size[1]]):
            if (len(total) - 1) % 2 == i % 2:
                total[-1] += run
            else:
                total.append(run)
    whole = [size[0], size[1] * len(masks)]
    return coco_mask.frPyObjects({"size": whole, "counts": total}, *whole)


def stock_coco(cases: list[Case], num_classes: int) -> COCOeval:
    """COCO's evaluation of images, each with all frames of a video side by side."""
    sides = []
    for rows in as_files(cases):
        for row in rows:
            size = next(tuple(mask["size"]) for mask in row["segmentations"] if mask)
            row["segmentation"] = side_by_side(row.pop("segmentations"), size)
            row["area"], row["image_id"] = mean_area(row), row["video_id"]
        side = COCO()
        side.dataset = {
            "images": [{"id": case[0], "height": 1, "width": 1} for case in cases],  # sizes that only polygons need
            "categories": [{"id": label + 1} for label in range(num_classes)],
            "annotations": rows,
        }
        side.createIndex()
        sides.append(side)
    evaluation = OrdinaryIoU(*sides, "segm")
    evaluation.params.areaRng = AREA_RANGES
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def assert_stock(cases: list[Case], num_classes: int) -> None:
    metric, expected = scored(cases, num_classes), stock_coco(cases, num_classes)
    curves = metric.curves()
    assert np.array_equal(curves.precision, expected.eval["precision"][..., 2])
    assert np.array_equal(curves.recall, expected.eval["recall"])
    assert metric.compute().stats().tolist() == expected.stats.tolist()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), num_classes=st.integers(1, 3))
def test_the_official_numbers(seed, num_classes):
    assert_official(made_up(seed, num_classes), num_classes)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), num_classes=st.integers(1, 3))
def test_the_numbers_of_stock_coco_on_frames_side_by_side(seed, num_classes):
    assert_stock(made_up(seed, num_classes), num_classes)


def test_the_random_videos_are_not_trivial():
    scores = [scored(made_up(seed, 1)).compute() for seed in range(30)]
    assert sum(0 < s.AP < s.AP50 < 1 for s in scores) > 5
    assert min(sum(getattr(s, name) > 0 for s in scores) for name in ("APs", "APm", "APl")) > 3


@pytest.mark.slow
@needs_cells
def test_cells_equal_stock_coco():
    cases = []
    for number, path in enumerate(sorted(CELLS.glob("*.json.gz"))):
        truth = read_cells(path)
        cases.append((number, truth, perturbed(truth, number)))
    assert_stock(cases, 1)
    assert 0.1 < scored(cases).compute().AP < 0.9


@needs_cells
def test_cells_equal_the_official_steps():
    truth = read_cells(CELLS / "PhC-C2DH-U373_01.json.gz")
    assert_official([(n, truth, perturbed(truth, n)) for n in range(2)], 1)


def test_more_than_a_hundred_predictions():
    # All wrong but the 11th, the 100th and the 101st, which no longer counts.
    right = {10: {0: (0, 0, 8, 8)}, 99: {0: (16, 0, 8, 8)}, 100: {0: (32, 0, 8, 8)}}
    truth = video(*(track(rectangles) for rectangles in right.values()))
    predicted = video(*(track(right.get(i, {1: (64, 64, 8, 8)}), score=1 - i / 200) for i in range(105)))
    scores = score(truth, predicted)
    assert [scores.AR1, scores.AR10] == [0, 0]
    assert close(scores.AR100, 2 / 3)
    assert scores.per_class[0].predictions == 105
    assert_official([(1, truth, predicted)], 1)
    assert_stock([(1, truth, predicted)], 1)


def test_perfect():
    truth = video(track(HERE), track(THERE, label=1))
    scores = score(truth, truth, 2)
    # 128² pixels are small and medium; nothing is large, and -1 only says so in the official order.
    assert math.isnan(scores.APl)
    assert math.isnan(scores.ARl)
    assert scores.stats().tolist() == pytest.approx([1, 1, 1, 1, 1, -1, 1, 1, 1, 1, 1, -1])


def test_ids_have_no_influence():
    """In the official code and TrackEval an object or track with id 0 counts as unmatched."""
    truth, doubled = video(track(HERE)), video(track(HERE, 0.9), track(HERE, 0.8), track(HERE, 0.7))
    renamed = Tracks({7 - i: doubled[i] for i in doubled}, doubled.size, doubled.num_frames)
    elsewhere = Tracks({5: truth[0]}, truth.size, truth.num_frames)
    assert 0 in truth
    assert score(truth, doubled) == score(elsewhere, renamed)
    assert score(truth, doubled).AR100 == 1
    wrong_first = video(track(THERE, 0.9), track(HERE, 0.8), track(HERE, 0.7))
    assert close(score(truth, wrong_first).AP50, 0.5), "a true object is found once"


def test_no_videos_and_empty_videos():
    nothing, one = video(), video(track(HERE))
    assert np.array_equal(VideoAP(2).compute().stats(), np.full(12, -1.0))
    assert np.array_equal(score(nothing, nothing).stats(), np.full(12, -1.0))
    assert VideoAP(1).per_video() == {}
    missed = score(one, nothing)
    assert (missed.AP, missed.AR100, missed.per_class[0].truths) == (0, 0, 1)
    assert math.isnan(score(nothing, one).AP), "no true object"
    no_frames = Tracks({}, None, 0)
    assert math.isnan(score(no_frames, no_frames).AP)


def test_a_true_track_without_a_pixel_is_always_missed():
    empty = video(track({0: (0, 0, 0, 0)}))
    scores = score(empty, empty)
    assert (scores.AP, scores.APs) == (0, 0)
    assert math.isnan(scores.APm)
    with_large = video(track({0: (0, 0, 256, 256)}, score=0.5), track({0: (0, 0, 0, 0)}, score=0.9))
    scores = score(video(with_large[0]), with_large)
    assert close(scores.AP, 0.5), "a false positive among all"
    assert close(scores.APl, 1), "ignored among large"


def test_a_video_without_truth_costs_precision():
    one = video(track(HERE, 0.5))
    cases = [(1, one, one), (2, video(), video(track(HERE, 0.9)))]
    assert close(scored(cases[:1]).compute().AP, 1)
    assert close(scored(cases).compute().AP, 0.5)


@pytest.mark.parametrize(("wrong_video", "expected"), [(1, 0.5), (3, 1.0)])
def test_of_equal_scores_the_smaller_id_comes_first(wrong_video, expected):
    one = video(track(HERE, 0.5))
    cases = [(2, one, one), (wrong_video, video(), one)]
    for order in (cases, cases[::-1]):
        assert close(scored(order).compute().AP, expected)
        first, second = (scored([case]) for case in order)
        first.merge(second)
        assert first.compute() == scored(cases).compute()


def test_of_equal_scores_the_first_track_comes_first():
    truth = video(track(HERE))
    assert close(score(truth, video(track(HERE), track(THERE))).AP, 1)
    assert close(score(truth, video(track(THERE), track(HERE))).AP, 0.5)


def test_of_equal_overlaps_the_last_true_object_wins():
    # The first prediction overlaps both alike; only the first object is left for the second one, which needs the last.
    both, first, last = {0: (0, 0, 64, 96)}, {0: (0, 0, 64, 64)}, {0: (0, 32, 64, 64)}
    truth = video(track(first), track(last))
    assert score(truth, video(track(both, 0.9), track(last, 0.8))).AP50 < 0.9
    assert close(score(truth, video(track(both, 0.9), track(first, 0.8))).AP50, 1)


@pytest.mark.parametrize(("iou", "passed"), [((1, 2), 1), ((3, 5), 3), ((19, 20), 10)])
def test_an_overlap_equal_to_the_threshold_passes(iou, passed):
    found, out_of = iou
    scores = score(video(track({0: (0, 0, 60, out_of)})), video(track({0: (0, 0, 60, found)})))
    assert close(scores.AR100, passed / 10)


def test_crowds_are_ignored():
    truth = video(track(HERE), track(THERE, crowd=True))
    predicted = video(track(THERE, 0.9), track(THERE, 0.8), track(HERE, 0.7))
    assert close(score(truth, predicted).AP, 1)
    assert score(truth, predicted).per_class[0].truths == 1
    told_apart = video(track(HERE), track(THERE))
    assert score(told_apart, predicted).AP < 0.9, "without the crowd the duplicate is a false positive"
    # Half of a crowd's pixels are no longer a match: its IoU is the ordinary one, unlike COCO's.
    third = video(track(HERE, 0.7), track({0: THERE[0]}, 0.9), track({0: (128, 128, 64, 16)}, 0.8))
    assert close(score(truth, third).AP50, 0.5)


def test_areas_of_the_truth():
    annotated = video(track(HERE, areas=(256.0**2, 0.0)))
    scores = score(annotated, video(track(HERE)))
    assert (scores.ARm, scores.ARl) == (1, 1), "exactly 256², in the only frame with an area: medium and large"
    assert math.isnan(scores.APs), "the mask's 128² do not count"


def test_classes():
    truth = video(track(HERE, label=1), track(THERE, label=2))
    predicted = video(track(HERE, label=1), track(HERE, label=2), track(THERE, label=0), track(THERE, label=7))
    scores = score(truth, predicted, 3)
    assert close(scores.AP, 0.5), "class 0 has no truth and is left out of the mean"
    assert [scores.per_class[k].AP for k in (1, 2)] == pytest.approx([1, 0])
    assert math.isnan(scores.per_class[0].AP)
    assert [(c.truths, c.predictions) for c in scores.per_class.values()] == [(0, 1), (1, 1), (1, 1)]
    assert scores.ignored_classes == {7: 1}
    agnostic = score(class_agnostic(truth), class_agnostic(predicted))
    assert agnostic.AR100 == 1
    assert agnostic.per_class[0].predictions == 4


def test_without_classes_former_labels_decide_between_equal_scores():
    relabelled = class_agnostic(video(track(HERE, label=3), track(THERE, label=1), track({0: THERE[0]}, label=3)))
    assert list(relabelled) == [1, 0, 2]
    assert {t.label for t in relabelled.values()} == {0}


def test_the_majority_of_the_frames_decides():
    mixed = replace(track(dict.fromkeys(range(3), (0, 0, 64, 64))), labels=(0, 1, 1), scores=(0.2, 0.4, 0.9))
    truth = video(track(dict.fromkeys(range(3), (0, 0, 64, 64)), label=1))
    scores = score(truth, video(mixed, track(THERE, 0.51, label=1)), 2)
    assert close(scores.AP, 0.5), "its score is the mean, 0.5"


def test_boxes():
    def boxes_only(tracks: Tracks) -> Tracks:
        return replace(tracks, tracks={i: replace(t, masks=None) for i, t in tracks.items()}, size=None)

    truth, predicted = video(track(HERE), track(THERE)), video(track(HERE, 0.5), track({0: THERE[0]}, 0.9))
    metric = VideoAP(1, on="boxes")
    metric.update(1, boxes_only(truth), boxes_only(predicted))
    assert metric.compute() == score(truth, predicted), "these masks are boxes"
    with pytest.raises(ValueError, match="Expected masks, got none for true track 0 of video 1"):
        score(boxes_only(truth), predicted)


def test_parts_merge_in_any_order_and_reset():
    cases = made_up(3, 2) + [(20 + case[0], *case[1:]) for case in made_up(4, 2)]
    whole, parts = scored(cases, 2), [scored([case], 2) for case in reversed(cases)]
    joined = VideoAP(2)
    for part in parts:
        joined.merge(pickle.loads(pickle.dumps(part)))
    assert np.array_equal(joined.compute().stats(), whole.compute().stats())
    assert str(joined.per_video()) == str(whole.per_video())  # NaN equals itself as text
    with pytest.raises(ValueError, match="Expected each video once"):
        joined.merge(parts[0])
    assert len(joined.per_video()) == len(cases)
    with pytest.raises(ValueError, match=r"merge with another VideoAP\(2 classes.* got VideoAP\(3 classes"):
        joined.merge(VideoAP(3))
    joined.reset()
    assert joined.per_video() == {}
    joined.merge(whole)
    assert np.array_equal(joined.compute().stats(), whole.compute().stats())


def test_scores_of_each_video_alone():
    cases = made_up(11, 2)
    alone = scored(cases, 2).per_video()
    assert list(alone) == sorted(case[0] for case in cases)
    for case in cases:
        assert str(alone[case[0]]) == str(scored([case], 2).compute())


def test_no_masks_are_kept():
    cases = made_up(2, 2)
    encodings = {mask["counts"] for case in cases for side in case[1:] for t in side.values() for mask in t.masks}
    kept = pickle.dumps(scored(cases, 2))
    assert len(encodings) > 5
    assert not any(counts.encode() in kept for counts in encodings if len(counts) > 9)
    assert "2 classes, on masks" in repr(scored(cases, 2))


def test_errors():
    one = video(track(HERE))
    metric = scored([(4, one, one)])
    before = metric.compute()

    def refuses(message: str, truth: Tracks, predicted: Tracks, video_id: int = 5) -> None:
        with pytest.raises(ValueError, match=message):
            metric.update(video_id, truth, predicted)

    nan, late = float("nan"), video(track({1: (0, 0, 8, 8), 4: (0, 0, 8, 8)}), num_frames=9)
    refuses("Expected each video once.* got 4 twice", one, one, video_id=4)
    refuses("Expected labels below 1, got 1 for true track 0 of video 5", video(track(HERE, label=1)), one)
    refuses(r"Expected finite scores, .* track 0 of video 5", one, video(replace(track(HERE), scores=(0.5, nan))))
    refuses(r"Expected frames 0 to 3 .* frame 4 in predicted track 0 of video 5", one, late)
    refuses(r"Expected frames 0 to 3 .* frame 4 in true track 0", video(late[0]), one)
    refuses(r"Expected frames 0 to 3 .* frame -1", one, video(track({-1: (0, 0, 8, 8)})))
    refuses(r"Expected areas of at least 0, .* true track 0", video(track(HERE, areas=(nan, 1.0))), one)
    refuses(r"Expected areas of at least 0, got -1", video(track(HERE, areas=(2.0, -1.0))), one)
    other = Track((3,), ((0.0, 0.0, 1.0, 1.0),), (1.0,), (0,), tuple(encode_rle(torch.ones(1, 9, 9, dtype=torch.bool))))
    refuses(r"Expected masks of 256×320 .* got 9×9 in predicted track 1 of video 5, frame 3", one, video(one[0], other))
    refuses("Expected masks, got none for predicted track 0", one, video(replace(one[0], masks=None)))
    assert metric.compute() == before
    with pytest.raises(ValueError, match="Expected at least one class"):
        VideoAP(0)


def test_one_mask_in_two_encodings_of_its_runs():
    assert runs(rectangle(32, 64, 128, 32)["counts"])[:3] == [64 * 256 + 32, 128, 128]
