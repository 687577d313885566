import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from tltm_graph.metrics.matching import EPS, Matching, assign, match_pairs
from tltm_graph.metrics.metric import Sums, TrackingMetric
from tltm_graph.metrics.overlap import FrameOverlap


class MatchHistory:
    """Matches of the true objects of one video so far: the counts that all variants of CLEAR MOT share.

    Attributes:
        present: Number of frames that each object is in, by id.
        matched: Number of frames in which each object was matched, by id.
        last: Track of the last match of each object, however long ago.
        previous: Matches (object to track) of the last frame with both true and predicted objects.
        id_switches: Number of matches of an object to another track than ``last``.
        restarts: Number of matches of an object that was matched before, but not in ``previous``.
        recoveries: Number of matches of an object that was matched before, and present but missed since.
        num_predicted: Number of predicted objects, summed over the frames.
        num_frames: Number of frames.
    """

    def __init__(self) -> None:
        self.present: Counter[int] = Counter()
        self.matched: Counter[int] = Counter()
        self.last: dict[int, int] = {}
        self.previous: Mapping[int, int] = {}
        self.id_switches = self.restarts = self.recoveries = self.num_predicted = self.num_frames = 0
        self._missed: set[int] = set()  # objects that were present but not matched since their last match

    def add(self, objects: Sequence[int], tracks: Sequence[int], track_of: Mapping[int, int]) -> None:
        """Add one frame.

        Args:
            objects: Ids of the true objects.
            tracks: Ids of the predicted objects.
            track_of: Id of the matched track, by id of the object.
        """
        for obj, track in track_of.items():
            if obj in self.last:
                self.id_switches += self.last[obj] != track
                self.restarts += obj not in self.previous
                self.recoveries += obj in self._missed
        self.present.update(objects)
        self.matched.update(track_of.keys())
        self.last.update(track_of)
        self._missed.difference_update(track_of)
        self._missed.update(obj for obj in objects if obj not in track_of)
        if objects and tracks:
            self.previous = track_of
        self.num_predicted += len(tracks)
        self.num_frames += 1

    def matched_shares(self) -> list[float]:
        """Return the share of its frames in which each object was matched."""
        return [self.matched[obj] / frames for obj, frames in self.present.items()]


@dataclass(frozen=True)
class ClearCounts(Sums):
    """Counts of a CLEAR MOT evaluation, from which each variant computes its scores.

    Args:
        tp: Matches, summed over the frames.
        fn: True objects without a match, summed over the frames.
        fp: Predicted objects without a match, summed over the frames.
        id_switches: Matches of an object to another track than that of its last match, however long ago.
        mostly_tracked: Objects matched in more than 0.8 of their frames; for BDD100K at least 0.8.
        partly_tracked: Objects that are neither mostly tracked nor mostly lost.
        mostly_lost: Objects matched in less than 0.2 of their frames.
        fragments: Times that the matches of an object resume after an interruption, see the variants.
        frames: Length of the videos.
        overlap: Sum of the IoU of the matches.
    """

    tp: int
    fn: int
    fp: int
    id_switches: int
    mostly_tracked: int
    partly_tracked: int
    mostly_lost: int
    fragments: int
    frames: int
    overlap: float


Counts = TypeVar("Counts", bound=ClearCounts)


class _ClearMetric(TrackingMetric[Counts]):
    """Base of the variants of CLEAR MOT: match each frame, given the frames before, and count."""

    _scores: type[Counts]

    def _count(self, frames: Iterable[FrameOverlap]) -> Counts:
        history, overlap = MatchHistory(), 0.0
        for frame in frames:
            rows, columns = self._match(frame, history)
            overlap += float(frame.iou[rows, columns].sum())
            pairs = zip(frame.truth_ids[rows].tolist(), frame.predicted_ids[columns].tolist(), strict=True)
            history.add(frame.truth_ids.tolist(), frame.predicted_ids.tolist(), dict(pairs))
        mostly_tracked, partly_tracked, fragments = self._tracked(history)
        tp = history.matched.total()
        return self._scores(
            tp=tp,
            fn=history.present.total() - tp,
            fp=history.num_predicted - tp,
            id_switches=history.id_switches,
            mostly_tracked=mostly_tracked,
            partly_tracked=partly_tracked,
            mostly_lost=len(history.present) - mostly_tracked - partly_tracked,
            fragments=fragments,
            frames=history.num_frames,
            overlap=overlap,
        )

    @abstractmethod
    def _match(self, frame: FrameOverlap, history: MatchHistory) -> Matching:
        """Match the objects of a frame, given the frames before."""

    @abstractmethod
    def _tracked(self, history: MatchHistory) -> tuple[int, int, int]:
        """Return the numbers of mostly tracked objects, partly tracked objects and fragments."""


@dataclass(frozen=True)
class ClearScores(ClearCounts):
    """CLEAR MOT scores as TrackEval defines them. A share with the denominator 0 is 0."""

    @property
    def mota(self) -> float:
        """Multiple object tracking accuracy, (TP - FP - IDSW) / (TP + FN), at most 1; negative for many errors."""
        return self._per_object(self.tp - self.fp - self.id_switches)

    def named(self) -> dict[str, float]:
        """Return the scores and counts by official name.

        MOTP is the mean IoU of the matches. sMOTA is MOTA with each match counted as its IoU; on masks this is sMOTSA.
        """
        objects = max(1, self.mostly_tracked + self.partly_tracked + self.mostly_lost)
        log_switches = math.log10(self.id_switches) if self.id_switches else 0.0
        return {
            "MOTA": self.mota,
            "MOTP": self.overlap / max(1, self.tp),
            "MODA": self._per_object(self.tp - self.fp),
            "CLR_Re": self._per_object(self.tp),
            "CLR_Pr": self.tp / max(1, self.tp + self.fp),
            "MTR": self.mostly_tracked / objects,
            "PTR": self.partly_tracked / objects,
            "MLR": self.mostly_lost / objects,
            "sMOTA": self._per_object(self.overlap - self.fp - self.id_switches),
            "CLR_F1": self.tp / max(1.0, self.tp + 0.5 * self.fn + 0.5 * self.fp),
            "FP_per_frame": self.fp / max(1, self.frames),
            "MOTAL": self._per_object(self.tp - self.fp - log_switches),
            "MOTP_sum": self.overlap,
            "CLR_TP": self.tp,
            "CLR_FN": self.fn,
            "CLR_FP": self.fp,
            "IDSW": self.id_switches,
            "MT": self.mostly_tracked,
            "PT": self.partly_tracked,
            "ML": self.mostly_lost,
            "Frag": self.fragments,
            "CLR_Frames": self.frames,
        }

    def _per_object(self, value: float) -> float:
        return value / max(1, self.tp + self.fn)


class Clear(_ClearMetric[ClearScores]):
    """CLEAR MOT (Bernardin and Stiefelhagen 2008, https://doi.org/10.1155/2008/246309), equal to TrackEval's.

    The matching of a frame has the greatest sum of IoU + 1000 · [pair of the previous frame], of pairs with an IoU of
    at least ``threshold``. A pair therefore stays together while it may, even against a much better overlap.

    A fragment is a match of an object that was matched before, but not in the previous frame. As in the official code,
    a frame without any true or without any predicted object is not a previous frame: the pairs of the frame before it
    are kept, and a miss in it begins no fragment.

    Two points differ from the official code, in videos without true or without predicted objects: their frames count
    in ``frames`` (there they do not, so FP_per_frame over several videos is too high), and MLR without objects is 0
    (there 1).

    Args:
        threshold: Smallest IoU of a match, in [0, 1].
    """

    _scores = ClearScores

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = threshold

    def _match(self, frame: FrameOverlap, history: MatchHistory) -> Matching:
        tracks = np.array([history.previous.get(obj, -1) for obj in frame.truth_ids.tolist()])
        kept = tracks[:, None] == frame.predicted_ids
        return assign(np.where(frame.iou >= self.threshold - EPS, 1000 * kept + frame.iou, 0.0))

    def _tracked(self, history: MatchHistory) -> tuple[int, int, int]:
        shares = history.matched_shares()
        return sum(share > 0.8 for share in shares), sum(0.2 <= share <= 0.8 for share in shares), history.restarts

    def __repr__(self) -> str:
        return f"{type(self).__name__}(threshold={self.threshold})"


@dataclass(frozen=True)
class ClearBdd100kScores(ClearCounts):
    """CLEAR MOT scores as BDD100K's toolkit defines them. A score with the denominator 0 is not a number."""

    @property
    def mota(self) -> float:
        """1 - (FN + FP + IDSw) / (TP + FN). Without true objects -inf, or nan if there is no error either."""
        errors, objects = self.fn + self.fp + self.id_switches, self.tp + self.fn
        if not objects:
            return -math.inf if errors else math.nan
        return 1 - errors / objects

    @property
    def motp(self) -> float:
        """Mean IoU of the matches, in [0, 1]; nan without a match."""
        return self.overlap / self.tp if self.tp else math.nan

    def named(self) -> dict[str, float]:
        """Return the scores and counts by official name; shares in [0, 1] where the official table has percent."""
        return {
            "MOTA": self.mota,
            "MOTP": self.motp,
            "FP": self.fp,
            "FN": self.fn,
            "IDSw": self.id_switches,
            "MT": self.mostly_tracked,
            "PT": self.partly_tracked,
            "ML": self.mostly_lost,
            "FM": self.fragments,
        }


class ClearBdd100k(_ClearMetric[ClearBdd100kScores]):
    """CLEAR MOT of one class, equal to that of BDD100K's toolkit (scalabel, on py-motmetrics).

    It differs from :class:`Clear` in three points:

    - Each object first gets its last track back, of whatever frame, if their IoU is at least 0.5; objects that share
      their last track do so in order. The others are matched for the most pairs, then the greatest sum of IoU.
    - An object matched in exactly 0.8 of its frames is mostly tracked.
    - A fragment is a match of an object that was matched before, and present but missed since. Absence does not count.
    """

    _scores = ClearBdd100kScores

    def _match(self, frame: FrameOverlap, history: MatchHistory) -> Matching:
        eligible = 1 - frame.iou <= 0.5  # like the official distance, which loses no 0.5 to rounding
        column_of = {track: column for column, track in enumerate(frame.predicted_ids.tolist())}
        kept: dict[int, int] = {}  # column -> row
        for row, obj in enumerate(frame.truth_ids.tolist()):
            column = column_of.get(history.last.get(obj, -1))
            if column is not None and column not in kept and eligible[row, column]:
                kept[column] = row
        rows, columns = (np.array(list(side), dtype=np.int64) for side in (kept.values(), kept.keys()))
        rest = np.where(eligible, frame.iou, 0.0)
        rest[rows] = 0.0
        rest[:, columns] = 0.0
        other_rows, other_columns = match_pairs(rest)
        return np.concatenate([rows, other_rows]), np.concatenate([columns, other_columns])

    def _tracked(self, history: MatchHistory) -> tuple[int, int, int]:
        shares = history.matched_shares()
        return sum(share >= 0.8 for share in shares), sum(0.2 <= share < 0.8 for share in shares), history.recoveries
