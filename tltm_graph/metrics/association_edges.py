import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from tltm_graph.metrics.matching import match_pairs
from tltm_graph.metrics.overlap import FrameOverlap
from tltm_graph.metrics.video_metric import Sums, VideoMetric


@dataclass(frozen=True)
class EdgeCounts(Sums):
    """Edges between observations, counted. Shares are in [0, 1], and nan where there is no edge to judge.

    Args:
        predicted: Edges of the predicted tracks.
        matched: Those of them that have a true object at both ends, the same or not.
        correct: Those of them that are edges of a true object as far as it was detected.
        detected: Edges of the true objects, as far as those were detected.
        followed: Those among ``correct`` that are also edges of the true object as it is.
        true: Edges of the true objects as they are.
    """

    predicted: int = 0
    matched: int = 0
    correct: int = 0
    detected: int = 0
    followed: int = 0
    true: int = 0

    @property
    def precision(self) -> float:
        """Share of the predicted edges that are right; those that begin or end on no true object are wrong."""
        return _share(self.correct, self.predicted)

    @property
    def matched_precision(self) -> float:
        """Share of the predicted edges between two true objects that are right: no false detection lowers it."""
        return _share(self.correct, self.matched)

    @property
    def recall(self) -> float:
        """Share of the edges between detected observations that were drawn: no missed detection lowers it."""
        return _share(self.correct, self.detected)

    @property
    def true_recall(self) -> float:
        """Share of all edges of the true objects that were drawn."""
        return _share(self.followed, self.true)

    @property
    def f1(self) -> float:
        """Harmonic mean of ``precision`` and ``recall``."""
        return _share(2 * self.correct, self.predicted + self.detected)

    def named(self) -> dict[str, float]:
        """Shares and counts by name."""
        return {
            "EdgePr": self.precision,
            "EdgeRe": self.recall,
            "EdgeF1": self.f1,
            "EdgePr_matched": self.matched_precision,
            "EdgeRe_true": self.true_recall,
            "Edges_predicted": self.predicted,
            "Edges_matched": self.matched,
            "Edges_correct": self.correct,
            "Edges_detected": self.detected,
            "Edges_followed": self.followed,
            "Edges_true": self.true,
        }


@dataclass(frozen=True)
class EdgeScores(Sums):
    """Edges by the time they span.

    Args:
        adjacent: Edges from one frame to the next.
        apart: Edges over one or more frames in which the track, or the object, was not seen.
    """

    adjacent: EdgeCounts = field(default_factory=EdgeCounts)
    apart: EdgeCounts = field(default_factory=EdgeCounts)

    @property
    def all(self) -> EdgeCounts:
        """All edges."""
        return self.adjacent + self.apart

    def named(self) -> dict[str, float]:
        """Shares and counts of all edges by name, then of the two kinds."""
        kinds = {"_adjacent": self.adjacent, "_apart": self.apart}
        split = {name + kind: value for kind, counts in kinds.items() for name, value in counts.named().items()}
        return {**self.all.named(), **split}


class AssociationEdges(VideoMetric[EdgeScores]):
    r"""Precision and recall of the association itself, as of the edges of a graph of observations.

    In every frame predicted and true objects are matched one to one: the most pairs with enough overlap and, among
    those, the most overlap. Identities play no part in it, so that a matching cannot hide an error of the association.
    An edge joins two observations of one track that follow each other, whatever time lies between:

    - :math:`E_P`: observations of a predicted track that follow each other;
    - :math:`E_D`: *detected* observations of a true object that follow each other, each as the predicted observation that it
      is matched to, so that its two ends may belong to two tracks;
    - :math:`E_T`: observations of a true object that follow each other, detected or not.

    .. math::
        \text{precision} = \frac{|E_P \cap E_D|}{|E_P|}, \qquad
        \text{recall} = \frac{|E_P \cap E_D|}{|E_D|}, \qquad
        \text{true recall} = \frac{|E_P \cap E_T|}{|E_T|}

    So an edge of a track is right if both ends lie on the same true object and no other track was matched to that
    object in between. It is wrong if it jumps to another object, begins or ends on none, or skips observations of the
    object that another track has. Recall asks only for what the association could do with the detections it was given.
    The idea is that of the edges of the Cell Tracking Challenge's graph measures, without divisions.

    Args:
        threshold: Least IoU of a match.
    """

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = threshold

    def _count(self, frames: Iterable[FrameOverlap]) -> EdgeScores:
        counts = [dict.fromkeys(EdgeCounts.__dataclass_fields__, 0) for _ in range(2)]  # adjacent, apart
        seen: dict[int, int] = {}  # object -> frame of its last observation
        detected: dict[int, tuple[int, int]] = {}  # object -> frame and track of its last detected observation
        predicted: dict[int, tuple[int, bool]] = {}  # track -> frame of its last observation, and whether on an object
        for now, frame in enumerate(frames):
            rows, columns = match_pairs(frame.iou, self.threshold)
            track_of = dict(zip(frame.truth_ids[rows].tolist(), frame.predicted_ids[columns].tolist(), strict=True))
            matched = set(track_of.values())
            for obj, track in track_of.items():
                if obj not in detected:
                    continue
                before, its_track = detected[obj]
                of_gap = counts[now - before > 1]
                of_gap["detected"] += 1
                if its_track == track and predicted[track][0] == before:
                    of_gap["correct"] += 1
                    of_gap["followed"] += seen[obj] == before
            for obj in frame.truth_ids.tolist():
                if obj in seen:
                    counts[now - seen[obj] > 1]["true"] += 1
                seen[obj] = now
            for track in frame.predicted_ids.tolist():
                if track in predicted:
                    before, on_object = predicted[track]
                    of_gap = counts[now - before > 1]
                    of_gap["predicted"] += 1
                    of_gap["matched"] += on_object and track in matched
                predicted[track] = now, track in matched
            detected.update((obj, (now, track)) for obj, track in track_of.items())
        return EdgeScores(*(EdgeCounts(**of_gap) for of_gap in counts))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(threshold={self.threshold})"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
