import numpy as np
import pytest

from tltm_graph.ops.boxes import to_centres
from tltm_graph.structures.motion import Motion
from tltm_graph.tracking import MotionFilters


def box(x: float, width: float = 16.0, height: float = 20.0) -> np.ndarray:
    return np.array([[x - width / 2, 0, x + width / 2, height]])


def followed(filters: MotionFilters, places: list[float], times: list[float], clear: float = 1.0) -> Motion:
    one = np.ones(1)
    motion = filters.start(box(places[0]), one, times[0])
    for place, time in zip(places[1:], times[1:], strict=True):
        motion = updated(filters, motion, box(place), time, clear * one)
    return motion


def updated(
    filters: MotionFilters, motion: Motion, boxes: np.ndarray, time: float, clear: np.ndarray | None = None
) -> Motion:
    ones = np.ones(len(motion))
    return filters.update(motion, filters.predict(motion, time), boxes, ones, time, ones if clear is None else clear)


@pytest.mark.parametrize("window", [1, 2, 4, 10])
def test_gains_fit_the_least_squares_line(window):
    filters = MotionFilters(windows=(window, window, window), dampings=(0.0, 0.0, 0.0))
    places = 10 + 3 * np.arange(window) + np.random.default_rng(0).normal(size=window)
    motion = followed(filters, places.tolist(), list(range(window)))
    if window == 1:
        assert float(motion.places[0, 1, 0]) == pytest.approx(float(places[0]))
        return
    t = np.arange(window)
    slope = ((t - t.mean()) * (places - places.mean())).sum() / np.square(t - t.mean()).sum()
    assert motion.places[0, :, 0].tolist() == pytest.approx(
        [float(places.mean() + slope * (window - 1 - t.mean()))] * 3
    )
    assert motion.velocities[0, :, 0].tolist() == pytest.approx([float(slope)] * 3)


def test_a_window_of_one_has_no_velocity():
    motion = followed(MotionFilters(windows=(1, 1, 1)), [0, 5, 10], [0, 1, 2])
    assert motion.places[0, :, 0].tolist() == [10] * 3
    assert not motion.velocities.any()


def test_unseen_tracks_slow_down():
    filters = MotionFilters(dampings=(0.5, 0.5, 0.5))
    motion = filters.start(box(8), np.ones(1), 0.0)
    motion.velocities[:] = 8.0, 0.0
    assert [float(filters.predict(motion, t)[0, 1, 0]) for t in (1, 2, 3, 50)] == pytest.approx([16, 20, 22, 24])


def test_an_approaching_object_grows_and_accelerates():
    """An object of 40 m at constant speed before a pinhole camera, which a line through the boxes lags behind."""
    filters = MotionFilters(dampings=(0.0, 0.0, 0.0))

    def seen(time: float) -> np.ndarray:
        depth = 40 - 3 * time
        return np.array([[x / depth * 500 for x in (2.0, 1.0, 4.0, 3.0)]])

    motion = filters.start(seen(0), np.ones(1), 0.0)
    for time in range(1, 9):
        motion = updated(filters, motion, seen(time), float(time))
    expected, quick = to_centres(seen(9))[0], filters.predict(motion, 9.0)[0, 0]
    assert np.abs(quick / expected - 1).max() < 0.1
    straight = to_centres(2 * seen(8) - seen(7))[0]
    assert np.hypot(*(quick[:2] - expected[:2])) < 0.55 * np.hypot(*(straight[:2] - expected[:2]))
    still = filters.predict(motion, 500.0)[0, :, 2:]
    assert (still <= 2.1 * motion.places[0, :, 2:]).all(), "within a factor of two"


def test_new_tracks_start_with_the_velocity_of_similar_neighbours():
    filters = MotionFilters()
    xs = [100.0, 140.0, 180.0]
    boxes = np.concatenate([box(x) for x in [*xs, 400.0, 440.0]])
    way = np.array([[3.0, 0, 3, 0]] * 3 + [[-5.0, 0, -5, 0]] * 2)
    motion = filters.start(boxes, np.ones(5), 0.0)
    for time in range(1, 6):
        motion = updated(filters, motion, boxes + time * way, float(time))
    new = np.concatenate([box(155.0), box(430.0), box(155.0, 160, 200), box(900.0)])
    velocity = filters.start(new, np.ones(4), 6.0, motion).velocities[:, 1, 0].tolist()
    assert 2.0 < velocity[0] <= 3.0
    assert -5.0 <= velocity[1] < -3.0
    assert abs(velocity[2]) < 0.1, "of another size"
    assert velocity[3] == pytest.approx(0, abs=1e-3), "nobody is near"
    assert not filters.start(new, np.ones(4), 60.0, motion).velocities.any(), "they were seen too long ago"
    apart = filters.start(boxes[:3], np.ones(3), 0.0)
    for time in range(1, 6):
        step = time * np.array([[3.0, 0, 3, 0], [-3.0, 0, -3, 0], [0.0, 0, 0, 0]])
        apart = updated(filters, apart, boxes[:3] + step, float(time))
    assert abs(float(filters.start(new, np.ones(4), 6.0, apart).velocities[0, 1, 0])) < 1, "they do not agree"


def test_dropped_frames_count_for_the_velocity():
    filters = MotionFilters(dampings=(0.0, 0.0, 0.0))
    motion = followed(filters, [0, 4], [0, 4])
    assert motion.velocities[0, 1, 0] == pytest.approx(1)


def test_the_patient_filter_ignores_overlapping_observations():
    filters = MotionFilters()
    still, crossed = [20.0] * 20, [26.0] * 5
    times = list(range(25))
    motion = followed(filters, still, times[:20])
    for place, time in zip(crossed, times[20:], strict=True):
        motion = updated(filters, motion, box(place), time, np.array([0.1]))
    quick, middle, patient = motion.places[0, :, 0].tolist()
    assert quick > 25
    assert middle > 23
    assert patient < 21


def test_clearness_falls_with_the_largest_overlap():
    filters = MotionFilters()

    def clearness(boxes, matched, tracks, rows):
        motion = filters.start(np.concatenate([box(x) for x in tracks]), np.ones(len(tracks)), 0.0)
        boxes = np.concatenate([box(x) for x in boxes])
        return filters.clearness(boxes, np.array(matched), filters.predict(motion, 1.0), np.array(rows)).tolist()

    assert clearness([20, 24, 200], [0, 2], [20, 200], [0, 1]) == pytest.approx([1 - (2 * 12 / 20 - 0.3), 1.0])
    alone = clearness([20], [0], [20, 22], [0])
    assert alone == pytest.approx([0.1], abs=0.01), "a track that is remembered there counts, too"


def test_noise_is_that_of_the_observations():
    places = 100 + 0.8 * np.random.default_rng(0).normal(size=400)  # 5 % of the width, x alone
    noise = float(followed(MotionFilters(), places.tolist(), list(range(400))).noise[0, 0])
    assert 0.02 < noise < 0.06  # √((0.05² + 0²) / 2) = 0.035, and what the prediction is off


def test_lost_tracks_follow_the_camera():
    filters = MotionFilters()
    boxes = np.concatenate([box(x) for x in (20.0, 80.0, 140.0, 200.0)])
    motion = filters.start(boxes, np.ones(4), 0.0)
    for t in range(1, 6):
        motion = updated(filters, motion, boxes, float(t))
    seen, unseen = motion[np.arange(3)], motion[np.array([3])]

    def compensated(motion, matched, boxes):
        return filters.compensate_camera(motion, matched, filters.predict(matched, 6.0), boxes, 6.0)

    after = compensated(unseen, seen, boxes[:3] + np.array([9.0, 0, 9, 0]))
    assert float(after.places[0, 1, 0]) == pytest.approx(200 + 9 * 2 / 3, abs=0.2)  # as far as three can be believed
    apart = boxes[:3] + np.array([[9.0, 0, 9, 0], [-9.0, 0, -9, 0], [0.0, 0, 0, 0]])
    assert float(compensated(unseen, seen, apart).places[0, 1, 0]) == pytest.approx(200, abs=0.5)
    none = np.zeros(0, dtype=np.int64)
    assert compensated(unseen, seen[none], boxes[:0]) is unseen
    assert len(compensated(unseen[none], seen, boxes[:3])) == 0


def test_no_tracks():
    filters, none = MotionFilters(), np.zeros(0, dtype=np.int64)
    nothing = filters.start(np.zeros((0, 4)), np.zeros(0), 0.0)
    predicted = filters.predict(nothing, 3.0)
    assert predicted.shape == (0, 3, 4)
    assert len(updated(filters, nothing, np.zeros((0, 4)), 3.0)) == 0
    assert filters.clearness(box(3), none, predicted, none).shape == (0,)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"windows": (3, 10)}, "three filters"),
        ({"windows": (0, 10, 30)}, "windows of at least 1"),
        ({"dampings": (0.8, 0.95, 1.0)}, r"damping in \[0, 1\)"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        MotionFilters(**settings)
