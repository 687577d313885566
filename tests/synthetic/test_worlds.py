import numpy as np
import pytest

from tltm_graph.synthetic.streets import draw_street
from tltm_graph.synthetic.worlds import World, divide, draw_blob_paths, draw_blobs, draw_drift, draw_zoom

DRAWN = pytest.mark.parametrize("draw", [draw_street, draw_blobs])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@DRAWN
def test_worlds_are_well_formed(draw):
    for seed in range(30):
        world = draw(rng(seed), 50, 10.0)
        t, n, k = 50, world.num_objects, world.occluders.shape[1]
        assert 2 <= n <= 210, "100 at first, of which half may divide"
        assert k <= 5
        assert world.boxes.shape == (t, n, 4)
        assert world.depths.shape == world.present.shape == (t, n)
        assert world.occluders.shape == (t, k, 4)
        assert world.occluder_depths.shape == (t, k)
        assert world.labels.shape == (n,)
        assert world.labels.min() >= 0
        assert world.num_labels <= 4
        boxes = world.boxes[world.present]
        assert np.isfinite(boxes).all()
        assert (boxes[:, :2] < boxes[:, 2:]).all()
        height, width = world.size
        assert ((boxes[:, :2] < [width, height]) & (boxes[:, 2:] > 0)).all(), "all overlap the picture"


@DRAWN
@pytest.mark.parametrize("num_frames", [0, 1])
def test_worlds_may_be_short(draw, num_frames):
    for seed in range(10):
        assert draw(rng(seed), num_frames, 10.0).num_frames == num_frames


def test_selecting_frames():
    world = draw_street(rng(), 30, 10.0)
    some = world.take(np.array([3, 20]))
    assert some.num_frames == 2
    assert np.array_equal(some.boxes, world.boxes[[3, 20]])
    assert np.array_equal(some.occluder_depths, world.occluder_depths[[3, 20]])
    assert np.array_equal(some.labels, world.labels)


def test_blobs_wander_glide_or_swing():
    """The share of the velocity that is new in each frame distinguishes the three."""
    kinds = {"swing": 0, "glide": 0, "wander": 0}
    for seed in range(100):
        way = draw_blob_paths(rng(seed), 150, np.full(200, 10.0), (100, 200))
        assert way.shape == (150, 200, 2)
        velocity = np.diff(way, axis=0)
        new = (np.diff(velocity, axis=0) ** 2).mean() / (velocity**2).mean() / 2  # 1 - a of the noise
        kinds["swing" if new < 0.02 else "glide" if new < 0.2212 else "wander"] += 1
        if new < 0.02:
            assert (abs(way - [100, 50]) <= [180, 90]).all(), "at most 0.7 of the picture from a middle in [0.3, 0.7]"
        else:
            assert velocity.std() < 0.25 * 10 * 1.1
    # gliding has a memory above 4 frames, wandering below: exp(-1/4) = 1 - 0.2212
    assert 25 <= kinds["swing"] <= 45
    assert 15 <= kinds["glide"] <= 35
    assert 30 <= kinds["wander"] <= 50


def test_drift_is_around_the_middle_and_zoom_begins_near_one():
    drifts = [draw_drift(rng(seed), 60, 640) for seed in range(100)]
    assert all(np.allclose(drift.mean(axis=0), 0) for drift in drifts)
    assert 0.3 < np.mean([drift.any() for drift in drifts]) < 0.7
    assert draw_drift(rng(), 0, 640).shape == (0, 2)
    zooms = [draw_zoom(rng(seed), 60) for seed in range(100)]
    assert 0.15 < np.mean([(zoom != 1).any() for zoom in zooms]) < 0.45
    assert all(0.97 < zoom[0] < 1.03 and (zoom > 0).all() for zoom in zooms)


def boxes_in_a_row(num_frames: int, num_objects: int) -> World:
    shape = (num_frames, num_objects)
    boxes = np.broadcast_to([0.0, 0, 20, 20], (*shape, 4)) + 100 * np.arange(num_objects)[:, None] * [1, 0, 1, 0]
    nothing = np.zeros((num_frames, 0, 4))
    labels = np.arange(num_objects) % 3
    return World((100, 900), boxes, np.ones(shape), np.ones(shape, dtype=bool), labels, nothing, nothing[..., 0])


def test_mothers_end_when_their_daughters_begin():
    divided = divide(np.random.default_rng(0), boxes_in_a_row(60, 5), share=1.0)
    assert divided.num_objects == 15
    mothers, first, second = (divided.present[:, k : k + 5] for k in (0, 5, 10))
    assert np.array_equal(first, second)
    assert np.array_equal(mothers, ~first)
    assert mothers[:10].all()
    assert first[-9:].all()
    assert np.array_equal(divided.labels, np.tile(np.arange(5) % 3, 3))


def test_daughters_begin_inside_their_mother_and_move_apart():
    divided = divide(np.random.default_rng(0), boxes_in_a_row(120, 4), share=1.0)
    centres = (divided.boxes[..., :2] + divided.boxes[..., 2:]) / 2
    sizes = divided.boxes[..., 2:] - divided.boxes[..., :2]
    for k in range(4):
        begin = int(np.argmax(divided.present[:, 4 + k]))
        gap = np.linalg.norm(centres[:, 4 + k] - centres[:, 8 + k], axis=-1)
        assert np.isclose(gap[begin], 0.6 * 20)
        assert gap[-1] > gap[begin]
        assert np.allclose((centres[begin, 4 + k] + centres[begin, 8 + k]) / 2, centres[begin, k])
        assert np.allclose(sizes[begin, 4 + k], 15)
        assert np.allclose(sizes[-1, 4 + k], 18)


def test_division_of_no_object_and_of_an_empty_world():
    same = divide(np.random.default_rng(0), boxes_in_a_row(10, 3), share=0.0)
    assert same.num_objects == 3
    assert same.present.all()
    assert divide(np.random.default_rng(0), boxes_in_a_row(0, 3), share=1.0).num_frames == 0
    assert divide(np.random.default_rng(0), boxes_in_a_row(5, 0), share=1.0).num_objects == 0
