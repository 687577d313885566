from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tltm_graph.association import EdgeScores, GreedySolver, HungarianSolver
from tltm_graph.association.margin import counterfactual, margins, runner_up
from tltm_graph.published import ArgmaxSolver

SOLVERS = [HungarianSolver(), GreedySolver(), ArgmaxSolver()]


@st.composite
def frames(draw):
    """Transitions, some left out, with scores that are multiples of 1/64: no ties by rounding."""
    m, n = draw(st.integers(0, 4)), draw(st.integers(1, 4))
    edges = torch.tensor([pair for pair in product(range(m), range(n)) if draw(st.booleans())], dtype=torch.int64)
    number = st.integers(-400, 400).map(lambda value: value / 64)
    scores = [draw(st.lists(number, min_size=k, max_size=k)) for k in (len(edges), n, m)]
    return edges.reshape(-1, 2).T, EdgeScores(*(torch.tensor(values).float() for values in scores)), (m, n)


def solved(solver, edge_index, scores, sizes):
    return solver(edge_index, scores.edges, sizes, scores.births, scores.misses)


def partner(assignment, current):
    return dict(zip(assignment.current.tolist(), assignment.previous.tolist(), strict=True)).get(current, -1)


def every_assignment(edge_index, scores, sizes):
    """All there are, each as the previous object of every current one, with its score less that of matching nothing."""
    gain = {
        (i, j): float(s - scores.births[j] - scores.misses[i])
        for i, j, s in zip(*edge_index.tolist(), scores.edges.tolist(), strict=True)
    }
    for choice in product(range(-1, sizes[0]), repeat=sizes[1]):
        matched = [(i, j) for j, i in enumerate(choice) if i >= 0]
        if len({i for i, _ in matched}) == len(matched) and all(pair in gain for pair in matched):
            yield choice, sum(gain[pair] for pair in matched)


@settings(deadline=None)
@given(frames())
def test_the_margin_is_the_distance_to_the_best_assignment_that_differs(frame):
    edge_index, scores, sizes = frame
    assignment = solved(HungarianSolver(), *frame)
    chosen = tuple(partner(assignment, j) for j in range(sizes[1]))
    everything = dict(every_assignment(*frame))
    found = margins(edge_index, scores, sizes, assignment)
    for j in range(sizes[1]):
        others = {choice: total for choice, total in everything.items() if choice[j] != chosen[j]}
        other = runner_up(edge_index, scores, sizes, assignment, j)
        if not others:
            assert other is None
            assert found[j] == torch.inf
            continue
        assert other is not None
        assert other.margin == pytest.approx(everything[chosen] - max(others.values()))
        assert found[j] == other.margin >= 0
        second = tuple({b: a for a, b in other.matches}.get(k, -1) for k in range(sizes[1]))
        assert everything[second] == pytest.approx(max(others.values()))
        assert second[j] != chosen[j]


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
@settings(max_examples=60, deadline=None)
@given(frame=frames(), data=st.data())
def test_just_over_the_counterfactual_flips_the_decision_and_just_under_does_not(solver, frame, data):
    edge_index, scores, sizes = frame
    current = data.draw(st.integers(0, sizes[1] - 1))
    found = counterfactual(solver, edge_index, scores, sizes, current)
    if not (edge_index[1] == current).any():
        assert found is None
        return
    assume(found is not None)
    edge = int(((edge_index[0] == found.previous) & (edge_index[1] == found.current)).nonzero()[0])
    sign = 1 if found.change > 0 else -1

    def decided(change):
        edges = scores.edges.double().clone()
        edges[edge] += change
        return partner(solved(solver, edge_index, replace(scores, edges=edges), sizes), current)

    before, step = decided(0.0), 1e-3
    assert decided(found.change + sign * step) == found.then != before
    if abs(found.change) > step:
        assert decided(found.change - sign * step) == before


@pytest.mark.slow
@settings(deadline=None)
@given(frames())
def test_the_smallest_change_of_an_optimal_assignment_is_the_margin(frame):
    edge_index, scores, sizes = frame
    known = margins(edge_index, scores, sizes, solved(HungarianSolver(), *frame))
    for j in range(sizes[1]):
        found = counterfactual(HungarianSolver(), edge_index, scores, sizes, j)
        if found is not None:
            assert abs(found.change) == pytest.approx(float(known[j]), abs=1e-6)


def test_the_margin_of_a_suboptimal_assignment_is_negative():
    edge_index = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])
    scores = EdgeScores(torch.tensor([5.0, 4.0, 4.0, 0.5]), torch.zeros(2), torch.zeros(2))
    greedy = solved(GreedySolver(), edge_index, scores, (2, 2))
    assert margins(edge_index, scores, (2, 2), greedy).tolist() == [-2.5, -2.5]  # 5 + 0.5 against 4 + 4
