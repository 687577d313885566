import pytest
import torch

from tltm_graph.association import Assignment


def index(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)


@pytest.mark.parametrize(("matches", "births", "misses"), [(0, 0, 0), (2, 1, 0), (0, 3, 2)])
def test_repr_and_length(matches, births, misses):
    rows = torch.arange(matches)
    assignment = Assignment(
        rows, rows, torch.arange(matches, matches + births), torch.arange(matches, matches + misses)
    )
    assert len(assignment) == matches
    assert repr(assignment) == f"Assignment({matches} matches, {births} births, {misses} misses)"


def test_a_detection_may_be_neither_matched_nor_born():
    assert len(Assignment(index(0), index(2), index(1), index())) == 1


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((index(0, 1), index(0), index(), index()), "equally many previous and current indices, got 2 and 1"),
        ((index(0, 0), index(0, 1), index(), index()), r"previous objects at most once, got \[0, 0\]"),
        ((index(0), index(0), index(), index(0)), r"previous objects at most once, got \[0, 0\]"),
        ((index(0), index(1), index(1), index()), r"current objects at most once, got \[1, 1\]"),
        ((index(0).float(), index(1), index(), index()), "int64 indices, got torch.float32"),
    ],
)
def test_bad_input(parts, message):
    with pytest.raises(ValueError, match=message):
        Assignment(*parts)
