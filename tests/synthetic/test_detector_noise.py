from dataclasses import replace

import numpy as np
import pytest

from tests.synthetic.cases import SIZE, apart, world
from tltm_graph.synthetic.detector_noise import (
    Localization,
    MissBursts,
    Recall,
    displace,
    duplicates,
    false_positives,
    merge_overlapping,
    partial_boxes,
)
from tltm_graph.synthetic.observations import NO_OBJECT, DetectionRows, Observations


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def detect(recall: Recall, world, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw which objects are detected (T, N), and log-odds (T, N), in a world where all are always present."""
    detected, logits = recall.detect(np.random.default_rng(seed), Observations.of(world), world)
    return detected.reshape(world.present.shape), logits.reshape(world.present.shape)


def correlation(detected: np.ndarray, lag: int = 1) -> float:
    centred = detected - detected.mean()
    return float((centred[lag:] * centred[:-lag]).mean() / detected.var())


def test_recall_is_complete_by_default():
    assert detect(Recall(), apart(40, 50))[0].all()


def test_share_of_misses_differs_between_objects():
    detected, _ = detect(Recall(misses=0.2), apart(100, 1000))
    assert detected.mean() == pytest.approx(0.8, abs=0.03)
    shares = detected.mean(axis=0)
    assert np.minimum(abs(shares - 0.9), abs(shares - 0.7)).max() < 0.06
    assert (shares > 0.8).sum() == pytest.approx(50, abs=20)


def test_base_is_the_log_odds_of_an_easy_object():
    detected, logits = detect(Recall(base=1.5), apart(100, 200))
    assert (logits == 1.5).all()
    assert detected.mean() == pytest.approx(1 / (1 + np.exp(-1.5)), abs=0.01)


def test_log_odds_by_hand():
    easy = Recall(base=2.0, visible=0.6, softness=0.1, height=32.0)
    half_hidden = world([(100, 50, 120, 82)], [10.0], [(100, 0, 110, 200)], [5.0])
    assert detect(easy, half_hidden)[1].item() == pytest.approx(2 - 1)
    assert detect(replace(easy, visible=0.4), half_hidden)[1].item() == pytest.approx(2)
    small = world([(100, 50, 120, 66)])
    assert detect(easy, small)[1].item() == pytest.approx(2 + 3 * np.log(0.5))


def test_occluded_objects_are_missed():
    wall = world([(100, 50, 120, 110)], [10.0], [(90, 0, 130, 200)], [5.0], num_frames=500)
    assert detect(Recall(base=4.0), wall)[0].mean() > 0.9
    assert not detect(Recall(base=4.0, visible=0.5, softness=0.03), wall)[0].any()


def test_objects_at_the_edge_are_missed():
    detected, _ = detect(Recall(), world([(-90, 0, 10, 50), (-80, 0, 20, 50)], num_frames=50))
    assert detected.all(axis=0).tolist() == [False, True]
    assert detected.any(axis=0).tolist() == [False, True]


def test_flicker_is_correlated_in_time_and_misses_are_not():
    slow, _ = detect(Recall(base=1.0, flicker=2.0, flicker_memory=12.0), apart(60, 500))
    quick, _ = detect(Recall(base=1.0, flicker=2.0, flicker_memory=1.0), apart(60, 500))
    single, _ = detect(Recall(misses=0.3), apart(60, 500))
    assert correlation(slow, 1) > 0.3 > correlation(quick, 1) > 0.05
    assert correlation(slow, 40) < 0.1
    per_object = single - single.mean(axis=0)
    assert abs((per_object[1:] * per_object[:-1]).mean() / single.var()) < 0.02


def test_bias_makes_some_objects_easier_than_others():
    detected, logits = detect(Recall(base=0.0, bias=2.0), apart(200, 100))
    assert (logits == logits[0]).all()
    assert logits[0].std() == pytest.approx(2, abs=0.3)
    assert detected.mean(axis=0).std() > 0.25


def test_bursts_are_long_runs_of_misses():
    detected, _ = detect(Recall(bursts=MissBursts(at_first=0.2, mean_seen=20.0, longest=10)), apart(100, 2000))
    assert detected[0].mean() == pytest.approx(0.8, abs=0.12)
    assert detected.mean() == pytest.approx(20 / (20 + 5.5), abs=0.02)
    assert correlation(detected) > 0.7
    gaps = [len(gap) for column in detected.T for gap in "".join("x" if f else "." for f in column).split("x") if gap]
    assert max(gaps) == 10


def test_recall_of_an_empty_world():
    assert detect(Recall(misses=0.5, bursts=MissBursts(0.5, 5.0, 3)), world([], num_frames=4))[0].shape == (4, 0)


def test_random_recall_lies_in_its_ranges():
    drawn = [Recall.draw(np.random.default_rng(seed), 1000) for seed in range(300)]
    assert all(1.5 <= recall.base <= 5 and 0.03 <= recall.softness <= 0.15 for recall in drawn)
    assert all(recall.visible == 0 or 0.25 <= recall.visible <= 0.7 for recall in drawn)
    assert all(recall.height == 0 or 10 <= recall.height <= 80 for recall in drawn)
    assert all(recall.flicker == 0 or 0.3 <= recall.flicker <= 2 for recall in drawn)
    assert all(0 <= recall.misses <= 0.3 for recall in drawn)
    assert np.mean([recall.bursts is None for recall in drawn]) == pytest.approx(0.55, abs=0.1)
    assert np.mean([recall.visible == 0 for recall in drawn]) == pytest.approx(0.3, abs=0.1)
    bursts = [recall.bursts for recall in drawn if recall.bursts]
    assert all(2 <= burst.longest <= 30 and 10 <= burst.mean_seen <= 50 for burst in bursts)


def locate(localization: Localization, world, detected=None) -> np.ndarray:
    observations = Observations.of(world)
    detected = np.ones(len(observations.boxes), dtype=bool) if detected is None else detected
    return localization.locate(np.random.default_rng(0), observations, detected, world)


def displacements(boxes: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Compute the changes of centres and log sizes, in box sizes (R, 4)."""
    sizes, true_sizes = boxes[:, 2:] - boxes[:, :2], exact[:, 2:] - exact[:, :2]
    centres = (boxes[:, 2:] + boxes[:, :2] - exact[:, 2:] - exact[:, :2]) / 2
    return np.concatenate([centres / true_sizes, np.log(sizes / true_sizes)], axis=1)


def test_boxes_are_exact_by_default():
    assert np.array_equal(locate(Localization(), apart(30, 2)), Observations.of(apart(30, 2)).boxes)


def test_only_detected_objects_have_boxes():
    assert np.array_equal(
        locate(Localization(), apart(3, 1), np.array([True, False, True])), apart(3, 1).boxes[0, [0, 2]]
    )
    assert locate(Localization(noise=0.1, drift=0.1), world([], num_frames=2)).shape == (0, 4)


def test_boxes_are_clipped_unless_whole():
    edge = world([(-10, 20, 30, 60)])
    assert locate(Localization(whole=True), edge).tolist() == [[-10, 20, 30, 60]]
    assert locate(Localization(whole=False), edge).tolist() == [[0, 20, 30, 60]]
    assert edge.boxes[0, 0, 0] == -10, "the world is unchanged"


def test_noise_is_independent_and_drift_is_correlated():
    exact = Observations.of(apart(100, 100)).boxes
    for localization, kept in (
        (Localization(noise=0.05), 0.0),
        (Localization(drift=0.05, drift_memory=10.0), np.exp(-0.1)),
    ):
        moved = displacements(locate(localization, apart(100, 100)), exact).reshape(100, 100, 4)
        assert np.allclose(moved.std(axis=(0, 1)), 0.05, rtol=0.1)
        assert (moved[1:] * moved[:-1]).mean() / 0.05**2 == pytest.approx(kept, abs=0.07)


def test_occlusion_adds_noise_and_shrinks_boxes():
    person, pole = (100, 50, 120, 110), (100, 0, 110, 200)
    half_hidden = world([person], [10.0], [pole], [5.0], num_frames=3000)
    assert displacements(locate(Localization(noise=0.02), half_hidden), half_hidden.boxes[:, 0]).std() == pytest.approx(
        0.03, rel=0.05
    )
    boxes = locate(Localization(shrinking=0.4), half_hidden)
    assert np.allclose(boxes[:, 2] - boxes[:, 0], 20 * (1 - 0.4 * 0.5))
    assert (boxes == boxes[0]).all(), "it is always the same side"
    assert 100 in boxes[0] or 120 in boxes[0]
    assert np.array_equal(locate(Localization(shrinking=0.4), apart(30, 2)), Observations.of(apart(30, 2)).boxes)


def test_boxes_stay_valid():
    height, width = SIZE
    edges = world([(-30, -30, 10, 10), (width - 5, 0, width + 9, 40), (0, 0, width, height)], num_frames=200)
    boxes = locate(Localization(noise=0.08, drift=0.05, whole=False, shrinking=0.4), edges)
    assert (boxes[:, :2] < boxes[:, 2:]).all()
    assert np.isfinite(boxes).all()


def test_displacement_is_in_box_sizes():
    moved = displace(np.array([[10.0, 20, 30, 60]]), np.array([[0.5, -0.25, np.log(2), 0]]))
    assert np.allclose(moved, [[10, 10, 50, 50]])


PAIR = [(0.0, 0, 20, 40), (6.0, 2, 26, 42)]  # IoU 0.5


THIRD = (200.0, 0, 220, 40)


def rows_of(boxes, num_frames: int = 1) -> DetectionRows:
    """Make detections with the same boxes in each frame, and ids from 0."""
    boxes = np.array(boxes, dtype=float).reshape(-1, 4)
    count = len(boxes)
    return DetectionRows(
        frames=np.repeat(np.arange(num_frames), count),
        boxes=np.tile(boxes, (num_frames, 1)),
        scores=np.full(count * num_frames, 0.8),
        labels=np.full(count * num_frames, 2),
        ids=np.tile(np.arange(count), num_frames),
    )


@pytest.mark.parametrize("step", [merge_overlapping, partial_boxes, duplicates])
def test_no_detections_or_zero_probability(step):
    assert len(step(rng(), rows_of([]), 0.5, memory=3)) == 0
    assert len(step(rng(), rows_of(PAIR), 0.0, memory=3)) == (2 if step is merge_overlapping else 0)


def test_overlapping_boxes_are_merged():
    before = rows_of([*PAIR, THIRD], num_frames=3000)
    after = merge_overlapping(rng(), before, 1.0, memory=0.1)
    assert np.bincount(after.frames).tolist() == [2] * 3000
    assert (after.ids == 2).sum() == 3000, "the third box is unchanged"
    assert after.boxes[after.ids == 2].tolist() == [list(THIRD)] * 3000

    union = (after.boxes == [0, 0, 26, 42]).all(axis=1)
    assert union.sum() / 3000 == pytest.approx(0.3, abs=0.03)
    for ident, own in enumerate(PAIR):
        assert (after.ids == ident).sum() / 3000 == pytest.approx(0.5, abs=0.04)
        boxes = after.boxes[(after.ids == ident) & ~union]
        assert (abs(boxes[:, 0] - own[0]) <= 3).all(), "it is nearer to the one whose id it has"
        assert np.allclose(boxes[:, 0] / 6, boxes[:, 1] / 2), "it lies between the two"
        assert np.mean(abs(boxes[:, 0] - own[0]) < 0.6) > 0.25, "and mostly near to one"


def test_merging_lasts_for_several_frames():
    def changes(memory: float) -> tuple[int, np.ndarray]:
        after = merge_overlapping(rng(), rows_of(PAIR, num_frames=2000), 0.5, memory)
        merged = np.bincount(after.frames) == 1
        middles = after.boxes[np.isin(after.frames, np.flatnonzero(merged)), 0]
        return int((merged[1:] != merged[:-1]).sum()), middles

    (often, jumping), (rarely, gliding) = changes(0.1), changes(20)
    assert often == pytest.approx(1000, abs=80)
    assert rarely < 0.3 * often
    assert np.median(abs(np.diff(gliding))) < 0.5 * np.median(abs(np.diff(jumping)))


def test_share_of_merged_pairs():
    after = merge_overlapping(rng(), rows_of(PAIR, num_frames=3000), 0.3, memory=2)
    assert 6000 - len(after) == pytest.approx(900, abs=200)


def test_boxes_with_a_small_overlap_are_not_merged():
    apart = rows_of([PAIR[0], (13.0, 0, 33, 40)])  # IoU 0.21
    assert np.array_equal(merge_overlapping(rng(), apart, 1.0, memory=2).boxes, apart.boxes)


def test_merging_in_a_crowd_keeps_ids_unique():
    stairs = [(4.0 * n, 0, 4.0 * n + 20, 40) for n in range(8)]
    before = rows_of(stairs, num_frames=300)
    after = merge_overlapping(rng(), before, 0.9, memory=2)
    assert len(after) < len(before) / 2
    for frame in range(300):
        ids = after.ids[after.frames == frame]
        assert len(set(ids.tolist())) == len(ids)
    assert (after.boxes[:, :2] < after.boxes[:, 2:]).all()
    assert before.boxes[:8].tolist() == [list(box) for box in stairs], "the input is unchanged"


def test_parts_are_inside_their_boxes():
    before = rows_of([(10.0, 20, 50, 100)], num_frames=4000)
    parts = partial_boxes(rng(), before, 0.25, memory=0.1)
    assert len(parts) == pytest.approx(1000, abs=100)
    assert (parts.ids == NO_OBJECT).all()
    assert (parts.labels == 2).all()
    assert (parts.boxes[:, :2] >= [10, 20]).all()
    assert (parts.boxes[:, 2:] <= [54, 108]).all(), "up to a tenth beyond"
    share = (parts.boxes[:, 2:] - parts.boxes[:, :2]) / [40, 80]
    assert ((share >= 0.4) & (share <= 0.7)).all()
    assert ((parts.scores >= 0.4) & (parts.scores <= 0.8)).all()


def test_duplicates_are_near_their_boxes():
    before = rows_of([(10.0, 20, 50, 100)], num_frames=4000)
    copies = duplicates(rng(), before, 0.5, memory=0.1)
    assert len(copies) == pytest.approx(2000, abs=150)
    assert (copies.ids == NO_OBJECT).all()
    centres = (copies.boxes[:, :2] + copies.boxes[:, 2:]) / 2
    assert np.allclose(centres.mean(axis=0), [30, 60], atol=1)
    assert np.allclose(centres.std(axis=0), [8, 16], rtol=0.1)
    assert ((copies.scores >= 0.32) & (copies.scores <= 0.8)).all()


@pytest.mark.parametrize("step", [partial_boxes, duplicates])
def test_parts_and_duplicates_last_for_several_frames(step):
    def jumps(memory: float) -> tuple[int, float]:
        more = step(rng(), rows_of([(10.0, 20, 50, 100)], num_frames=2000), 0.5, memory)
        there = np.isin(np.arange(2000), more.frames)
        return int((there[1:] != there[:-1]).sum()), float(np.median(abs(np.diff(more.boxes[:, 0]))))

    (often, far), (rarely, near) = jumps(0.1), jumps(20)
    assert often == pytest.approx(1000, abs=80)
    assert rarely < 0.3 * often
    assert near < 0.5 * far


def draw_false_positives(world, rate: float, noise: float = 0.02) -> DetectionRows:
    rng = np.random.default_rng(0)
    return false_positives(rng, Observations.of(world), world, rate, noise)


def test_no_false_positives_in_an_empty_world_or_at_rate_zero():
    assert len(draw_false_positives(world([], num_frames=5), 0.5)) == 0
    assert len(draw_false_positives(apart(10, 5), 0.0)) == 0


def test_number_size_and_position_of_false_positives():
    detections = draw_false_positives(apart(20, 1000), 0.1)
    once = detections.take(detections.ids == NO_OBJECT)
    assert len(once) == pytest.approx(0.7 * 2000, rel=0.1)
    sizes = once.boxes[:, 2:] - once.boxes[:, :2]
    assert np.allclose(np.exp(np.log(sizes).mean(axis=0)), [8, 16], rtol=0.03)
    centres = (once.boxes[:, :2] + once.boxes[:, 2:]) / 2 / [SIZE[1], SIZE[0]]
    assert np.allclose(np.quantile(centres, [0.01, 0.5, 0.99], axis=0), [[0.01] * 2, [0.5] * 2, [0.99] * 2], atol=0.05)


def test_repeated_false_positives_stay_at_one_place():
    detections = draw_false_positives(apart(20, 1000), 0.1)
    again = detections.take(detections.ids != NO_OBJECT)
    assert again.frames.max() < 1000
    ids, counts = np.unique(again.ids, return_counts=True)
    assert ids.tolist() == list(range(20, 20 + len(ids))), "numbered after the objects"
    assert len(ids) == pytest.approx(0.3 * 2000, rel=0.15)
    assert counts.mean() == pytest.approx(1 + 14 * 0.625, rel=0.12)
    for ident in ids.tolist():
        frames, boxes = again.frames[again.ids == ident], again.boxes[again.ids == ident]
        labels = again.labels[again.ids == ident]
        assert len(set(frames.tolist())) == len(frames), "once in a frame"
        assert len(set(labels.tolist())) == 1
        size = boxes[0, 2:] - boxes[0, :2]
        assert (abs(boxes[:, :2] - boxes[0, :2]) < 0.25 * size).all()


def test_repeated_false_positives_always_move_a_little():
    detections = draw_false_positives(apart(20, 300), 0.1, noise=0.0)
    again = detections.take(detections.ids == 20)
    assert len(again) > 1
    assert len(np.unique(again.boxes[:, 0])) == len(again)
