from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from tltm_graph.association.affinity import EdgeScores
from tltm_graph.association.assignment import Assignment
from tltm_graph.association.solvers import Solver, gains


@dataclass(frozen=True)
class RunnerUp:
    """The best assignment of a whole frame in which one object goes elsewhere.

    Args:
        margin: What the assignment that was chosen scores more, births and misses included. Below 0 if the solver left
            a better one.
        matches: Pairs of previous and current object.
    """

    margin: float
    matches: tuple[tuple[int, int], ...]


def runner_up(
    edge_index: Tensor, scores: EdgeScores, sizes: tuple[int, int], assignment: Assignment, current: int
) -> RunnerUp | None:
    r"""The second choice for an object.

    With :math:`S(A)` the sum that :class:`HungarianSolver` maximises and :math:`A^*` what was chosen, the margin is

    .. math:: S(A^*) - \max \{ S(A) : A \text{ gives } j \text{ another previous object than } A^*, \text{ or none} \}

    (the first branching of Murty 1968, *An algorithm for ranking all the assignments in order of increasing cost*). The
    smallest margin of a frame's objects is its distance to the second-best assignment of the whole frame.

    Args:
        edge_index: Transitions (2, E).
        scores: Theirs, and those of births and misses.
        sizes: Number of previous and current objects (M, N).
        assignment: What was chosen.
        current: j, the row of the object.

    Returns:
        None if there is no other way: an object without transitions.
    """
    gain = gains(edge_index, scores.edges, sizes, scores.births, scores.misses)
    pairs = list(zip(assignment.previous.tolist(), assignment.current.tolist(), strict=True))
    return _runner_up(gain, pairs, current)


def margins(edge_index: Tensor, scores: EdgeScores, sizes: tuple[int, int], assignment: Assignment) -> Tensor:
    """The margin of each current object (N,), float64; infinite for those without a transition: :func:`runner_up`."""
    gain = gains(edge_index, scores.edges, sizes, scores.births, scores.misses)
    pairs = list(zip(assignment.previous.tolist(), assignment.current.tolist(), strict=True))
    found = (_runner_up(gain, pairs, current) for current in range(sizes[1]))
    return torch.tensor([np.inf if other is None else other.margin for other in found], dtype=torch.float64)


def best_total(
    edge_index: Tensor, scores: EdgeScores, sizes: tuple[int, int], current: int, previous: int | None
) -> float:
    """What the best assignment gains over leaving everybody alone, if one object goes to a given track, or to none.

    Args:
        edge_index: Transitions (2, E).
        scores: Theirs, and those of births and misses.
        sizes: Number of previous and current objects (M, N).
        current: Row of the object.
        previous: Row of the track; None for no track.

    Returns:
        Minus infinity if there is no such transition.
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
    value = gain.clip(min=0)  # what gains nothing is left unmatched
    if partner is not None:
        value[partner, current] = 0
        rows, columns = linear_sum_assignment(value, maximize=True)
        kept = value[rows, columns] > 0
    else:  # it has to be matched, at whatever price
        bonus = 1.0 + value.sum() + np.abs(gain[np.isfinite(gain[:, current]), current]).max()
        value[:, current] = np.where(np.isfinite(gain[:, current]), gain[:, current] + bonus, 0)
        rows, columns = linear_sum_assignment(value, maximize=True)
        kept = value[rows, columns] > 0
    matches = tuple(sorted(zip(rows[kept].tolist(), columns[kept].tolist(), strict=True), key=lambda pair: pair[1]))
    return RunnerUp(total - float(sum(gain[pair] for pair in matches)), matches)


@dataclass(frozen=True)
class Counterfactual:
    """The smallest change of one transition that would have changed the decision on an object.

    Args:
        previous: Row of the transition's previous object.
        current: Row of its current object.
        change: What would have to be added to its score, and a trifle more.
        then: The previous object that the object in question would have gone to, -1 for none.
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
    """Finds the :class:`Counterfactual` of an object by asking the solver itself.

    Of the object's own transitions, the one whose score is nearest to where the decision changes; each of these places
    is found by bisection, as solvers grow fonder of a transition the higher it scores. For :class:`HungarianSolver` no
    other transition of the frame could do it for less, since whatever gives the object something else is an assignment
    that scores less by the object's margin or more. Solvers that do not weigh the whole frame may sometimes be swayed
    for less by a transition of somebody else.

    Args:
        solver: Which one decides.
        edge_index: Transitions (2, E).
        scores: Theirs, and those of births and misses.
        sizes: Number of previous and current objects (M, N).
        current: Row of the object.
        previous: Only the transition from this one.

    Returns:
        None if no change of a single one would: an object without transitions.
    """
    asked = edge_index[1] == current
    if previous is not None:
        asked = asked & (edge_index[0] == previous)
    own = asked.nonzero().flatten().tolist()
    if not own:
        return None
    values = [part.detach().cpu().double() for part in (scores.edges, scores.births, scores.misses)]
    reach = 2 * (1.0 + float(sum(part.abs().sum() for part in values)))

    def goes_to(edge: int, change: float) -> int:
        changed = values[0].clone()
        changed[edge] += change
        assignment = solver(edge_index, changed, sizes, values[1], values[2])
        return _partner(assignment, current)

    before = goes_to(own[0], 0.0)
    found: list[Counterfactual] = []
    for edge in own:
        origin = int(edge_index[0, edge])
        sign = -1.0 if origin == before else 1.0
        flips = partial(_differs, goes_to, before, edge, sign)
        size = _threshold(flips, reach)
        if size is not None:
            found.append(Counterfactual(origin, current, sign * size, goes_to(edge, sign * size)))
    return min(found, key=lambda one: abs(one.change), default=None)


def _differs(goes_to: Callable[[int, float], int], before: int, edge: int, sign: float, size: float) -> bool:
    return goes_to(edge, sign * size) != before


def _threshold(flips: Callable[[float], bool], reach: float) -> float | None:
    """A size of change that flips, within 1e-9 of the least one; None if none within reach does."""
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
