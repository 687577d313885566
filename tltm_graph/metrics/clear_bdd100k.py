import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tltm_graph.metrics.identity_f1 import IdentityF1Scores
from tltm_graph.metrics.matching import match_pairs
from tltm_graph.metrics.overlap import FrameOverlap
from tltm_graph.metrics.video_metric import Sums, VideoMetric


@dataclass(frozen=True)
class ClearBdd100kScores(Sums):
    """Counts of the CLEAR MOT evaluation as BDD100K makes it, and the scores they give.

    Args:
        tp: Matches, summed over the frames, switches among them.
        fn: True objects without a match, summed over the frames.
        fp: Predicted objects without a match, summed over the frames.
        id_switches: Matches of an object to another track than the last one.
        mostly_tracked: Objects matched in at least 0.8 of their frames.
        partly_tracked: Objects matched in at least 0.2 and less than 0.8 of their frames.
        mostly_lost: All other objects.
        fragments: Times a match of an object is followed by a miss, and that, later, by a match.
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
    overlap: float

    @property
    def mota(self) -> float:
        """1 - (FN + FP + IDSw) / (TP + FN); -inf, or nan without any error, where there is no true object."""
        errors, objects = self.fn + self.fp + self.id_switches, self.tp + self.fn
        if not objects:
            return -math.inf if errors else math.nan
        return 1 - errors / objects

    @property
    def motp(self) -> float:
        """Mean IoU of the matches; nan without a match."""
        return self.overlap / self.tp if self.tp else math.nan

    def named(self) -> dict[str, float]:
        """The scores and counts by official name; shares in [0, 1] where the official table has percent."""
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


class ClearBdd100k(VideoMetric[ClearBdd100kScores]):
    """CLEAR MOT of one class as BDD100K's toolkit counts it (scalabel, on py-motmetrics).

    In each frame every object whose last track, of whatever frame before, overlaps it by at least 0.5 gets that track
    back, in the order of the objects; the rest is matched for the most pairs, then the most overlap. Different from
    :class:`~tltm_graph.metrics.clear.Clear`: the last track is remembered over frames without it, one track may be the
    last of several objects, the limits of mostly and partly tracked belong to the better side, and a fragment ends with
    a miss while the object is there, not with its absence.
    """

    def _count(self, frames: Iterable[FrameOverlap]) -> ClearBdd100kScores:
        last: dict[int, int] = {}  # object -> track of its last match
        there: Counter[int] = Counter()
        matched: Counter[int] = Counter()
        missed: dict[int, bool] = {}  # objects that were matched once -> whether there was a miss since the last match
        predicted = switches = fragments = 0
        overlap = 0.0
        for frame in frames:
            predicted += len(frame.predicted_ids)
            objects = frame.truth_ids.tolist()
            there.update(objects)
            rows, columns = _match(frame, last)
            overlap += float(frame.iou[rows, columns].sum())
            now = dict(zip(frame.truth_ids[rows].tolist(), frame.predicted_ids[columns].tolist(), strict=True))
            switches += sum(last.get(obj, track) != track for obj, track in now.items())
            fragments += sum(missed.get(obj, False) for obj in now)
            matched.update(now.keys())
            last.update(now)
            missed.update((obj, obj not in now) for obj in objects if obj in matched)
        tp = matched.total()
        shares = [matched[obj] / frames_there for obj, frames_there in there.items()]
        mostly, partly = sum(share >= 0.8 for share in shares), sum(0.2 <= share < 0.8 for share in shares)
        return ClearBdd100kScores(
            tp=tp,
            fn=there.total() - tp,
            fp=predicted - tp,
            id_switches=switches,
            mostly_tracked=mostly,
            partly_tracked=partly,
            mostly_lost=len(there) - mostly - partly,
            fragments=fragments,
            overlap=overlap,
        )


def _match(frame: FrameOverlap, last: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the matches: first those that go on, in the order of the rows, then the best of the rest."""
    eligible = 1 - frame.iou <= 0.5  # written as the official distance is: no 0.5 is lost to rounding
    column_of = {track: column for column, track in enumerate(frame.predicted_ids.tolist())}
    kept: dict[int, int] = {}  # column -> row
    for row, obj in enumerate(frame.truth_ids.tolist()):
        column = column_of.get(last.get(obj, -1))
        if column is not None and column not in kept and eligible[row, column]:
            kept[column] = row
    rows, columns = (np.array(list(side), dtype=np.int64) for side in (kept.values(), kept.keys()))
    rest = np.where(eligible, frame.iou, 0.0)
    rest[rows] = 0.0
    rest[:, columns] = 0.0
    more_rows, more_columns = match_pairs(rest)
    return np.concatenate([rows, more_rows]), np.concatenate([columns, more_columns])


@dataclass(frozen=True)
class Bdd100kSummary:
    """The line that BDD100K's toolkit prints, shares in [0, 1].

    Args:
        clear: CLEAR MOT over all classes: their counts added.
        identity: Identity F1 over all classes: their counts added.
        mean_idf1: Mean of the classes' IDF1.
        mean_mota: Mean of the classes' MOTA.
        mean_motp: Mean of the classes' MOTP.
    """

    clear: ClearBdd100kScores
    identity: IdentityF1Scores
    mean_idf1: float
    mean_mota: float
    mean_motp: float

    def named(self) -> dict[str, float]:
        """The scores and counts by official name."""
        means = {"mIDF1": self.mean_idf1, "mMOTA": self.mean_mota, "mMOTP": self.mean_motp}
        return {"IDF1": self.identity.idf1, **self.clear.named(), **means}


def summarise_bdd100k(
    clear: Mapping[str, ClearBdd100kScores], identity: Mapping[str, IdentityF1Scores]
) -> Bdd100kSummary:
    """Joins the scores of the classes.

    As in the official code, a class that has no score because nothing true or nothing matched is in it enters the mean
    as 0. That lowers mIDF1 and mMOTP, but it spares mMOTA the -inf of a class in which everything is a false positive.

    Args:
        clear: Scores of every class of the data set, also of those that do not occur.
        identity: The same for identity F1.

    Raises:
        ValueError: If there is no class, or the two have different ones.
    """
    if not clear or clear.keys() != identity.keys():
        raise ValueError(f"Expected both scores of every class, got classes {list(clear)} and {list(identity)}")
    first, *others = clear
    total, agreed = clear[first], identity[first]
    for name in others:
        total, agreed = total + clear[name], agreed + identity[name]
    return Bdd100kSummary(
        clear=total,
        identity=agreed,
        mean_idf1=_mean([score.idf1 for score in identity.values()]),
        mean_mota=_mean([score.mota for score in clear.values()]),
        mean_motp=_mean([score.motp for score in clear.values()]),
    )


def _mean(values: list[float]) -> float:
    return sum(value for value in values if math.isfinite(value)) / len(values)
