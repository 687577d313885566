from itertools import permutations

import numpy as np
import pytest
import torch

from tltm_graph import Detections, Tracks
from tltm_graph.metrics import match_to_ground_truth
from tltm_graph.ops import encode_rle, masks_to_boxes
from tltm_graph.structures import Observation

SIZE = (60, 80)


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


def told(detections, truth, **options) -> list[tuple[list[int], list[int]]]:
    return [(ids.tolist(), objects.tolist()) for ids, objects in match_to_ground_truth(detections, truth, **options)]


# --- the oracle: every way to pair, one after the other


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


def slowly(detections, truth):
    free, before, result = 1 + max(truth, default=-1), [], []
    for frame, seen in enumerate(detections):
        true = {i: track.boxes[track.frames.index(frame)] for i, track in truth.items() if frame in track.frames}
        found = seen.boxes.tolist()
        pairs = best_pairs(list(true.values()), found)
        ids, objects = [-1] * len(found), [-1] * len(found)
        for k, box in enumerate(found):
            if k in pairs:
                ids[k], objects[k] = list(true)[pairs[k]], 1
            else:
                most = max(range(len(true)), key=lambda r: iou(list(true.values())[r], box), default=None)
                if most is None or iou(list(true.values())[most], box) < 0.3 or most in pairs.values():
                    objects[k] = 0
        false = [k for k in range(len(found)) if objects[k] == 0]
        same = best_pairs([box for _, box in before], [found[k] for k in false])
        for place, k in enumerate(false):
            if place in same:
                ids[k] = before[same[place]][0]
            else:
                ids[k], free = free, free + 1
        before = [(ids[k], found[k]) for k in false]
        result.append((ids, objects))
    return result


@pytest.mark.parametrize("seed", range(12))
def test_it_is_what_trying_all_pairs_gives(seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 30, (4, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(10, 30, (4, 2))], axis=1)
    frames = [{i: box for i, box in enumerate(boxes) if rng.random() < 0.7} for _ in range(6)]
    nothing = boxes[rng.permutation(4)[:2]] + [25, 0, 25, 0]
    detections = []
    for seen in frames:
        rows = [*seen.values(), *nothing] if rng.random() < 0.9 else []
        rows = [row + rng.normal(0, 3, 4) for row in rows if rng.random() < 0.9][:5]
        detections.append(boxes_of(np.array(rows)))
    truth = truth_of(frames)
    assert told(detections, truth) == slowly(detections, truth)
    assert {o for _, objects in told(detections, truth) for o in objects} <= {-1, 0, 1}


def test_four_cases():
    truth = truth_of([{7: (0, 0, 20, 20), 3: (40, 0, 60, 20), 5: (60, 30, 80, 50)}])
    seen = boxes_of([(41, 0, 61, 20), (0, 0, 20, 18), (0, 0, 20, 8), (0, 40, 20, 60), (60, 30, 80, 38)])
    ((ids, objects),) = told([seen], truth)
    assert ids == [3, 7, 8, 9, -1], "false positives count on from the greatest true id"
    assert objects == [1, 1, 0, 0, -1], "a second one, one on nothing, and a bad one of what has no good one"


def test_a_second_detection_that_stays_is_one_thing():
    truth = truth_of([{0: (0, 0, 20, 20)}] * 3)
    seen = [boxes_of([(0, 0, 20, 19), (8, 0, 20, 20)])] * 3
    assert told(seen, truth) == [([0, 1], [1, 0])] * 3
    assert told(seen, truth, second=False) == [([0, -1], [1, -1])] * 3


def test_a_false_positive_that_stays_is_one_thing():
    truth = truth_of([{}, {}, {}, {}])
    seen = [boxes_of([(x, 0, x + 20, 20)]) for x in (0, 4, 8)] + [boxes_of([(40, 0, 60, 20)])]
    assert [ids for ids, _ in told(seen, truth)] == [[0], [0], [0], [1]]
    away = [seen[0], boxes_of([]), seen[0], seen[0]]
    assert [ids for ids, _ in told(away, truth)] == [[0], [], [1], [1]], "only from frame to frame"


def test_masks_tell_apart_what_boxes_do_not():
    left, right = (0, 0, 20, 40), (0, 20, 40, 40)
    shapes = masks_of([left, right])
    rows = [
        (0, Observation(i, (0.0, 0.0, 40.0, 40.0), mask=rle)) for i, rle in enumerate(encode_rle(shapes.masks), start=4)
    ]
    truth = Tracks.from_observations(rows, SIZE, 1)
    wide = shapes[[1, 0]].replace(boxes=torch.tensor([[0.0, 0, 40, 40]]).repeat(2, 1))
    assert told([wide], truth) == [([5, 4], [1, 1])]
    ((_, objects),) = told([wide.replace(masks=None)[:1]], truth)
    assert objects == [1], "without masks on one side boxes are compared"


@pytest.mark.parametrize("mark", [{"crowd": True}, {"score": 0.0}])
def test_nobody_knows_what_is_on_a_region_that_is_not_scored(mark):
    seen = boxes_of([(0, 0, 20, 20), (30, 0, 50, 20)])
    assert told([seen], truth_of([{0: (0, 0, 35, 60)}], **mark)) == [([-1, 1], [-1, 0])]


def test_a_crowd_takes_no_object_away():
    rows = [(0, Observation(0, (0.0, 0.0, 60.0, 60.0), crowd=True)), (0, Observation(1, (0.0, 0.0, 20.0, 20.0)))]
    assert told([boxes_of([(0, 0, 20, 20)])], Tracks.from_observations(rows, SIZE, 1)) == [([1], [1])]


def test_truth_that_does_not_have_all_objects_has_no_false_positives():
    assert told([boxes_of([(0, 0, 20, 20)])], truth_of([{}]), false=0.0) == [([-1], [-1])]


def test_empty_frames():
    truth = truth_of([{0: (0, 0, 9, 9)}, {}])
    for (ids, objects), kinds in zip(
        match_to_ground_truth([boxes_of([])] * 2, truth), [(torch.int64, torch.int8)] * 2, strict=True
    ):
        assert (len(ids), len(objects), (ids.dtype, objects.dtype)) == (0, 0, kinds)
    assert told([], truth) == []


def test_messages():
    with pytest.raises(ValueError, match=r"Expected detections of the 1 frames of the truth, got more"):
        told([boxes_of([])] * 2, truth_of([{}]))
    with pytest.raises(ValueError, match=r"0 <= false <= same <= 1, got false=0.6 and same=0.5"):
        told([], truth_of([]), false=0.6)
