from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torchvision.ops import box_iou

from tltm_graph.metrics.clear import MatchHistory
from tltm_graph.metrics.matching import nonzero
from tltm_graph.metrics.metric import Sums, TrackingMetric
from tltm_graph.metrics.overlap import FrameOverlap
from tltm_graph.ops import mask_iou
from tltm_graph.structures import Detections


@dataclass(frozen=True)
class IdentityF1Scores(Sums):
    """Counts of identity F1 and the scores they give, in [0, 1]. A score with the denominator 0 is 0.

    Args:
        idtp: True observations covered by the one track that is assigned to their object.
        idfn: All other true observations.
        idfp: Predicted observations that do not lie on the object assigned to their track.
    """

    idtp: int
    idfn: int
    idfp: int

    @property
    def idf1(self) -> float:
        """IDTP / (IDTP + IDFP / 2 + IDFN / 2)."""
        return self.idtp / max(1.0, self.idtp + 0.5 * self.idfp + 0.5 * self.idfn)

    def named(self) -> dict[str, float]:
        """Return the scores and counts by official name."""
        return {
            "IDF1": self.idf1,
            "IDR": self.idtp / max(1, self.idtp + self.idfn),
            "IDP": self.idtp / max(1, self.idtp + self.idfp),
            "IDTP": self.idtp,
            "IDFN": self.idfn,
            "IDFP": self.idfp,
        }


class IdentityF1(TrackingMetric[IdentityF1Scores]):
    r"""Identity F1 (Ristani et al. 2016, https://arxiv.org/abs/1609.01775), equal to TrackEval's.

    Each true object is assigned at most one predicted track for the whole video, and each track at most one object, so
    that they agree in the most observations. With :math:`m_{gp}` the number of frames in which g and p overlap by at
    least ``threshold``, and n the length of a track:

    .. math::
        \text{IDTP} = \max_M \sum_{(g, p) \in M} m_{gp}, \qquad
        \text{IDFN} = \sum_g n_g - \text{IDTP}, \qquad \text{IDFP} = \sum_p n_p - \text{IDTP}

    The official code minimises IDFN + IDFP in a square matrix of (true + predicted) ids. A pair in M changes that sum
    by -2 m, so both have the same optimum, and the counts are the same for each of several optima. Tracks that no chain
    of overlaps connects are independent, so each connected group is solved alone.

    Args:
        threshold: Smallest IoU of an agreement, in [0, 1]. Unlike in HOTA and CLEAR no rounding error is tolerated, as
            in the official code.
    """

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = threshold

    def _count(self, frames: Iterable[FrameOverlap]) -> IdentityF1Scores:
        num_overlaps: Counter[tuple[int, int]] = Counter()
        num_true = num_predicted = 0
        for frame in frames:
            rows, columns = nonzero(frame.iou >= self.threshold)
            pairs = zip(frame.truth_ids[rows].tolist(), frame.predicted_ids[columns].tolist(), strict=True)
            num_overlaps.update(pairs)
            num_true += len(frame.truth_ids)
            num_predicted += len(frame.predicted_ids)
        idtp = _greatest_agreement(num_overlaps)
        return IdentityF1Scores(idtp, num_true - idtp, num_predicted - idtp)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(threshold={self.threshold})"


def _greatest_agreement(num_overlaps: Mapping[tuple[int, int], int]) -> int:
    """Return the greatest sum of counts over all one-to-one assignments of true to predicted ids."""
    pairs = np.array(list(num_overlaps), dtype=np.int64).reshape(-1, 2)
    counts = np.fromiter(num_overlaps.values(), dtype=np.int64, count=len(num_overlaps))
    true_ids, row = np.unique(pairs[:, 0], return_inverse=True)
    predicted_ids, column = np.unique(pairs[:, 1], return_inverse=True)
    size = len(true_ids) + len(predicted_ids)
    edges = coo_array((counts, (row, len(true_ids) + column)), shape=(size, size))
    num_groups, group_of = connected_components(edges, directed=False)
    num_true, num_predicted = (
        np.bincount(side, minlength=num_groups) for side in (group_of[: len(true_ids)], group_of[len(true_ids) :])
    )
    group = group_of[row]  # of each pair

    greatest_count = np.zeros(num_groups, dtype=np.int64)
    np.maximum.at(greatest_count, group, counts)
    needs_solver = (num_true > 1) & (num_predicted > 1)  # if one side is a single id, its best pair is the optimum
    total = int(greatest_count[~needs_solver].sum())
    parts = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group, minlength=num_groups))[:-1])
    for number in np.flatnonzero(needs_solver).tolist():
        part = parts[number]  # indices of the pairs of a group
        matrix = np.zeros((num_true[number], num_predicted[number]), dtype=np.int64)
        rows, columns = (np.unique(side[part], return_inverse=True)[1] for side in (row, column))
        matrix[rows, columns] = counts[part]
        total += int(matrix[linear_sum_assignment(matrix, maximize=True)].sum())
    return total


@dataclass(frozen=True)
class IdentityScores:
    """Counts of a tracker's ID switches and fragments, see :class:`IdentityMeter`.

    Args:
        objects: True objects in the video.
        observations: True observations, over all frames.
        found: True observations matched to a track.
        switches: Matches of an object to another track than its last one.
        fragments: Matches of an object that was matched before, and present but missed since.
        whole: Objects with at least one match, all of them with one track that matched no other object.
        tracks: Tracks in the output.
    """

    objects: int
    observations: int
    found: int
    switches: int
    fragments: int
    whole: int
    tracks: int

    @property
    def recall(self) -> float:
        """Share of the true observations that were found, in [0, 1]; 1 without any."""
        return self.found / self.observations if self.observations else 1.0

    @property
    def whole_share(self) -> float:
        """Share of the objects followed by one track alone, in [0, 1]; 1 without objects."""
        return self.whole / self.objects if self.objects else 1.0


class IdentityMeter:
    """Count ID switches and fragments while a tracker runs, one frame at a time.

    Objects and tracks are matched as in CLEAR MOT (Bernardin and Stiefelhagen 2008): pairs of the previous frame stay
    together while they overlap enough; the others are matched for the most pairs, then the greatest sum of IoU. Classes
    are not compared. The IoU is that of masks where both sides have them, otherwise of boxes.

    Args:
        threshold: Smallest IoU of a match, in [0, 1].
    """

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold
        self._history = MatchHistory()
        self._previous: dict[int, int] = {}  # object -> track, matches of the previous frame
        self._tracks_of: dict[int, set[int]] = {}  # object -> all tracks it was matched to
        self._tracks: set[int] = set()

    def update(self, truth: Detections, output: Detections) -> None:
        """Add the next frame.

        Args:
            truth: True objects of the frame, with ids.
            output: Objects in a tracker's output, with ids, -1 for those without a track.

        Raises:
            ValueError: If one side has no ids.
        """
        if truth.ids is None or output.ids is None:
            raise ValueError("Expected ids on both sides, got detections without: give truth and a tracker's output")
        output = output[output.ids >= 0]
        assert output.ids is not None
        objects, tracks = truth.ids.tolist(), output.ids.tolist()
        self._previous = self._match(objects, tracks, _iou(truth, output))
        self._history.add(objects, tracks, self._previous)
        self._tracks.update(tracks)
        for obj, track in self._previous.items():
            self._tracks_of.setdefault(obj, set()).add(track)

    def compute(self) -> IdentityScores:
        """Compute the scores of all frames so far."""
        num_objects = Counter(track for tracks in self._tracks_of.values() for track in tracks)  # of each track
        return IdentityScores(
            objects=len(self._history.present),
            observations=self._history.present.total(),
            found=self._history.matched.total(),
            switches=self._history.id_switches,
            fragments=self._history.recoveries,
            whole=sum(len(tracks) == 1 and num_objects[min(tracks)] == 1 for tracks in self._tracks_of.values()),
            tracks=len(self._tracks),
        )

    def _match(self, objects: list[int], tracks: list[int], iou: np.ndarray) -> dict[int, int]:
        """Return the track of each matched object."""
        gain = np.where(iou >= self.threshold, 1 + iou / (1 + len(objects)), 0.0)  # most pairs first, then most IoU
        column_of = {track: column for column, track in enumerate(tracks)}
        for row, obj in enumerate(objects):
            column = column_of.get(self._previous.get(obj, -1))
            if column is not None and gain[row, column] > 0:
                gain[row, column] += 1000
        rows, columns = linear_sum_assignment(gain, maximize=True)
        return {objects[r]: tracks[c] for r, c in zip(rows, columns, strict=True) if gain[r, c] > 0}


def _iou(truth: Detections, output: Detections) -> np.ndarray:
    if truth.masks is not None and output.masks is not None:
        return mask_iou(truth.masks, output.masks.to(truth.masks.device)).cpu().numpy()
    return box_iou(truth.boxes, output.boxes.to(truth.boxes)).cpu().numpy()
