import numpy as np
import pytest

from tests.synthetic.cases import SIZE, world
from tltm_graph.synthetic.observations import Observations
from tltm_graph.synthetic.worlds import World, draw_people


def visible_by_hand(world: World) -> list[float]:
    """One frame, one object, one thing before it after the other."""
    height, width = world.size

    def clip(box):
        return np.clip(box, 0, [width, height, width, height])

    def area(box):
        return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)

    def shared(box, other):
        return area((*np.maximum(box[:2], other[:2]), *np.minimum(box[2:], other[2:])))

    visible = []
    for t in range(world.num_frames):
        for n in np.flatnonzero(world.present[t]):
            box, share = clip(world.boxes[t, n]), 1.0
            before = [
                clip(world.boxes[t, m])
                for m in np.flatnonzero(world.present[t])
                if world.depths[t, m] < world.depths[t, n]
            ]
            before += [
                o for o, d in zip(world.occluders[t], world.occluder_depths[t], strict=True) if d < world.depths[t, n]
            ]
            for other in before:
                share *= 1 - shared(box, other) / area(box)
            visible.append(share * min(1.3 * area(box) / area(world.boxes[t, n]), 1))
    return visible


@pytest.mark.parametrize("seed", range(6))
def test_visibility_is_what_nearer_things_leave(seed):
    drawn = draw_people(np.random.default_rng(seed), 15, 5.0)
    assert Observations.of(drawn).visible.tolist() == pytest.approx(visible_by_hand(drawn))


PERSON = (100, 50, 120, 110)
POLE = (100, 0, 110, 200)  # before its left half


def test_an_occluder_hides_what_is_behind_it():
    assert Observations.of(world([PERSON], [10.0])).visible.tolist() == [1]
    assert Observations.of(world([PERSON], [10.0], [POLE], [5.0])).visible.tolist() == [0.5]
    assert Observations.of(world([PERSON], [10.0], [POLE], [15.0])).visible.tolist() == [1], "it is behind the person"
    assert Observations.of(world([PERSON], [10.0], [POLE], [np.inf])).visible.tolist() == [1], (
        "it is out of the picture"
    )
    assert Observations.of(world([PERSON], [10.0], [POLE, POLE], [5.0, 6.0])).visible.tolist() == [0.25]


def test_the_nearer_person_hides_the_farther():
    boxes = [PERSON, (110, 50, 130, 110)]
    assert Observations.of(world(boxes, [10.0, 9.0])).visible.tolist() == [0.5, 1]
    assert Observations.of(world(boxes, [9.0, 10.0])).visible.tolist() == [1, 0.5]
    assert Observations.of(world(boxes, [9.0, 9.0])).visible.tolist() == [1, 1]


def test_what_sticks_out_is_clipped():
    height, width = SIZE
    seen = Observations.of(world([(width - 10, 0, width + 10, 50), (-90, 0, 10, height)]))
    assert seen.clipped.tolist() == [[width - 10, 0, width, 50], [0, 0, 10, height]]
    assert seen.inside.tolist() == [0.5, 0.1]
    assert seen.visible.tolist() == pytest.approx([0.65, 0.13])


def test_nobody_is_there():
    empty = Observations.of(world([], num_frames=3))
    assert empty.boxes.shape == (0, 4)
    assert empty.visible.shape == (0,)
