import numpy as np

from tltm_graph.synthetic.worlds import World, divide


def world(num_frames: int, num_objects: int) -> World:
    shape = (num_frames, num_objects)
    boxes = np.broadcast_to([0.0, 0, 20, 20], (*shape, 4)) + 100 * np.arange(num_objects)[:, None] * [1, 0, 1, 0]
    nothing = np.zeros((num_frames, 0, 4))
    labels = np.arange(num_objects) % 3
    return World((100, 900), boxes, np.ones(shape), np.ones(shape, dtype=bool), labels, nothing, nothing[..., 0])


def test_a_mother_is_gone_when_her_daughters_are_there():
    divided = divide(np.random.default_rng(0), world(60, 5), share=1.0)
    assert divided.num_objects == 15
    mothers, first, second = (divided.present[:, k : k + 5] for k in (0, 5, 10))
    assert np.array_equal(first, second)
    assert np.array_equal(mothers, ~first)
    assert mothers[:10].all()
    assert first[-9:].all()
    assert np.array_equal(divided.labels, np.tile(np.arange(5) % 3, 3))


def test_daughters_begin_within_their_mother_and_part():
    divided = divide(np.random.default_rng(0), world(120, 4), share=1.0)
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


def test_nobody_divides_and_nothing_is_there():
    same = divide(np.random.default_rng(0), world(10, 3), share=0.0)
    assert same.num_objects == 3
    assert same.present.all()
    assert divide(np.random.default_rng(0), world(0, 3), share=1.0).num_frames == 0
    assert divide(np.random.default_rng(0), world(5, 0), share=1.0).num_objects == 0
