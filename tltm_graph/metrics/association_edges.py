import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from tltm_graph.metrics.matching import match_pairs
from tltm_graph.metrics.metric import Sums, TrackingMetric
from tltm_graph.metrics.overlap import FrameOverlap


@dataclass(frozen=True)
class EdgeCounts(Sums):
    """Numbers of edges between observations, and the shares they give, in [0, 1]; nan where the denominator is 0.

    Args:
        predicted: Edges of the predicted tracks.
        matched: Predicted edges with a true object at both ends, the same or not.
        correct: Predicted edges that join consecutive detected observations of one true object.
        detected: Edges between consecutive detected observations of the true objects.
        followed: Correct edges that also join consecutive observations of the true object, detected or not.
        true: Edges of the true objects, detected or not.
    """

    predicted: int = 0
    matched: int = 0
    correct: int = 0
    detected: int = 0
    followed: int = 0
    true: int = 0

    @property
    def precision(self) -> float:
        """Share of the predicted edges that are correct. Edges with an end on no true object are wrong."""
        return _share(self.correct, self.predicted)

    @property
    def matched_precision(self) -> float:
        """Share of the predicted edges with both ends on true objects that are correct. No false positive lowers it."""
        return _share(self.correct, self.matched)

    @property
    def recall(self) -> float:
        """Share of the edges between detected observations that are predicted. No missed detection lowers it."""
        return _share(self.correct, self.detected)

    @property
    def true_recall(self) -> float:
        """Share of all edges of the true objects that are predicted."""
        return _share(self.followed, self.true)

    @property
    def f1(self) -> float:
        """Harmonic mean of ``precision`` and ``recall``."""
        return _share(2 * self.correct, self.predicted + self.detected)

    def named(self) -> dict[str, float]:
        """Return the shares and counts by name."""
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
class AssociationEdgeScores(Sums):
    """Edge counts, by the number of frames that the edges span.

    Args:
        adjacent: Edges from one frame to the next.
        apart: Edges across one or more frames without an observation of the track or object.
    """

    adjacent: EdgeCounts = field(default_factory=EdgeCounts)
    apart: EdgeCounts = field(default_factory=EdgeCounts)

    @property
    def all(self) -> EdgeCounts:
        """Counts of both kinds of edges together."""
        return self.adjacent + self.apart

    def named(self) -> dict[str, float]:
        """Return the shares and counts of all edges by name, then those of the two kinds."""
        kinds = {"_adjacent": self.adjacent, "_apart": self.apart}
        split = {name + kind: value for kind, counts in kinds.items() for name, value in counts.named().items()}
        return {**self.all.named(), **split}


class AssociationEdges(TrackingMetric[AssociationEdgeScores]):
    r"""Precision and recall of the association alone, measured on the edges of a graph of observations.

    In each frame predicted and true objects are matched one-to-one: the most pairs with enough IoU and, among those,
    the greatest sum of IoU. Ids are not compared, so that the matching cannot hide an error of the association. An edge
    joins two consecutive observations of one track, with any number of frames between them:

    - :math:`E_P`: consecutive observations of a predicted track;
    - :math:`E_D`: consecutive *detected* observations of a true object, each replaced by the predicted observation
      matched to it. The two ends of the edge may thus belong to two predicted tracks;
    - :math:`E_T`: consecutive observations of a true object, detected or not.

    .. math::
        \text{precision} = \frac{|E_P \cap E_D|}{|E_P|}, \qquad
        \text{recall} = \frac{|E_P \cap E_D|}{|E_D|}, \qquad
        \text{true recall} = \frac{|E_P \cap E_T|}{|E_T|}

    A predicted edge is correct if both ends lie on the same true object and no other track was matched to that object
    in between. It is wrong if it joins two objects, has an end on no object, or skips observations of the object that
    another track has. Recall counts only what the association could achieve with the given detections. The measure
    follows the edges of the Cell Tracking Challenge's graph measures, without divisions.

    Args:
        threshold: Smallest IoU of a match, in [0, 1].
    """

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = threshold

    def _count(self, frames: Iterable[FrameOverlap]) -> AssociationEdgeScores:
        adjacent_apart = [dict.fromkeys(EdgeCounts.__dataclass_fields__, 0) for _ in range(2)]
        last_true: dict[int, int] = {}  # object -> frame of its last observation
        last_detected: dict[int, tuple[int, int]] = {}  # object -> frame and track of its last detected observation
        last_predicted: dict[int, tuple[int, bool]] = {}  # track -> frame of its last observation, and if on an object
        for now, frame in enumerate(frames):
            rows, columns = match_pairs(frame.iou, self.threshold)
            track_of = dict(zip(frame.truth_ids[rows].tolist(), frame.predicted_ids[columns].tolist(), strict=True))
            matched = set(track_of.values())
            for obj, track in track_of.items():
                if obj not in last_detected:
                    continue
                before, last_track = last_detected[obj]
                counts = adjacent_apart[now - before > 1]
                counts["detected"] += 1
                if last_track == track and last_predicted[track][0] == before:
                    counts["correct"] += 1
                    counts["followed"] += last_true[obj] == before
            for obj in frame.truth_ids.tolist():
                if obj in last_true:
                    adjacent_apart[now - last_true[obj] > 1]["true"] += 1
                last_true[obj] = now
            for track in frame.predicted_ids.tolist():
                if track in last_predicted:
                    before, on_object = last_predicted[track]
                    counts = adjacent_apart[now - before > 1]
                    counts["predicted"] += 1
                    counts["matched"] += on_object and track in matched
                last_predicted[track] = now, track in matched
            last_detected.update((obj, (now, track)) for obj, track in track_of.items())
        return AssociationEdgeScores(*(EdgeCounts(**counts) for counts in adjacent_apart))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(threshold={self.threshold})"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
