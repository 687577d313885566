from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Assignment:
    """Assignment of current objects to previous ones.

    Args:
        previous: Matched previous objects (K,), int64.
        current: Their current objects (K,), row by row.
        births: Current objects that may start a track.
        misses: Previous objects without a match.

    A current object that is neither matched nor born is rejected and gets no id.

    Raises:
        ValueError: If an index occurs twice, or the lengths of ``previous`` and ``current`` differ.
    """

    previous: Tensor
    current: Tensor
    births: Tensor
    misses: Tensor

    def __post_init__(self) -> None:
        if self.previous.shape != self.current.shape:
            raise ValueError(
                f"Expected equally many previous and current indices, got {len(self.previous)} and {len(self.current)}"
            )
        for name, parts in (
            ("previous objects", (self.previous, self.misses)),
            ("current objects", (self.current, self.births)),
        ):
            for part in parts:
                if part.dtype != torch.int64:
                    raise ValueError(f"Expected {name} as int64 indices, got {part.dtype}: convert them with .long()")
            used = [index for part in parts for index in part.tolist()]
            if len(set(used)) != len(used):
                raise ValueError(f"Expected each index of the {name} at most once, got {used}")

    def __len__(self) -> int:
        return len(self.previous)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} matches, {len(self.births)} births, {len(self.misses)} misses)"


class Solver(Protocol):
    """Selection of edges that matches every object at most once."""

    def __call__(
        self, edge_index: Tensor, score: Tensor, sizes: tuple[int, int], births: Tensor, misses: Tensor
    ) -> Assignment:
        """Solve one frame pair.

        Args:
            edge_index: Edges (2, E), row 0 previous, row 1 current; sparse or complete.
            score: Score of each edge (E,), finite; higher is better.
            sizes: Number of previous and current objects (M, N).
            births: Score of each current object as a new track (N,), finite.
            misses: Score of each previous object as not visible (M,), finite.

        Raises:
            ValueError: If a score is not finite.
        """
        ...


class HungarianSolver:
    r"""Optimal assignment, births and misses included.

    .. math::
        \max \sum_{(i,j) \in A} s_{ij} + \sum_{j \notin A} birth_j + \sum_{i \notin A} miss_i

    After :math:`birth_j + miss_i` is subtracted from every edge, leaving an object unmatched is worth 0. Edges of
    negative gain are clipped to 0 and dropped afterwards, so a rectangular assignment of size M × N is enough
    (:func:`scipy.optimize.linear_sum_assignment`).
    """

    def __call__(
        self, edge_index: Tensor, score: Tensor, sizes: tuple[int, int], births: Tensor, misses: Tensor
    ) -> Assignment:
        """Solve one frame pair; see :class:`Solver`."""
        gain = gains(edge_index, score, sizes, births, misses)
        rows, columns = linear_sum_assignment(gain.clip(min=0), maximize=True)
        positive = gain[rows, columns] > 0
        return _assignment(rows[positive], columns[positive], sizes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class GreedySolver:
    """Greedy assignment: repeatedly match the edge of highest positive gain between unmatched objects.

    Edges that are the best of both their ends are matched in one step, with the same result as one at a time.
    """

    def __call__(
        self, edge_index: Tensor, score: Tensor, sizes: tuple[int, int], births: Tensor, misses: Tensor
    ) -> Assignment:
        """Solve one frame pair; see :class:`Solver`."""
        gain = gains(edge_index, score, sizes, births, misses)
        # Ranks have no ties, so that the best of a row and of a column is always one edge.
        rank = np.zeros(gain.size, dtype=np.int64)
        rank[np.argsort(-gain.ravel(), kind="stable")] = np.arange(gain.size, 0, -1)
        rank = np.where(gain > 0, rank.reshape(gain.shape), 0)
        rows, columns = [], []
        while rank.any():
            best = (rank == rank.max(axis=1, keepdims=True)) & (rank == rank.max(axis=0, keepdims=True)) & (rank > 0)
            row, column = best.nonzero()
            rows.append(row)
            columns.append(column)
            rank[row, :] = 0
            rank[:, column] = 0
        none = np.zeros(0, dtype=np.int64)
        return _assignment(np.concatenate([none, *rows]), np.concatenate([none, *columns]), sizes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def gains(edge_index: Tensor, score: Tensor, sizes: tuple[int, int], births: Tensor, misses: Tensor) -> np.ndarray:
    """Gain of each match over leaving both ends unmatched (M, N); -inf where there is no edge.

    Raises:
        ValueError: If the lengths differ from the number of edges and objects, or a score is not finite.
    """
    expected = {"score": edge_index.shape[-1:], "births": sizes[1:], "misses": sizes[:1]}
    for (name, shape), given in zip(expected.items(), (score, births, misses), strict=True):
        if tuple(given.shape) != tuple(shape):
            raise ValueError(
                f"Expected '{name}' of shape {tuple(shape)} for {edge_index.shape[-1]} edges between {sizes[0]} "
                f"previous and {sizes[1]} current objects, got {tuple(given.shape)}"
            )
    row, column = edge_index.cpu().numpy()
    values, of_births, of_misses = finite(score, births, misses)
    gain = np.full(sizes, -np.inf)
    gain[row, column] = values - of_births[column] - of_misses[row]
    return gain


def finite(score: Tensor, births: Tensor, misses: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of edges, births and misses in double precision.

    Raises:
        ValueError: If one is not finite.
    """
    edges, born, missed = (x.detach().cpu().double().numpy() for x in (score, births, misses))
    for name, values in (("edge scores", edges), ("birth scores", born), ("miss scores", missed)):
        if not np.isfinite(values).all():
            count = int((~np.isfinite(values)).sum())
            raise ValueError(f"Expected finite {name}, got {count} that are not: check the affinity")
    return edges, born, missed


def _assignment(rows: np.ndarray, columns: np.ndarray, sizes: tuple[int, int]) -> Assignment:
    order = np.argsort(columns)
    missed, born = np.ones(sizes[0], dtype=bool), np.ones(sizes[1], dtype=bool)
    missed[rows], born[columns] = False, False
    parts = rows[order], columns[order], np.flatnonzero(born), np.flatnonzero(missed)
    previous, current, births, misses = (torch.from_numpy(part.astype(np.int64, copy=False)) for part in parts)
    return Assignment(previous, current, births, misses)
