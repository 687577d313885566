from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tltm_graph import Detections, Tracks
from tltm_graph.metrics.matching import assign, match_overlap, match_pairs, match_to_ground_truth, nonzero
from tltm_graph.ops import encode_rle, masks_to_boxes
from tltm_graph.structures import Observation

SIZE = (60, 80)


def best(gain: np.ndarray) -> float:
    """Greatest total gain over all one-to-one matchings."""
    if gain.shape[0] > gain.shape[1]:
        gain = gain.T
    return max(sum(gain[r, c] for r, c in enumerate(order)) for order in permutations(range(gain.shape[1]), len(gain)))


def table(seed: int, rows: int, columns: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.random((rows, columns)) * (generator.random((rows, columns)) < generator.choice([0.2, 0.8]))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 5), st.integers(0, 5))
def test_assign_finds_the_greatest_gain(seed: int, rows: int, columns: int):
    gain = table(seed, rows, columns)
    r, c = assign(gain)
    assert len(set(r.tolist())) == len(r) == len(set(c.tolist()))
    assert (gain[r, c] > 0).all()
    assert gain[r, c].sum() == pytest.approx(best(gain))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 5), st.integers(0, 5))
def test_match_overlap_and_match_pairs_are_optimal(seed: int, rows: int, columns: int):
    iou = table(seed, rows, columns)
    enough = iou >= 0.5
    assert iou[match_overlap(iou)].sum() == pytest.approx(best(np.where(enough, iou, 0)))
    pairs = match_pairs(iou)
    assert enough[pairs].all()
    assert len(pairs[0]) + iou[pairs].sum() / 100 == pytest.approx(best(np.where(enough, 1 + iou / 100, 0)))


def test_one_good_pair_excludes_two_just_above_the_threshold():
    #        two pairs of the middle, 2.0, or three along the diagonal, 1.5
    iou = np.array([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [0.0, 0.0, 0.5]])
    assert len(match_overlap(iou)[0]) == 2
    assert len(match_pairs(iou)[0]) == 3


@pytest.mark.parametrize("match", [match_overlap, match_pairs])
def test_the_threshold_may_be_missed_by_a_rounding_error(match):
    assert len(match(np.array([[np.nextafter(0.5, 0)]]))[0]) == 1
    assert len(match(np.array([[0.5 - 1e-12]]))[0]) == 0


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (4, 7)])
def test_nonzero(shape: tuple[int, int]):
    mask = np.random.default_rng(0).random(shape) < 0.5
    for ours, theirs in zip(nonzero(mask), np.nonzero(mask), strict=True):
        assert ours.tolist() == theirs.tolist()
    for ours, theirs in zip(nonzero(mask.T), np.nonzero(mask.T), strict=True):
        assert ours.tolist() == theirs.tolist()


# --- match_to_ground_truth


def boxes_of(rows) -> Detections:
    boxes = torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
    return Detections(boxes, torch.full((len(boxes),), 0.9), torch.zeros(len(boxes), dtype=torch.int64))


def masks_of(rows) -> Detections:
    """Rectangles (x0, y0, x1, y1) as masks."""
    masks = torch.zeros((len(rows), *SIZE), dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, rows, strict=True):
        mask[y0:y1, x0:x1] = True
    return boxes_of(masks_to_boxes(masks).tolist()).replace(masks=masks)


def truth_of(frames, **more) -> Tracks:
    """Boxes by id, for each frame."""
    rows = [
        (t, Observation(i, tuple(map(float, box)), **more)) for t, seen in enumerate(frames) for i, box in seen.items()
    ]
    return Tracks.from_observations(rows, SIZE, len(frames))


def matched(detections, truth, **options) -> list[tuple[list[int], list[int]]]:
    return [(ids.tolist(), labels.tolist()) for ids, labels in match_to_ground_truth(detections, truth, **options)]


# --- the reference implementation: try all pairings


def iou(box, other) -> float:
    width, height = (min(box[i + 2], other[i + 2]) - max(box[i], other[i]) for i in (0, 1))
    shared = max(width, 0) * max(height, 0)
    area, other_area = ((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other))
    return shared / (area + other_area - shared)


def best_pairs(rows, columns) -> dict[int, int]:
    """Column to row, of at least 0.5 each, with the greatest sum."""
    best, most = {}, 0.0
    places = [*range(len(columns)), *[None] * len(rows)]
    for order in set(permutations(places, len(rows))):
        pairs = {c: r for r, c in enumerate(order) if c is not None and iou(rows[r], columns[c]) >= 0.5}
        total = sum(iou(rows[r], columns[c]) for c, r in pairs.items())
        if total > most:
            best, most = pairs, total
    return best


def reference(detections, truth):
    free, before, result = 1 + max(truth, default=-1), [], []
    for frame, seen in enumerate(detections):
        true = {i: track.boxes[track.frames.index(frame)] for i, track in truth.items() if frame in track.frames}
        boxes = seen.boxes.tolist()
        pairs = best_pairs(list(true.values()), boxes)
        ids, labels = [-1] * len(boxes), [-1] * len(boxes)
        for k, box in enumerate(boxes):
            if k in pairs:
                ids[k], labels[k] = list(true)[pairs[k]], 1
            else:
                most = max(range(len(true)), key=lambda r: iou(list(true.values())[r], box), default=None)
                if most is None or iou(list(true.values())[most], box) < 0.3 or most in pairs.values():
                    labels[k] = 0
        false_positives = [k for k in range(len(boxes)) if labels[k] == 0]
        repeated = best_pairs([box for _, box in before], [boxes[k] for k in false_positives])
        for place, k in enumerate(false_positives):
            if place in repeated:
                ids[k] = before[repeated[place]][0]
            else:
                ids[k], free = free, free + 1
        before = [(ids[k], boxes[k]) for k in false_positives]
        result.append((ids, labels))
    return result


@pytest.mark.parametrize("seed", range(12))
def test_equals_the_reference_implementation(seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 30, (4, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(10, 30, (4, 2))], axis=1)
    frames = [{i: box for i, box in enumerate(boxes) if rng.random() < 0.7} for _ in range(6)]
    false_boxes = boxes[rng.permutation(4)[:2]] + [25, 0, 25, 0]
    detections = []
    for seen in frames:
        rows = [*seen.values(), *false_boxes] if rng.random() < 0.9 else []
        rows = [row + rng.normal(0, 3, 4) for row in rows if rng.random() < 0.9][:5]
        detections.append(boxes_of(np.array(rows)))
    truth = truth_of(frames)
    assert matched(detections, truth) == reference(detections, truth)
    assert {label for _, labels in matched(detections, truth) for label in labels} <= {-1, 0, 1}


def test_each_kind_of_label():
    truth = truth_of([{7: (0, 0, 20, 20), 3: (40, 0, 60, 20), 5: (60, 30, 80, 50)}])
    seen = boxes_of([(41, 0, 61, 20), (0, 0, 20, 18), (0, 0, 20, 8), (0, 40, 20, 60), (60, 30, 80, 38)])
    ((ids, labels),) = matched([seen], truth)
    assert ids == [3, 7, 8, 9, -1], "ids of false positives start above the greatest true id"
    assert labels == [1, 1, 0, 0, -1], "a duplicate, one on no object, and a poor one of an object without a good one"


def test_a_duplicate_keeps_its_id():
    truth = truth_of([{0: (0, 0, 20, 20)}] * 3)
    seen = [boxes_of([(0, 0, 20, 19), (8, 0, 20, 20)])] * 3
    assert matched(seen, truth) == [([0, 1], [1, 0])] * 3
    assert matched(seen, truth, duplicates_are_false_positives=False) == [([0, -1], [1, -1])] * 3


def test_a_false_positive_keeps_its_id_from_frame_to_frame():
    truth = truth_of([{}, {}, {}, {}])
    seen = [boxes_of([(x, 0, x + 20, 20)]) for x in (0, 4, 8)] + [boxes_of([(40, 0, 60, 20)])]
    assert [ids for ids, _ in matched(seen, truth)] == [[0], [0], [0], [1]]
    away = [seen[0], boxes_of([]), seen[0], seen[0]]
    assert [ids for ids, _ in matched(away, truth)] == [[0], [], [1], [1]], "a gap of one frame ends the id"


def test_masks_are_compared_where_both_sides_have_them():
    left, right = (0, 0, 20, 40), (0, 20, 40, 40)
    shapes = masks_of([left, right])
    rows = [
        (0, Observation(i, (0.0, 0.0, 40.0, 40.0), mask=rle)) for i, rle in enumerate(encode_rle(shapes.masks), start=4)
    ]
    truth = Tracks.from_observations(rows, SIZE, 1)
    wide = shapes[[1, 0]].replace(boxes=torch.tensor([[0.0, 0, 40, 40]]).repeat(2, 1))
    assert matched([wide], truth) == [([5, 4], [1, 1])]
    ((_, labels),) = matched([wide.replace(masks=None)[:1]], truth)
    assert labels == [1], "without masks on one side boxes are compared"


@pytest.mark.parametrize("mark", [{"crowd": True}, {"score": 0.0}])
def test_detections_on_regions_that_are_not_scored_are_ignored(mark):
    seen = boxes_of([(0, 0, 20, 20), (30, 0, 50, 20)])
    assert matched([seen], truth_of([{0: (0, 0, 35, 60)}], **mark)) == [([-1, 1], [-1, 0])]


def test_a_crowd_takes_no_part_in_the_matching():
    rows = [(0, Observation(0, (0.0, 0.0, 60.0, 60.0), crowd=True)), (0, Observation(1, (0.0, 0.0, 20.0, 20.0)))]
    assert matched([boxes_of([(0, 0, 20, 20)])], Tracks.from_observations(rows, SIZE, 1)) == [([1], [1])]


def test_no_false_positives_for_incomplete_truth():
    assert matched([boxes_of([(0, 0, 20, 20)])], truth_of([{}]), max_false_positive_iou=0.0) == [([-1], [-1])]


def test_empty_frames():
    truth = truth_of([{0: (0, 0, 9, 9)}, {}])
    for (ids, labels), dtypes in zip(
        match_to_ground_truth([boxes_of([])] * 2, truth), [(torch.int64, torch.int8)] * 2, strict=True
    ):
        assert (len(ids), len(labels), (ids.dtype, labels.dtype)) == (0, 0, dtypes)
    assert matched([], truth) == []


def test_messages():
    with pytest.raises(ValueError, match=r"Expected detections of the 1 frames of the truth, got more"):
        matched([boxes_of([])] * 2, truth_of([{}]))
    with pytest.raises(ValueError, match=r"max_false_positive_iou=0.6 and min_iou=0.5"):
        matched([], truth_of([]), max_false_positive_iou=0.6)
