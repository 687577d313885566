from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tltm_graph.association.solvers import Assignment, finite


@dataclass(frozen=True, eq=False)
class ArgmaxAssignment(Assignment):
    """Assignment with the number of claims on each match.

    Args:
        claims: Number of claims on each match (K,): 1, plus 1 for every claim of the same frame that was overruled. The
            released code counts hits this way.
    """

    claims: Tensor


class ArgmaxSolver:
    """Assignment rule of the released code: each detection claims its best track, the highest claim wins.

    Each current object independently chooses the best of all previous objects and a birth. If several choose the same
    previous object, the highest score wins, the first of equals; the others are rejected, with neither their second
    choice nor a birth. A claim must score above -100. ``misses`` are ignored.
    """

    def __call__(
        self, edge_index: Tensor, score: Tensor, sizes: tuple[int, int], births: Tensor, misses: Tensor
    ) -> ArgmaxAssignment:
        """Solve one frame pair; see :class:`tltm_graph.association.Solver`."""
        finite(score, births, misses)
        row, column = edge_index.cpu().numpy()
        table = np.full((sizes[1], sizes[0] + 1), -np.inf, dtype=np.float32)
        table[:, 0] = births.detach().cpu().numpy()
        table[column, row + 1] = score.detach().cpu().numpy()
        choice = table.argmax(axis=1)  # (N,), 0 for a birth; the first of equals
        best = table[np.arange(sizes[1]), choice]

        winner = np.full(sizes[0], -1)
        held = np.full(sizes[0], -100.0, dtype=np.float32)
        claims = np.zeros(sizes[0], dtype=np.int64)
        for current in np.flatnonzero(choice > 0):
            previous = choice[current] - 1
            if best[current] > held[previous]:
                winner[previous], held[previous] = current, best[current]
                claims[previous] += 1
        matched = np.flatnonzero(winner >= 0)
        order = matched[np.argsort(winner[matched])]
        return ArgmaxAssignment(
            previous=torch.from_numpy(order),
            current=torch.from_numpy(winner[order]),
            births=torch.from_numpy(np.flatnonzero(choice == 0)),
            misses=torch.from_numpy(np.flatnonzero(winner < 0)),
            claims=torch.from_numpy(claims[order]),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
