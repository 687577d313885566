import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tltm_graph.formats.disjoint import disjoint
from tltm_graph.ops import decode_rle, encode_rle
from tltm_graph.structures import Observation

SIZE = (7, 9)


def seen(id: int, rows: slice, columns: slice, score: float = 1.0, **more) -> Observation:  # noqa: A002
    mask = torch.zeros(1, *SIZE, dtype=torch.bool)
    mask[0, rows, columns] = True
    box = (float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))
    return Observation(id, box, score, 0, encode_rle(mask)[0], **more)


def pixels(rows: list[Observation]) -> np.ndarray:
    return decode_rle([row.mask for row in rows], SIZE).numpy()


def expected_owner(rows: list[Observation]) -> dict[int, set[tuple[int, int]]]:
    """Pixel by pixel: who has the best score there."""
    masks, owned = pixels(rows), {row.id: set() for row in rows}
    for y in range(SIZE[0]):
        for x in range(SIZE[1]):
            here = [row for row, mask in zip(rows, masks, strict=True) if mask[y, x]]
            if here:
                owned[max(here, key=lambda row: row.score).id].add((y, x))
    return owned


scored_masks = st.lists(st.tuples(st.integers(0, 2**63 - 1), st.sampled_from([0.25, 0.5, 1.0])), max_size=5)


@given(scored_masks)
@settings(max_examples=60, deadline=None)
def test_each_pixel_goes_to_the_best_score(drawn):
    rows = []
    for index, (bits, score) in enumerate(drawn):
        flat = torch.tensor([bits >> i & 1 for i in range(63)], dtype=torch.bool)
        rows.append(Observation(index, (0.0, 0.0, 9.0, 7.0), score, 0, encode_rle(flat.reshape(1, *SIZE))[0]))
    result = disjoint(rows)
    owned = expected_owner(rows)
    assert [row.id for row in result] == sorted(row.id for row in result)
    assert pixels(result).sum(axis=0).max(initial=0) <= 1
    left = {row.id: set(zip(*mask.nonzero(), strict=True)) for row, mask in zip(result, pixels(result), strict=True)}
    assert left == {id_: where for id_, where in owned.items() if where or not pixels([rows[id_]]).any()}
    for row in result:
        if left[row.id] != set(zip(*pixels([rows[row.id]])[0].nonzero(), strict=True)):
            ys, xs = zip(*left[row.id], strict=True)
            assert row.box == (min(xs), min(ys), max(xs) + 1, max(ys) + 1)
        else:
            assert row is rows[row.id]
    assert disjoint(result) == result


def test_rows_that_do_not_overlap_are_the_same_objects():
    rows = [
        seen(4, slice(0, 2), slice(0, 2), area=5.0),
        seen(2, slice(2, 4), slice(0, 2)),
        seen(9, slice(0, 0), slice(0, 0)),
    ]
    assert all(after is before for after, before in zip(disjoint(rows), rows, strict=True))
    assert disjoint([]) == []


def test_the_first_of_equal_scores_wins_and_holes_stay():
    ring = torch.zeros(1, *SIZE, dtype=torch.bool)
    ring[0, 1:6, 1:6] = True
    ring[0, 3, 3] = False
    around = Observation(0, (1.0, 1.0, 6.0, 6.0), 0.5, 0, encode_rle(ring)[0], area=24.0)
    first, second = disjoint([around, seen(1, slice(3, 4), slice(3, 8), 0.5)])
    assert first is around
    assert set(zip(*pixels([second])[0].nonzero(), strict=True)) == {(3, 3), (3, 6), (3, 7)}
    assert second.box == (3.0, 3.0, 8.0, 4.0)
    over, under = disjoint([seen(1, slice(3, 4), slice(3, 8), 0.6), around])
    assert over.id == 1
    assert pixels([under])[0].sum() == 22, "the hole of the ring is not filled"
    assert under.area is None


def test_what_is_covered_whole_is_left_out():
    rows = [seen(0, slice(2, 3), slice(2, 3), 0.1), seen(1, slice(1, 5), slice(1, 5), 0.9)]
    assert disjoint(rows) == [rows[1]]


def test_errors():
    with pytest.raises(ValueError, match="Expected a mask of every object, got a box only of object 3"):
        disjoint([Observation(3, (0.0, 0.0, 1.0, 1.0))])
    other = Observation(1, (0.0, 0.0, 1.0, 1.0), mask=encode_rle(torch.ones(1, 2, 2, dtype=torch.bool))[0])
    with pytest.raises(ValueError, match=r"Expected masks of one size in a frame, got \[2, 2\] for object 1"):
        disjoint([seen(0, slice(0, 1), slice(0, 1)), other])
