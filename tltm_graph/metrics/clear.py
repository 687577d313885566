import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tltm_graph.metrics.matching import EPS, assign
from tltm_graph.metrics.overlap import FrameOverlap
from tltm_graph.metrics.video_metric import Sums, VideoMetric


@dataclass(frozen=True)
class ClearScores(Sums):
    """Counts of the CLEAR MOT evaluation and the scores they give. A share without anything to judge is 0.

    Args:
        tp: Matches, summed over the frames.
        fn: True objects without a match, summed over the frames.
        fp: Predicted objects without a match, summed over the frames.
        id_switches: Times an object is matched to another track than the last one it was matched to, however long ago.
        mostly_tracked: Objects matched in more than 0.8 of their frames.
        partly_tracked: Objects matched in 0.2 to 0.8 of their frames, both included.
        mostly_lost: All other objects.
        fragments: Times the tracking of an object begins again: stretches of frames with a match, less the first.
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

    @property
    def mota(self) -> float:
        """Multiple object tracking accuracy, (TP - FP - IDSW) / (TP + FN); at most 1, and negative for bad results."""
        return self._of_truth(self.tp - self.fp - self.id_switches)

    @property
    def motp(self) -> float:
        """Multiple object tracking precision: mean IoU of the matches, so that more is better."""
        return self.overlap / max(1, self.tp)

    @property
    def smota(self) -> float:
        """MOTA with each match counted as its IoU. On masks this is sMOTSA, and MOTA is MOTSA."""
        return self._of_truth(self.overlap - self.fp - self.id_switches)

    @property
    def moda(self) -> float:
        """Multiple object detection accuracy: MOTA without the switches."""
        return self._of_truth(self.tp - self.fp)

    @property
    def recall(self) -> float:
        """TP / (TP + FN)."""
        return self._of_truth(self.tp)

    @property
    def precision(self) -> float:
        """TP / (TP + FP)."""
        return self.tp / max(1, self.tp + self.fp)

    def named(self) -> dict[str, float]:
        """All scores and counts, by official name."""
        objects = max(1, self.mostly_tracked + self.partly_tracked + self.mostly_lost)
        damped = math.log10(self.id_switches) if self.id_switches else 0.0
        return {
            "MOTA": self.mota,
            "MOTP": self.motp,
            "MODA": self.moda,
            "CLR_Re": self.recall,
            "CLR_Pr": self.precision,
            "MTR": self.mostly_tracked / objects,
            "PTR": self.partly_tracked / objects,
            "MLR": self.mostly_lost / objects,
            "sMOTA": self.smota,
            "CLR_F1": self.tp / max(1.0, self.tp + 0.5 * self.fn + 0.5 * self.fp),
            "FP_per_frame": self.fp / max(1, self.frames),
            "MOTAL": self._of_truth(self.tp - self.fp - damped),
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

    def _of_truth(self, value: float) -> float:
        return value / max(1, self.tp + self.fn)


class Clear(VideoMetric[ClearScores]):
    """CLEAR MOT (Bernardin and Stiefelhagen 2008, https://doi.org/10.1155/2008/246309), equal to TrackEval's.

    In each frame true and predicted objects are matched for the greatest sum of IoU + 1000 · [pair of the frame before]
    among pairs with enough overlap, so that a pair stays together while it may, even against a much better overlap.

    As in the official code, a frame without any true or without any predicted object is passed over: it counts, but the
    pairs of the frame before it live on, and a miss in it begins no new fragment. Where any prediction is in the frame,
    wherever it lies, the same miss does.

    Different from the official code in two points that only videos without true or without predicted objects show:
    their frames count in ``frames`` (there they do not, and FP_per_frame over several videos is too high), and MLR of
    no objects is 0 (there 1).

    Args:
        threshold: Least IoU of a match.
    """

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = threshold

    def _count(self, frames: Iterable[FrameOverlap]) -> ClearScores:
        before: dict[int, int] = {}  # object -> track, in the last frame that was not passed over
        last: dict[int, int] = {}  # object -> track of its last match
        there: Counter[int] = Counter()  # object -> frames it is in, and those with a match, and stretches of them
        matched: Counter[int] = Counter()
        stretches: Counter[int] = Counter()
        predicted = switches = length = 0
        overlap = 0.0
        for frame in frames:
            length += 1
            predicted += len(frame.predicted_ids)
            objects = frame.truth_ids.tolist()
            there.update(objects)
            if frame.iou.size == 0:
                continue
            same = np.array([before.get(obj, -1) for obj in objects])[:, None] == frame.predicted_ids
            gain = np.where(frame.iou >= self.threshold - EPS, 1000 * same + frame.iou, 0.0)
            rows, columns = assign(gain)
            overlap += float(frame.iou[rows, columns].sum())
            now = dict(zip(frame.truth_ids[rows].tolist(), frame.predicted_ids[columns].tolist(), strict=True))
            switches += sum(last.get(obj, track) != track for obj, track in now.items())
            stretches.update(now.keys() - before.keys())
            matched.update(now.keys())
            last.update(now)
            before = now
        tp = matched.total()
        shares = [matched[obj] / frames_there for obj, frames_there in there.items()]
        mostly, partly = sum(share > 0.8 for share in shares), sum(0.2 <= share <= 0.8 for share in shares)
        return ClearScores(
            tp=tp,
            fn=there.total() - tp,
            fp=predicted - tp,
            id_switches=switches,
            mostly_tracked=mostly,
            partly_tracked=partly,
            mostly_lost=len(there) - mostly - partly,
            fragments=stretches.total() - len(stretches),
            frames=length,
            overlap=overlap,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(threshold={self.threshold})"
