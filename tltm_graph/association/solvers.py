from typing import Protocol

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from tltm_graph.association.assignment import Assignment


class Solver(Protocol):
    """Picks edges such that every object is matched at most once."""

    def __call__(
        self, edge_index: Tensor, score: Tensor, sizes: tuple[int, int], births: Tensor, misses: Tensor
    ) -> Assignment:
        """Solves one frame pair.

        Args:
            edge_index: Transitions (2, E), row 0 previous, row 1 current; sparse or complete.
            score: Score of each transition (E,), finite; higher is better.
            sizes: Number of previous and current objects (M, N).
            births: Score of each current object as a new one (N,).
            misses: Score of each previous object as gone (M,).
        """
        ...


class HungarianSolver:
    r"""The best assignment, births and misses included.

    .. math::
        \max \sum_{(i,j) \in A} s_{ij} + \sum_{j \notin A} birth_j + \sum_{i \notin A} miss_i

    Taking :math:`birth_j + miss_i` off every edge leaves "unmatched" worth nothing, so edges that gain nothing by it
    can be clipped to zero and dropped afterwards, and a rectangular assignment of size M × N is enough
    (:func:`scipy.optimize.linear_sum_assignment`).
    """

    def __call__(
        self, edge_index: Tensor, score: Tensor, sizes: tuple[int, int], births: Tensor, misses: Tensor
    ) -> Assignment:
        """See :class:`Solver`."""
        gain = gains(edge_index, score, sizes, births, misses)
        rows, columns = linear_sum_assignment(gain.clip(min=0), maximize=True)
        worthwhile = gain[rows, columns] > 0
        return _assignment(rows[worthwhile], columns[worthwhile], sizes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class GreedySolver:
    """Takes the edge that gains most over leaving its ends unmatched, then the next one between free objects, …

    Edges that are the best of both their ends are taken together: the result is that of one at a time.
    """

    def __call__(
        self, edge_index: Tensor, score: Tensor, sizes: tuple[int, int], births: Tensor, misses: Tensor
    ) -> Assignment:
        """See :class:`Solver`."""
        gain = gains(edge_index, score, sizes, births, misses)
        # Ranks instead of gains: no ties, so the best of a row and of a column is always one edge.
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


def check_finite(score: Tensor) -> None:
    """Raises ValueError for scores that no solver can compare."""
    wrong = int((~torch.isfinite(score)).sum())
    if wrong:
        raise ValueError(f"Expected finite edge scores, got {wrong} that are not")


def gains(edge_index: Tensor, score: Tensor, sizes: tuple[int, int], births: Tensor, misses: Tensor) -> np.ndarray:
    """What each match adds over leaving both ends alone (M, N); -inf where there is no edge."""
    expected = {"score": edge_index.shape[-1:], "births": sizes[1:], "misses": sizes[:1]}
    for (name, shape), given in zip(expected.items(), (score, births, misses), strict=True):
        if tuple(given.shape) != tuple(shape):
            raise ValueError(
                f"Expected '{name}' of shape {tuple(shape)} for {edge_index.shape[-1]} transitions between {sizes[0]} "
                f"previous and {sizes[1]} current objects, got {tuple(given.shape)}"
            )
    row, column = edge_index.cpu().numpy()
    check_finite(score)
    values = score.detach().cpu().double().numpy()
    gain = np.full(sizes, -np.inf)
    gain[row, column] = values - births.cpu().double().numpy()[column] - misses.cpu().double().numpy()[row]
    return gain


def _assignment(rows: np.ndarray, columns: np.ndarray, sizes: tuple[int, int]) -> Assignment:
    order = np.argsort(columns)
    return Assignment(
        previous=torch.from_numpy(rows[order].astype(np.int64)),
        current=torch.from_numpy(columns[order].astype(np.int64)),
        births=torch.from_numpy(np.setdiff1d(np.arange(sizes[1]), columns)),
        misses=torch.from_numpy(np.setdiff1d(np.arange(sizes[0]), rows)),
    )
