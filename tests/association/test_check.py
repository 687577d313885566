import pytest
import torch

from tltm_graph.association import Assignment, HungarianSolver, check_solver


def no_matches(sizes) -> Assignment:
    empty = torch.zeros(0, dtype=torch.int64)
    return Assignment(empty, empty, births=torch.arange(sizes[1]), misses=torch.arange(sizes[0]))


def no_edges_needed(edge_index, score, sizes, births, misses):
    if min(sizes) == 0:
        return no_matches(sizes)
    zero = torch.zeros(1, dtype=torch.int64)
    return Assignment(zero, zero, births=zero[:0], misses=torch.arange(1, sizes[0]))


def forgets_misses(edge_index, score, sizes, births, misses):
    assignment = HungarianSolver()(edge_index, score, sizes, births, misses)
    return Assignment(assignment.previous, assignment.current, assignment.births, assignment.misses[:0])


def changes_its_input(edge_index, score, sizes, births, misses):
    assignment = HungarianSolver()(edge_index, score, sizes, births, misses)
    score.zero_()
    return assignment


@pytest.mark.parametrize(
    ("solver", "message"),
    [
        (lambda *problem: None, "Expected an Assignment, got NoneType"),
        (no_edges_needed, "Expected matches among the edges"),
        (forgets_misses, "Expected each previous object matched or missed"),
        (changes_its_input, "Expected 'score' unchanged"),
        (lambda edge_index, score, sizes, births, misses: no_matches(sizes), "Expected the only good matches"),
    ],
)
def test_wrong_solvers_are_reported(solver, message):
    with pytest.raises(AssertionError, match=message):
        check_solver(solver)
