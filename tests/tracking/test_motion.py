import pytest
import torch
from torchvision.ops import box_convert

from tltm_graph.tracking import MotionFilters
from tltm_graph.tracking.motion import Motion


def box(x: float, width: float = 16.0, height: float = 20.0) -> torch.Tensor:
    return torch.tensor([[x - width / 2, 0, x + width / 2, height]], dtype=torch.float64)


def followed(filters: MotionFilters, places: list[float], times: list[float], clear: float = 1.0) -> Motion:
    one = torch.ones(1, dtype=torch.float64)
    motion = filters.start(box(places[0]), one, times[0])
    for place, time in zip(places[1:], times[1:], strict=True):
        motion = filters.update(motion, box(place), one, time, clear * one)
    return motion


@pytest.mark.parametrize("window", [1, 2, 4, 10])
def test_gains_fit_the_least_squares_line(window):
    filters = MotionFilters(windows=(window, window, window), dampings=(0.0, 0.0, 0.0))
    random = torch.Generator().manual_seed(0)
    places = (10 + 3 * torch.arange(window) + torch.randn(window, generator=random)).double()
    motion = followed(filters, places.tolist(), list(range(window)))
    if window == 1:
        assert float(motion.places[0, 1, 0]) == pytest.approx(float(places[0]))
        return
    t = torch.arange(window).double()
    slope = ((t - t.mean()) * (places - places.mean())).sum() / (t - t.mean()).square().sum()
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
    motion = filters.start(box(8), torch.ones(1), 0.0)
    motion = Motion(**{**vars(motion), "velocities": torch.tensor([[[8.0, 0.0]] * 3])})
    assert [float(filters.predict(motion, t)[0, 1, 0]) for t in (1, 2, 3, 50)] == pytest.approx([16, 20, 22, 24])


def test_an_approaching_object_grows_and_accelerates():
    """An object of 40 m at constant speed before a pinhole camera, which a line through the boxes lags behind."""
    filters = MotionFilters(dampings=(0.0, 0.0, 0.0))

    def seen(time: float) -> torch.Tensor:
        depth = 40 - 3 * time
        return torch.tensor([[x / depth * 500 for x in (2.0, 1.0, 4.0, 3.0)]], dtype=torch.float64)

    one = torch.ones(1, dtype=torch.float64)
    motion = filters.start(seen(0), one, 0.0)
    for time in range(1, 9):
        motion = filters.update(motion, seen(time), one, float(time), one)
    expected, quick = box_convert(seen(9), "xyxy", "cxcywh")[0], filters.predict(motion, 9.0)[0, 0]
    assert (quick / expected - 1).abs().max() < 0.1
    straight = box_convert(2 * seen(8) - seen(7), "xyxy", "cxcywh")[0]
    assert (quick[:2] - expected[:2]).norm() < 0.55 * (straight[:2] - expected[:2]).norm()
    still = filters.predict(motion, 500.0)[0, :, 2:]
    assert (still <= 2.1 * motion.places[0, :, 2:]).all(), "within a factor of two"


def test_new_tracks_start_with_the_velocity_of_similar_neighbours():
    filters = MotionFilters()
    xs, one = [100.0, 140.0, 180.0], torch.ones(3)
    boxes = torch.cat([box(x) for x in xs] + [box(400.0), box(440.0)]).float()
    way = torch.tensor([[3.0, 0, 3, 0]] * 3 + [[-5.0, 0, -5, 0]] * 2)
    motion = filters.start(boxes, torch.ones(5), 0.0)
    for time in range(1, 6):
        motion = filters.update(motion, boxes + time * way, torch.ones(5), float(time), torch.ones(5))
    new = torch.cat([box(155.0), box(430.0), box(155.0, 160, 200), box(900.0)]).float()
    velocity = filters.start(new, torch.ones(4), 6.0, motion).velocities[:, 1, 0].tolist()
    assert 2.0 < velocity[0] <= 3.0
    assert -5.0 <= velocity[1] < -3.0
    assert abs(velocity[2]) < 0.1, "of another size"
    assert velocity[3] == pytest.approx(0, abs=1e-3), "nobody is near"
    assert not filters.start(new, torch.ones(4), 60.0, motion).velocities.any(), "they were seen too long ago"
    apart = filters.start(boxes[:3], one, 0.0)
    for time in range(1, 6):
        step = time * torch.tensor([[3.0, 0, 3, 0], [-3.0, 0, -3, 0], [0.0, 0, 0, 0]])
        apart = filters.update(apart, boxes[:3] + step, one, float(time), one)
    assert abs(float(filters.start(new, torch.ones(4), 6.0, apart).velocities[0, 1, 0])) < 1, "they do not agree"


def test_dropped_frames_count_for_the_velocity():
    filters = MotionFilters(dampings=(0.0, 0.0, 0.0))
    motion = followed(filters, [0, 4], [0, 4])
    assert motion.velocities[0, 1, 0] == pytest.approx(1)


def test_the_patient_filter_ignores_overlapping_observations():
    filters = MotionFilters()
    still, crossed = [20.0] * 20, [26.0] * 5
    times = list(range(25))
    one = torch.ones(1, dtype=torch.float64)
    motion = followed(filters, still, times[:20])
    for place, time in zip(crossed, times[20:], strict=True):
        motion = filters.update(motion, box(place), one, time, 0.1 * one)
    quick, middle, patient = motion.places[0, :, 0].tolist()
    assert quick > 25
    assert middle > 23
    assert patient < 21


def test_clearness_falls_with_the_largest_overlap():
    filters = MotionFilters()
    boxes = torch.cat([box(20), box(24), box(200)]).float()
    motion = filters.start(torch.cat([box(20), box(200)]).float(), torch.ones(2), 0.0)
    clear = filters.clearness(boxes, torch.tensor([0, 2]), motion, torch.tensor([0, 1]), 1.0)
    iou = 12 / 20
    assert clear.tolist() == pytest.approx([1 - (2 * iou - 0.3), 1.0])
    hidden = filters.start(torch.cat([box(20), box(22)]).float(), torch.ones(2), 0.0)
    alone = filters.clearness(box(20).float(), torch.tensor([0]), hidden, torch.tensor([0]), 1.0)
    assert alone.tolist() == pytest.approx([0.1], abs=0.01), "a track that is remembered there counts, too"


def test_noise_is_that_of_the_observations():
    random = torch.Generator().manual_seed(0)
    places = (100 + 0.8 * torch.randn(400, generator=random)).double().tolist()  # 5 % of the width, x alone
    noise = float(followed(MotionFilters(), places, list(range(400))).noise[0, 0])
    assert 0.02 < noise < 0.06  # √((0.05² + 0²) / 2) = 0.035, and what the prediction is off


def test_lost_tracks_follow_the_camera():
    filters = MotionFilters()
    xs = [20.0, 80.0, 140.0, 200.0]
    boxes = torch.cat([box(x) for x in xs]).float()
    motion = filters.start(boxes, torch.ones(4), 0.0)
    for t in range(1, 6):
        motion = filters.update(motion, boxes, torch.ones(4), float(t), torch.ones(4))
    seen, unseen = motion[torch.tensor([0, 1, 2])], motion[torch.tensor([3])]
    moved = boxes[:3] + torch.tensor([9.0, 0, 9, 0])
    after = filters.compensate_camera(unseen, seen, moved, 6.0)
    assert float(after.places[0, 1, 0]) == pytest.approx(200 + 9 * 2 / 3, abs=0.2)  # as far as three can be believed
    apart = boxes[:3] + torch.tensor([[9.0, 0, 9, 0], [-9.0, 0, -9, 0], [0.0, 0, 0, 0]])
    assert float(filters.compensate_camera(unseen, seen, apart, 6.0).places[0, 1, 0]) == pytest.approx(200, abs=0.5)
    none = torch.zeros(0, dtype=torch.int64)
    assert filters.compensate_camera(unseen, seen[none], boxes[:0], 6.0) is unseen
    assert len(filters.compensate_camera(unseen[none], seen, moved, 6.0)) == 0


def test_no_tracks():
    filters = MotionFilters()
    nothing = filters.start(torch.zeros(0, 4), torch.zeros(0), 0.0)
    assert filters.predict(nothing, 3.0).shape == (0, 3, 4)
    assert len(filters.update(nothing, torch.zeros(0, 4), torch.zeros(0), 3.0, torch.zeros(0))) == 0
    none = torch.zeros(0, dtype=torch.int64)
    assert filters.clearness(box(3).float(), none, nothing, none, 1.0).shape == (0,)


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
