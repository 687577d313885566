import pytest
import torch
from safetensors.torch import save

from tltm_graph.io.tensor_schema import (
    TensorField,
    boxes_field,
    canonical,
    check_boxes,
    check_counts,
    check_labels,
    check_tensors,
    check_unique,
    load_tensors,
)

FIELDS = {"boxes": boxes_field("n"), "labels": TensorField("int", ("n",), 0, 9), "on": TensorField("bool", ("n",))}
OPTIONAL = {**FIELDS, "more": TensorField("float", ("n", "m"), optional=True)}


def valid(n: int) -> dict[str, torch.Tensor]:
    return {"boxes": torch.zeros(n, 4), "labels": torch.zeros(n, dtype=torch.int64), "on": torch.zeros(n).bool()}


@pytest.mark.parametrize("n", [0, 1, 5])
def test_sizes_are_bound_by_the_first_field(n):
    sizes: dict[str, int] = {}
    check_tensors(valid(n), OPTIONAL, sizes, "x")
    assert sizes == {"n": n}
    check_tensors({**valid(n), "more": torch.zeros(n, 3)}, OPTIONAL, sizes, "x")
    assert sizes == {"n": n, "m": 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"labels": torch.zeros(4, dtype=torch.int64)},
            r"int values of shape \(2\) for 'labels' in x, got int64 of \(4,\)",
        ),
        ({"labels": torch.zeros(2)}, "int values .* got float32"),
        ({"labels": torch.tensor([0, 10])}, "values from 0 to 9 for 'labels' in x, got values from 0 to 10"),
        ({"boxes": torch.full((2, 4), float("nan"))}, "for 'boxes' in x, got values from nan to nan"),
        ({"boxes": torch.zeros(4)}, r"shape \(2, 4\) for 'boxes' in x, got float32 of \(4,\)"),
        ({"boxes": torch.zeros(2, 4, 1)}, r"for 'boxes' in x, got float32 of \(2, 4, 1\)"),
        ({"boxes": torch.zeros(2, 4, dtype=torch.complex64)}, "got complex64"),
        ({"on": torch.zeros(2, dtype=torch.uint8)}, "bool values .* got uint8"),
        ({"other\x1b": torch.zeros(2)}, r"Expected no tensor 'other\\x1b' in x"),
    ],
)
def test_a_wrong_tensor_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        check_tensors({**valid(2), **change}, FIELDS, {"n": 2}, "x")


def test_a_missing_tensor_is_named():
    with pytest.raises(ValueError, match="Expected the tensor 'on' in x, got none"):
        check_tensors({name: value for name, value in valid(2).items() if name != "on"}, FIELDS, {}, "x")


def test_relations_of_rows():
    check_boxes(torch.tensor([[0.0, 0, 0, 0], [1, 2, 3, 4]]), "x")
    with pytest.raises(ValueError, match="x0 <= x1 and y0 <= y1 for x, got .* in row 1"):
        check_boxes(torch.tensor([[0.0, 0, 0, 0], [1, 2, 0, 4]]), "x")
    check_counts(torch.tensor([1, 2]), 3, "x")
    with pytest.raises(ValueError, match="add up to 4 rows for x, got 3"):
        check_counts(torch.tensor([1, 2]), 4, "x")
    check_labels(torch.tensor([1]), ("a", "b"), "x")
    check_labels(torch.tensor([99]), None, "x")
    with pytest.raises(ValueError, match="labels below 2, the number of classes, for x, got 2"):
        check_labels(torch.tensor([2]), ("a", "b"), "x")
    group = torch.tensor([0, 0, 1, 1])
    check_unique(group, torch.tensor([5, 6, 5, -1]), "x")
    check_unique(group, torch.tensor([-1, -1, -1, -1]), "x")
    with pytest.raises(ValueError, match="at most once for x"):
        check_unique(group, torch.tensor([5, 6, 7, 7]), "x")


def test_types_are_those_of_this_package():
    tensors = {
        "a": torch.zeros(1).half(),
        "time": torch.zeros(1),
        "b": torch.zeros(1).int(),
        "c": torch.zeros(1).bool(),
    }
    kinds = [value.dtype for value in canonical(tensors).values()]
    assert kinds == [torch.float32, torch.float64, torch.int64, torch.bool]


@pytest.mark.parametrize("content", [b"", b"abc", save({"a": torch.zeros(3)})[:-1], b"\xff" * 100])
def test_other_contents_are_refused(content):
    with pytest.raises(ValueError, match="Expected tensors in x, got a damaged or different file"):
        load_tensors(content, "x")
