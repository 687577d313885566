import numpy as np
import pytest

from tltm_graph.frame_pairs import HallucinatedMotion
from tltm_graph.training.animation import (
    DIRECTIONS,
    animate,
    draw_things,
    draw_view,
    move_apart,
    outline_of_box,
    outline_of_mask,
    smooth,
)

SIZE = (200, 300)
STILL = HallucinatedMotion(translation=0.0, rotation=0.0)


def box_of(outline):
    return [*outline.min(axis=-2), *outline.max(axis=-2)]


def some_outlines(count=5, seed=0):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(20, 120, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(10, 50, (count, 2))], axis=1)
    return np.array([outline_of_box(box) for box in boxes]).reshape(-1, DIRECTIONS.shape[1], 2)


def test_outlines_are_as_large_as_what_they_are_of():
    box = np.array([10.0, 20, 50, 90])
    assert box_of(outline_of_box(box)) == pytest.approx(box)
    mask = np.zeros((60, 80), dtype=bool)
    mask[11:30, 5:9] = mask[29, 5:70] = True
    assert box_of(outline_of_mask(mask)) == [5, 11, 70, 30]
    mask[:] = False
    mask[3, 4] = True
    assert box_of(outline_of_mask(mask)) == [4, 3, 5, 4]


@pytest.mark.parametrize("seed", range(4))
def test_an_outline_has_the_outermost_corner_of_all_pixels_in_each_direction(seed):
    mask = np.random.default_rng(seed).random((9, 12)) < 0.1
    corners = [(x + dx, y + dy) for y, x in zip(*mask.nonzero(), strict=True) for dx in (0, 1) for dy in (0, 1)]
    outline = outline_of_mask(mask)
    for point, direction in zip(outline, DIRECTIONS.T, strict=True):
        assert point @ direction == pytest.approx(max(np.dot(corner, direction) for corner in corners))


def test_a_turned_ellipse_has_the_box_that_is_known_of_it():
    """Half the width of an ellipse with half axes a and b, turned by t: sqrt((a cos t)² + (b sin t)²)."""
    a, b, angle = 10.0, 30.0, np.radians(20)
    outline = outline_of_box(np.array([-a, -b, a, b]))
    x = outline @ [np.cos(angle), -np.sin(angle)]
    assert x.max() == pytest.approx(np.hypot(a * np.cos(angle), b * np.sin(angle)), rel=0.02)


@pytest.mark.parametrize("shape", [(40,), (40, 3, 2), (1, 2), (0, 2), (30, 0)])
def test_paths_stay_within_their_range(shape):
    for seed in range(5):
        path = smooth(np.random.default_rng(seed), shape)
        assert path.shape == shape
        assert (np.abs(path) <= 1).all()


def test_paths_do_not_jump():
    steps, swings = [], []
    for seed in range(50):
        path = smooth(np.random.default_rng(seed), (60, 4))
        steps.append(np.abs(np.diff(path, axis=0)).mean())
        swings.append(np.ptp(path, axis=0).mean())
    assert np.median(steps) < 0.15, "2/3 if each frame was drawn anew"
    assert np.median(swings) > 1


def test_the_camera_keeps_within_the_motion_of_the_paper():
    motion = HallucinatedMotion(translation=0.2, rotation=20.0, scale=(0.8, 1.5))
    turns = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        shift, turn, zoom = draw_view(rng, 50, SIZE, motion)
        assert (np.abs(shift) < np.array([300, 200]) * 0.2 + 0.05 * SIZE[1]).all(), "shaking comes on top"
        assert (np.abs(turn) <= np.radians(20)).all()
        assert ((zoom >= 0.8) & (zoom <= 1.5)).all()
        turns.append(np.abs(turn).max())
    assert max(turns) > np.radians(10)
    assert min(turns) == 0, "some stand"


def test_the_boxes_of_a_world_are_those_of_the_moved_points_one_by_one():
    rng, again = (np.random.default_rng(5) for _ in "ab")
    outlines = some_outlines()
    motion = HallucinatedMotion(scale=(0.9, 1.2))
    world = animate(rng, outlines, np.arange(5), SIZE, 20, motion)
    own = move_apart(again, outlines, 20, motion.rotation)
    draw_things(again, outlines, SIZE)
    shift, turn, zoom = draw_view(again, 20, SIZE, motion)
    for frame in (0, 7, 19):
        matrix = zoom[frame] * np.array(
            [[np.cos(turn[frame]), -np.sin(turn[frame])], [np.sin(turn[frame]), np.cos(turn[frame])]]
        )
        for number in range(5):
            points = [matrix @ (p - [150, 100]) + [150, 100] + shift[frame] for p in own[frame, number]]
            assert world.boxes[frame, number] == pytest.approx(box_of(np.array(points)))
            assert world.depths[frame, number] == -own[frame, number, :, 1].max(), "who stands lower is in front"


def test_objects_overtake_each_other_leave_and_come_back():
    hidden = left = returned = 0
    for seed in range(30):
        world = animate(np.random.default_rng(seed), some_outlines(6, seed), np.zeros(6, int), SIZE, 60, STILL)
        order = np.argsort(world.boxes[..., 0], axis=1)
        hidden += (order != order[0]).any()
        gone = world.present[:-1] & ~world.present[1:]
        back = ~world.present[:-1] & world.present[1:] & (np.cumsum(world.present, axis=0)[:-1] > 0)
        left, returned = left + gone.sum(), returned + back.sum()
    assert hidden > 20
    assert left > 10
    assert returned > 0


@pytest.mark.parametrize(("count", "num_frames"), [(0, 5), (3, 1), (3, 0), (0, 0)])
def test_nothing_and_no_time(count, num_frames):
    for seed in range(6):
        world = animate(
            np.random.default_rng(seed), some_outlines(count), np.zeros(count, int), SIZE, num_frames, STILL
        )
        assert world.boxes.shape == (num_frames, count, 4)
        assert world.present.shape == world.depths.shape == (num_frames, count)
        assert world.occluders.shape[:2] == world.occluder_depths.shape
