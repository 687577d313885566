import torch
from torch import Tensor

from tltm_graph.association.solvers import Assignment, Solver


def check_solver(solver: Solver, seed: int = 0, rounds: int = 50) -> None:
    """Check on random graphs, sparse and empty ones included, that a solver returns valid assignments.

    Each object is used at most once; only existing edges are matched; each previous object is matched or missed; an
    unambiguous case is solved; the inputs stay unchanged. The quality of the assignments is not checked.

    Args:
        solver: Solver to check.
        seed: Seed of the random graphs.
        rounds: Number of graphs.

    Raises:
        AssertionError: At the first check that fails.
    """
    random = torch.Generator().manual_seed(seed)
    for number in range(rounds):
        sizes = [(0, 0), (0, 3), (4, 0)][number] if number < 3 else _random_sizes(random)
        edge_index, score = _random_graph(sizes, random)
        births = torch.rand(sizes[1], generator=random) - 0.5
        misses = torch.rand(sizes[0], generator=random) - 0.5
        inputs = [tensor.clone() for tensor in (edge_index, score, births, misses)]
        assignment = solver(edge_index, score, sizes, births, misses)
        assert isinstance(assignment, Assignment), f"Expected an Assignment, got {type(assignment).__name__}"
        for name, before, after in zip(
            ("edge_index", "score", "births", "misses"), inputs, (edge_index, score, births, misses), strict=True
        ):
            assert torch.equal(before, after), f"Expected '{name}' unchanged"
        edges = set(map(tuple, edge_index.T.tolist()))
        chosen = set(zip(assignment.previous.tolist(), assignment.current.tolist(), strict=True))
        assert chosen <= edges, f"Expected matches among the edges, got {sorted(chosen - edges)}"
        handled = sorted(torch.cat([assignment.previous, assignment.misses]).tolist())
        assert handled == list(range(sizes[0])), f"Expected each previous object matched or missed, got {handled}"

    edge_index = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])
    assignment = solver(edge_index, torch.tensor([0.0, 9.0, 9.0, 0.0]), (2, 2), torch.zeros(2), torch.zeros(2))
    matches = dict(zip(assignment.previous.tolist(), assignment.current.tolist(), strict=True))
    assert matches == {0: 1, 1: 0}, f"Expected the only good matches 0→1 and 1→0, got {matches}"


def _random_sizes(random: torch.Generator) -> tuple[int, int]:
    m, n = torch.randint(1, 7, (2,), generator=random).tolist()
    return m, n


def _random_graph(sizes: tuple[int, int], random: torch.Generator) -> tuple[Tensor, Tensor]:
    pairs = torch.cartesian_prod(torch.arange(sizes[0]), torch.arange(sizes[1])).reshape(-1, 2)
    kept = pairs[torch.rand(len(pairs), generator=random) < 0.7]
    return kept.T.contiguous(), 2 * torch.rand(len(kept), generator=random) - 1
