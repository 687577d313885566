import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tltm_graph.association import Assignment, GreedySolver, HungarianSolver, check_solver
from tltm_graph.published import ArgmaxSolver


@st.composite
def problems(draw, most=5):
    """Random graphs in which no two edges gain the same, so that every rule has one answer."""
    m, n = draw(st.integers(0, most)), draw(st.integers(0, most))
    pairs = [pair for pair in itertools.product(range(m), range(n)) if draw(st.booleans())]

    def tenths(count: int) -> Tensor:
        return torch.tensor([draw(st.integers(-20, 20)) / 10 for _ in range(count)], dtype=torch.float32)

    edge_index = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    score = tenths(len(pairs)) + torch.arange(1, len(pairs) + 1) / 1000
    return edge_index, score, (m, n), tenths(n), tenths(m)


def value(assignment: Assignment, edge_index: Tensor, score: Tensor, births: Tensor, misses: Tensor) -> float:
    worth = {tuple(edge): float(s) for edge, s in zip(edge_index.T.tolist(), score, strict=True)}
    pairs = zip(assignment.previous.tolist(), assignment.current.tolist(), strict=True)
    total = sum(worth[pair] for pair in pairs)
    return total + float(births[assignment.births].sum() + misses[assignment.misses].sum())


def best_value(edge_index: Tensor, score: Tensor, sizes, births: Tensor, misses: Tensor) -> float:
    """Every set of edges that uses each object at most once."""
    edges = [(*edge, float(s)) for edge, s in zip(edge_index.T.tolist(), score, strict=True)]

    def search(k: int, rows: frozenset[int], columns: frozenset[int]) -> float:
        if k == len(edges):
            free_rows = [i for i in range(sizes[0]) if i not in rows]
            free_columns = [j for j in range(sizes[1]) if j not in columns]
            return float(misses[free_rows].sum() + births[free_columns].sum())
        row, column, s = edges[k]
        skipped = search(k + 1, rows, columns)
        if row in rows or column in columns:
            return skipped
        return max(skipped, s + search(k + 1, rows | {row}, columns | {column}))

    return search(0, frozenset(), frozenset())


@given(problems(most=4))
def test_hungarian_is_the_optimum_with_births_and_misses(problem):
    edge_index, score, _, births, misses = problem
    assignment = HungarianSolver()(*problem)
    found = value(assignment, edge_index, score, births, misses)
    assert found == pytest.approx(best_value(*problem), abs=1e-4)


@given(problems())
def test_greedy_equals_one_edge_at_a_time(problem):
    edge_index, score, _, births, misses = problem
    gains = [(float(s - births[j] - misses[i]), i, j) for (i, j), s in zip(edge_index.T.tolist(), score, strict=True)]
    rows, columns, taken = set(), set(), set()
    for gain, i, j in sorted(gains, reverse=True):
        if gain > 0 and i not in rows and j not in columns:
            rows.add(i)
            columns.add(j)
            taken.add((i, j))
    assignment = GreedySolver()(*problem)
    assert set(zip(assignment.previous.tolist(), assignment.current.tolist(), strict=True)) == taken


def test_greedy_and_hungarian_differ():
    # 0 is close to both; the best pair leaves 1 alone.
    edge_index = torch.tensor([[0, 0, 1], [0, 1, 0]])
    problem = edge_index, torch.tensor([1.0, 0.9, 0.8]), (2, 2), torch.zeros(2), torch.zeros(2)
    assert list(zip(GreedySolver()(*problem).previous, GreedySolver()(*problem).current, strict=True)) == [(0, 0)]
    best = HungarianSolver()(*problem)
    assert best.previous.tolist() == [1, 0]
    assert best.current.tolist() == [0, 1]


def test_a_birth_can_be_worth_more_than_a_match():
    edge_index = torch.tensor([[0], [0]])
    for solver in (HungarianSolver(), GreedySolver(), ArgmaxSolver()):
        weak = solver(edge_index, torch.tensor([0.3]), (1, 1), torch.tensor([0.4]), torch.zeros(1))
        assert (len(weak), weak.births.tolist(), weak.misses.tolist()) == (0, [0], [0])
        assert len(solver(edge_index, torch.tensor([0.5]), (1, 1), torch.tensor([0.4]), torch.zeros(1))) == 1


@pytest.mark.parametrize("solver", [HungarianSolver(), GreedySolver(), ArgmaxSolver()])
def test_conformance(solver):
    check_solver(solver)


def test_bad_input():
    edge_index = torch.tensor([[0], [0]])
    for solver in (HungarianSolver(), GreedySolver(), ArgmaxSolver()):
        with pytest.raises(ValueError, match="Expected finite edge scores, got 1"):
            solver(edge_index, torch.tensor([float("nan")]), (1, 1), torch.zeros(1), torch.zeros(1))
        for invalid in (torch.tensor([float("nan")]), torch.tensor([float("-inf")])):
            with pytest.raises(ValueError, match="Expected finite birth scores, got 1"):
                solver(edge_index, torch.zeros(1), (1, 1), invalid, torch.zeros(1))
            with pytest.raises(ValueError, match="Expected finite miss scores, got 1"):
                solver(edge_index, torch.zeros(1), (1, 1), torch.zeros(1), invalid)
    for solver in (HungarianSolver(), GreedySolver()):
        with pytest.raises(ValueError, match=r"Expected 'births' of shape \(2,\) for 1 edges .* got \(1,\)"):
            solver(edge_index, torch.ones(1), (1, 2), torch.zeros(1), torch.zeros(2))
        with pytest.raises(ValueError, match=r"Expected 'score' of shape \(1,\)"):
            solver(edge_index, torch.ones(1, 1), (1, 1), torch.zeros(1), torch.zeros(1))
    one = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ValueError, match="current objects at most once"):
        Assignment(one, one, births=one, misses=one[:0])
    with pytest.raises(ValueError, match="equally many previous and current"):
        Assignment(one, one[:0], births=one, misses=one[:0])
    with pytest.raises(ValueError, match="as int64 indices"):
        Assignment(one.float(), one.float(), births=one[:0], misses=one[:0])
