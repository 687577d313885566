import pytest
import torch

from tltm_graph import Detections


def make(n: int = 3, **changes) -> Detections:
    fields = {
        "boxes": torch.arange(4.0 * n).reshape(n, 4),
        "scores": torch.linspace(0.9, 0.1, n),
        "labels": torch.arange(n),
        "masks": torch.zeros(n, 4, 5, dtype=torch.bool),
        "features": torch.arange(2.0 * n).reshape(n, 2),
        "ids": torch.arange(n),
    }
    return Detections(**{**fields, **changes})


def test_repr_and_empty():
    assert str(make()) == "Detections(3 objects, with masks, features, ids)"
    assert str(Detections.empty()) == "Detections(0 objects)"
    assert len(make(0)) == 0


@pytest.mark.parametrize("rows", [[2, 0], torch.tensor([2, 0]), [], torch.tensor([False, True, False]), slice(1, 3)])
def test_slicing_keeps_rows_together(rows):
    whole, part = make(), make()[rows]
    index = torch.arange(3)[rows if not isinstance(rows, list) else torch.tensor(rows, dtype=torch.int64)]
    for name in ("boxes", "scores", "labels", "masks", "features", "ids"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[index])
    assert make(masks=None)[rows].masks is None


def test_a_single_row_is_selected_by_a_slice():
    with pytest.raises(TypeError, match=r"for row i write \[i:i \+ 1\]"):
        make()[1]


def test_cat():
    both = Detections.cat([make(2), Detections.empty(), make(1, ids=torch.tensor([7]))])
    assert both.ids.tolist() == [0, 1, 7]
    assert len(Detections.cat([Detections.empty()])) == 0
    with pytest.raises(ValueError, match="Expected 'masks' for all objects or for none"):
        Detections.cat([make(1), make(1, masks=None)])


def test_to_and_outside():
    assert str(make().to("cpu")) == str(make())
    boxes = torch.tensor([[0.0, 0, 9, 9], [-9, 0, -1, 9], [11, 0, 20, 9], [0, -9, 9, 0], [0, 21, 9, 29]])
    outside = make(5, boxes=boxes).outside((20, 10))
    assert outside.tolist() == [False, True, True, False, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": torch.zeros(3, 5)}, r"'boxes' of shape \(N, 4\) with N = 3 and type floating point, got \(3, 5\)"),
        ({"boxes": torch.zeros(3, 4, dtype=torch.int64)}, "'boxes' .* got .* int64"),
        ({"scores": torch.zeros(2)}, r"'scores' of shape \(N,\) with N = 3"),
        ({"boxes": [[0, 0, 1, 1]]}, "'boxes' as a tensor, got list"),
        ({"labels": [0, 1, 2]}, "'labels' as a tensor, got list"),
        ({"boxes": torch.tensor([[0.0, 0, 1e20, 1e20]] * 3)}, "finite 'boxes'"),
        ({"labels": torch.zeros(3)}, "'labels' .* type int64, got .* float32"),
        ({"masks": torch.zeros(3, 4, 5)}, "'masks' .* type bool"),
        ({"masks": torch.zeros(2, 4, 5, dtype=torch.bool)}, r"'masks' of shape \(N, H, W\)"),
        ({"features": torch.zeros(2, 4)}, r"'features' of shape \(N, …\)"),
        ({"ids": torch.zeros(3, 1, dtype=torch.int64)}, r"'ids' of shape \(N,\)"),
        (
            {"boxes": torch.tensor([[0.0, 0, 1, 1], [0, 0, float("nan"), 1], [0, 0, 1, 1]])},
            "finite 'boxes', .* in row 1",
        ),
        ({"scores": torch.tensor([0.0, 1.0, float("inf")])}, "finite 'scores', got inf in row 2"),
        ({"boxes": torch.tensor([[5.0, 0, 1, 1]] * 3)}, "x0 <= x1 .* need converting"),
        ({"labels": torch.tensor([0, -1, 0])}, "counted from 0, got -1"),
        ({"ids": torch.tensor([1, 1, -1])}, "'ids' at most once"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_unknown_ids_may_repeat():
    assert make(ids=torch.tensor([-1, -1, 4])).ids.tolist() == [-1, -1, 4]
