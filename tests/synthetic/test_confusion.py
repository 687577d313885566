import numpy as np
import pytest

from tltm_graph.synthetic.detector_noise import duplicates, merge_overlapping, partial_boxes
from tltm_graph.synthetic.observations import FALSE, Found

PAIR = [(0.0, 0, 20, 40), (6.0, 2, 26, 42)]  # IoU 0.5
STRANGER = (200.0, 0, 220, 40)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def found(boxes, num_frames: int = 1) -> Found:
    """The same boxes in each frame, their ids counted from 0."""
    boxes = np.array(boxes, dtype=float).reshape(-1, 4)
    count = len(boxes)
    return Found(
        frames=np.repeat(np.arange(num_frames), count),
        boxes=np.tile(boxes, (num_frames, 1)),
        scores=np.full(count * num_frames, 0.8),
        labels=np.full(count * num_frames, 2),
        ids=np.tile(np.arange(count), num_frames),
    )


@pytest.mark.parametrize("step", [merge_overlapping, partial_boxes, duplicates])
def test_nothing_comes_of_nothing(step):
    assert len(step(rng(), found([]), 0.5, memory=3)) == 0
    assert len(step(rng(), found(PAIR), 0.0, memory=3)) == (2 if step is merge_overlapping else 0)


def test_one_box_for_two_that_overlap():
    before = found([*PAIR, STRANGER], num_frames=3000)
    after = merge_overlapping(rng(), before, 1.0, memory=0.1)
    assert np.bincount(after.frames).tolist() == [2] * 3000
    assert (after.ids == 2).sum() == 3000, "the stranger is left alone"
    assert after.boxes[after.ids == 2].tolist() == [list(STRANGER)] * 3000

    union = (after.boxes == [0, 0, 26, 42]).all(axis=1)
    assert union.sum() / 3000 == pytest.approx(0.3, abs=0.03)
    for ident, own in enumerate(PAIR):
        assert (after.ids == ident).sum() / 3000 == pytest.approx(0.5, abs=0.04)
        boxes = after.boxes[(after.ids == ident) & ~union]
        assert (abs(boxes[:, 0] - own[0]) <= 3).all(), "it is nearer to the one whose id it has"
        assert np.allclose(boxes[:, 0] / 6, boxes[:, 1] / 2), "it lies between the two"
        assert np.mean(abs(boxes[:, 0] - own[0]) < 0.6) > 0.25, "and mostly near to one"


def test_two_that_are_one_stay_so_for_a_while():
    def changes(memory: float) -> tuple[int, np.ndarray]:
        after = merge_overlapping(rng(), found(PAIR, num_frames=2000), 0.5, memory)
        merged = np.bincount(after.frames) == 1
        middles = after.boxes[np.isin(after.frames, np.flatnonzero(merged)), 0]
        return int((merged[1:] != merged[:-1]).sum()), middles

    (often, jumping), (rarely, gliding) = changes(0.1), changes(20)
    assert often == pytest.approx(1000, abs=80)
    assert rarely < 0.3 * often
    assert np.median(abs(np.diff(gliding))) < 0.5 * np.median(abs(np.diff(jumping)))


def test_the_share_of_merged_pairs_is_the_one_set():
    after = merge_overlapping(rng(), found(PAIR, num_frames=3000), 0.3, memory=2)
    assert 6000 - len(after) == pytest.approx(900, abs=200)


def test_boxes_that_hardly_overlap_stay_two():
    apart = found([PAIR[0], (13.0, 0, 33, 40)])  # IoU 0.21
    assert np.array_equal(merge_overlapping(rng(), apart, 1.0, memory=2).boxes, apart.boxes)


def test_in_a_crowd_every_id_is_still_there_once_at_most():
    stairs = [(4.0 * n, 0, 4.0 * n + 20, 40) for n in range(8)]
    before = found(stairs, num_frames=300)
    after = merge_overlapping(rng(), before, 0.9, memory=2)
    assert len(after) < len(before) / 2
    for frame in range(300):
        ids = after.ids[after.frames == frame]
        assert len(set(ids.tolist())) == len(ids)
    assert (after.boxes[:, :2] < after.boxes[:, 2:]).all()
    assert before.boxes[:8].tolist() == [list(box) for box in stairs], "the boxes before are as they were"


def test_parts_lie_in_their_boxes():
    before = found([(10.0, 20, 50, 100)], num_frames=4000)
    parts = partial_boxes(rng(), before, 0.25, memory=0.1)
    assert len(parts) == pytest.approx(1000, abs=100)
    assert (parts.ids == FALSE).all()
    assert (parts.labels == 2).all()
    assert (parts.boxes[:, :2] >= [10, 20]).all()
    assert (parts.boxes[:, 2:] <= [54, 108]).all(), "up to a tenth beyond"
    share = (parts.boxes[:, 2:] - parts.boxes[:, :2]) / [40, 80]
    assert ((share >= 0.4) & (share <= 0.7)).all()
    assert ((parts.scores >= 0.4) & (parts.scores <= 0.8)).all()


def test_duplicates_lie_around_their_boxes():
    before = found([(10.0, 20, 50, 100)], num_frames=4000)
    copies = duplicates(rng(), before, 0.5, memory=0.1)
    assert len(copies) == pytest.approx(2000, abs=150)
    assert (copies.ids == FALSE).all()
    centres = (copies.boxes[:, :2] + copies.boxes[:, 2:]) / 2
    assert np.allclose(centres.mean(axis=0), [30, 60], atol=1)
    assert np.allclose(centres.std(axis=0), [8, 16], rtol=0.1)
    assert ((copies.scores >= 0.32) & (copies.scores <= 0.8)).all()


@pytest.mark.parametrize("step", [partial_boxes, duplicates])
def test_one_box_more_stays_so_for_a_while(step):
    def jumps(memory: float) -> tuple[int, float]:
        more = step(rng(), found([(10.0, 20, 50, 100)], num_frames=2000), 0.5, memory)
        there = np.isin(np.arange(2000), more.frames)
        return int((there[1:] != there[:-1]).sum()), float(np.median(abs(np.diff(more.boxes[:, 0]))))

    (often, far), (rarely, near) = jumps(0.1), jumps(20)
    assert often == pytest.approx(1000, abs=80)
    assert rarely < 0.3 * often
    assert near < 0.5 * far
