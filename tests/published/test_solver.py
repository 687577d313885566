from hypothesis import given

from tests.association.test_solvers import problems
from tltm_graph.published import ArgmaxSolver


@given(problems())
def test_argmax_gives_a_track_to_the_best_claim(problem):
    edge_index, score, sizes, births, _ = problem
    choice: dict[int, int | None] = {}
    claim: dict[int, float] = {}
    for j in range(sizes[1]):
        options = [(float(births[j]), None)]
        options += [(float(s), i) for (i, k), s in zip(edge_index.T.tolist(), score, strict=True) if k == j]
        claim[j], choice[j] = max(options, key=lambda option: option[0])
    expected = {}
    for j in range(sizes[1]):
        i = choice[j]
        if i is not None and (i not in expected or claim[j] > claim[expected[i]]):
            expected[i] = j
    assignment = ArgmaxSolver()(*problem)
    assert dict(zip(assignment.previous.tolist(), assignment.current.tolist(), strict=True)) == expected
    assert assignment.births.tolist() == [j for j in range(sizes[1]) if choice[j] is None]
