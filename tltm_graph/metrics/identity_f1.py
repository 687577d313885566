from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tltm_graph.metrics.matching import where
from tltm_graph.metrics.overlap import FrameOverlap
from tltm_graph.metrics.video_metric import Sums, VideoMetric


@dataclass(frozen=True)
class IdentityF1Scores(Sums):
    """How long objects were followed by one and the same track. Shares are in [0, 1], 0 where there is nothing.

    Args:
        idtp: Observations of true objects that the one track given to the object covers.
        idfn: Observations of true objects that it does not.
        idfp: Observations of predicted tracks that do not lie on the object given to them.
    """

    idtp: int
    idfn: int
    idfp: int

    @property
    def idf1(self) -> float:
        """IDTP / (IDTP + IDFP / 2 + IDFN / 2)."""
        return self.idtp / max(1.0, self.idtp + 0.5 * self.idfp + 0.5 * self.idfn)

    @property
    def idr(self) -> float:
        """Identity recall, IDTP / (IDTP + IDFN)."""
        return self.idtp / max(1, self.idtp + self.idfn)

    @property
    def idp(self) -> float:
        """Identity precision, IDTP / (IDTP + IDFP)."""
        return self.idtp / max(1, self.idtp + self.idfp)

    def named(self) -> dict[str, float]:
        """All of them, by official name."""
        return {
            "IDF1": self.idf1,
            "IDR": self.idr,
            "IDP": self.idp,
            "IDTP": self.idtp,
            "IDFN": self.idfn,
            "IDFP": self.idfp,
        }


class IdentityF1(VideoMetric[IdentityF1Scores]):
    r"""Identity F1 (Ristani et al. 2016, https://arxiv.org/abs/1609.01775), equal to TrackEval's.

    Each true object is given at most one predicted track and the other way round, for the whole video, so that the most
    observations agree. With :math:`m_{gp}` the frames in which g and p overlap by at least the threshold:

    .. math::
        \text{IDTP} = \max_M \sum_{(g, p) \in M} m_{gp}, \qquad
        \text{IDFN} = \sum_g n_g - \text{IDTP}, \qquad \text{IDFP} = \sum_p n_p - \text{IDTP}

    The official code minimises IDFN + IDFP in a square table of (true + predicted) ids. A pair in M changes that sum by
    -2 m, so both have the same optimum, and the counts do not depend on which of several optima is found. Tracks that
    no chain of overlaps connects do not compete: each group is solved alone. Kept are the counts of pairs, not frames.

    Args:
        threshold: Least IoU. Not lowered by a rounding error, unlike those of HOTA and CLEAR: so is the official one.
    """

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = threshold

    def _count(self, frames: Iterable[FrameOverlap]) -> IdentityF1Scores:
        together: Counter[tuple[int, int]] = Counter()
        truth = predicted = 0
        for frame in frames:
            rows, columns = where(frame.iou >= self.threshold)
            pairs = zip(frame.truth_ids[rows].tolist(), frame.predicted_ids[columns].tolist(), strict=True)
            together.update(pairs)
            truth += len(frame.truth_ids)
            predicted += len(frame.predicted_ids)
        agreed = _most_agreement(together)
        return IdentityF1Scores(agreed, truth - agreed, predicted - agreed)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(threshold={self.threshold})"


def _most_agreement(together: Counter[tuple[int, int]]) -> int:
    """Greatest sum of counts over one-to-one matchings of the left ids to the right ids."""
    pairs = np.array(list(together), dtype=np.int64).reshape(-1, 2)
    count = np.fromiter(together.values(), dtype=np.int64, count=len(together))
    left, row = np.unique(pairs[:, 0], return_inverse=True)
    right, column = np.unique(pairs[:, 1], return_inverse=True)
    size = len(left) + len(right)
    edges = coo_array((count, (row, len(left) + column)), shape=(size, size))
    num_groups, group_of = connected_components(edges, directed=False)
    rows, row_place = _places(group_of[: len(left)], num_groups)
    columns, column_place = _places(group_of[len(left) :], num_groups)
    group = group_of[row]

    best = np.zeros(num_groups, dtype=np.int64)
    np.maximum.at(best, group, count)  # all that a group can get in which one side is a single id
    rivals = (rows > 1) & (columns > 1)
    total = int(best[~rivals].sum())
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=num_groups))
    for number in np.flatnonzero(rivals).tolist():
        part = order[ends[number - 1] if number else 0 : ends[number]]
        table = np.zeros((rows[number], columns[number]), dtype=np.int64)
        table[row_place[row[part]], column_place[column[part]]] = count[part]
        total += int(table[linear_sum_assignment(table, maximize=True)].sum())
    return total


def _places(group: np.ndarray, num_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Size of each group, and the place of each member within its own."""
    sizes = np.bincount(group, minlength=num_groups)
    order = np.argsort(group, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return sizes, place
