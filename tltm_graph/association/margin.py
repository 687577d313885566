from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from tltm_graph.association.affinity import EdgeScores
from tltm_graph.association.solvers import Assignment, Solver, gains


@dataclass(frozen=True)
class RunnerUp:
    """Best assignment of a frame in which the decision on one object differs.

    Args:
        margin: Score of the chosen assignment minus the score of this one, births and misses included. Negative if
            the solver missed a better one.
        matches: Pairs (previous, current) of matched rows.
    """

    margin: float
    matches: tuple[tuple[int, int], ...]


def runner_up(
    edge_index: Tensor, scores: EdgeScores, sizes: tuple[int, int], assignment: Assignment, current: int
) -> RunnerUp | None:
    r"""Find the second-best decision on an object.

    With :math:`S(A)` the sum that :class:`HungarianSolver` maximises and :math:`A^*` the chosen assignment, the margin
    is

    .. math:: S(A^*) - \max \{ S(A) : A \text{ gives } j \text{ another previous object than } A^*, \text{ or none} \}

    (the first branching of Murty 1968, *An algorithm for ranking all the assignments in order of increasing cost*). The
    smallest margin of all objects is the distance to the second-best assignment of the frame.

    Args:
        edge_index: Edges (2, E).
        scores: Scores of edges, births and misses.
        sizes: Number of previous and current objects (M, N).
        assignment: Chosen assignment.
        current: j, the row of the current object.

    Returns:
        None for an object without edges, which has no alternative.
    """
    gain = gains(edge_index, scores.edges, sizes, scores.births, scores.misses)
    pairs = list(zip(assignment.previous.tolist(), assignment.current.tolist(), strict=True))
    return _runner_up(gain, pairs, current)


def margins(edge_index: Tensor, scores: EdgeScores, sizes: tuple[int, int], assignment: Assignment) -> Tensor:
    """Compute the margin of each current object (N,), float64, infinite without edges: see :func:`runner_up`."""
    gain = gains(edge_index, scores.edges, sizes, scores.births, scores.misses)
    pairs = list(zip(assignment.previous.tolist(), assignment.current.tolist(), strict=True))
    others = (_runner_up(gain, pairs, current) for current in range(sizes[1]))
    return torch.tensor([np.inf if other is None else other.margin for other in others], dtype=torch.float64)


def best_total(
    edge_index: Tensor, scores: EdgeScores, sizes: tuple[int, int], current: int, previous: int | None
) -> float:
    """Compute the best total gain of a frame, given the decision on one object.

    Args:
        edge_index: Edges (2, E).
        scores: Scores of edges, births and misses.
        sizes: Number of previous and current objects (M, N).
        current: Row of the current object.
        previous: Row of the track it is matched with; None for no match.

    Returns:
        Gain over leaving every object unmatched; minus infinity if there is no such edge.
    """
    gain = gains(edge_index, scores.edges, sizes, scores.births, scores.misses)
    own = 0.0 if previous is None else float(gain[previous, current])
    rest = np.delete(gain, current, axis=1).clip(min=0)
    if previous is not None:
        rest = np.delete(rest, previous, axis=0)
    rows, columns = linear_sum_assignment(rest, maximize=True)
    return own + float(rest[rows, columns].sum())


def _runner_up(gain: np.ndarray, chosen: list[tuple[int, int]], current: int) -> RunnerUp | None:
    if not np.isfinite(gain[:, current]).any():
        return None
    total = float(sum(gain[pair] for pair in chosen))
    partner = next((previous for previous, column in chosen if column == current), None)
    value = gain.clip(min=0)  # an edge without gain is left unmatched
    if partner is not None:
        value[partner, current] = 0
        rows, columns = linear_sum_assignment(value, maximize=True)
        kept = value[rows, columns] > 0
    else:  # the alternative is any match, whatever its cost
        bonus = 1.0 + value.sum() + np.abs(gain[np.isfinite(gain[:, current]), current]).max()
        value[:, current] = np.where(np.isfinite(gain[:, current]), gain[:, current] + bonus, 0)
        rows, columns = linear_sum_assignment(value, maximize=True)
        kept = value[rows, columns] > 0
    matches = tuple(sorted(zip(rows[kept].tolist(), columns[kept].tolist(), strict=True), key=lambda pair: pair[1]))
    return RunnerUp(total - float(sum(gain[pair] for pair in matches)), matches)


@dataclass(frozen=True)
class Counterfactual:
    """Smallest change of one edge score that changes the decision on an object.

    Args:
        previous: Row of the edge's previous object.
        current: Row of the edge's current object.
        change: Value to add to the score, slightly more than the exact threshold.
        then: Row of the previous object that the object would be matched with, -1 for none.
    """

    previous: int
    current: int
    change: float
    then: int


def counterfactual(
    solver: Solver,
    edge_index: Tensor,
    scores: EdgeScores,
    sizes: tuple[int, int],
    current: int,
    previous: int | None = None,
) -> Counterfactual | None:
    """Find the :class:`Counterfactual` of an object by calling the solver.

    The threshold of each of the object's own edges is found by bisection, which assumes that a solver is monotone in a
    score; the edge with the smallest change is returned. For :class:`HungarianSolver` no other edge of the frame needs
    less, since every assignment with another decision scores less by at least the object's margin. For solvers that do
    not optimise the whole frame, an edge of another object may need less.

    Args:
        solver: Solver that decides.
        edge_index: Edges (2, E).
        scores: Scores of edges, births and misses.
        sizes: Number of previous and current objects (M, N).
        current: Row of the current object.
        previous: Restrict the search to the edge from this row; None for all edges of the object.

    Returns:
        None if no change of a single edge is enough, as for an object without edges.
    """
    candidates = edge_index[1] == current
    if previous is not None:
        candidates = candidates & (edge_index[0] == previous)
    own = candidates.nonzero().flatten().tolist()
    if not own:
        return None
    values = [part.detach().cpu().double() for part in (scores.edges, scores.births, scores.misses)]
    reach = 2 * (1.0 + float(sum(part.abs().sum() for part in values)))

    def partner(edge: int, change: float) -> int:
        changed = values[0].clone()
        changed[edge] += change
        assignment = solver(edge_index, changed, sizes, values[1], values[2])
        return _partner(assignment, current)

    before = partner(own[0], 0.0)
    flips: list[Counterfactual] = []
    for edge in own:
        origin = int(edge_index[0, edge])
        sign = -1.0 if origin == before else 1.0
        size = _threshold(partial(_differs, partner, before, edge, sign), reach)
        if size is not None:
            flips.append(Counterfactual(origin, current, sign * size, partner(edge, sign * size)))
    return min(flips, key=lambda flip: abs(flip.change), default=None)


def _differs(partner: Callable[[int, float], int], before: int, edge: int, sign: float, size: float) -> bool:
    return partner(edge, sign * size) != before


def _threshold(flips: Callable[[float], bool], reach: float) -> float | None:
    """Find the smallest change that flips the decision, to 1e-9; None if none up to ``reach`` does."""
    if not flips(reach):
        return None
    low, high = 0.0, reach
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (low, middle) if flips(middle) else (middle, high)
    return high


def _partner(assignment: Assignment, current: int) -> int:
    rows = (assignment.current == current).nonzero().flatten()
    return int(assignment.previous[rows[0]]) if len(rows) else -1
