from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from tltm_graph.metrics.matching import EPS, nonzero
from tltm_graph.metrics.metric import Sums, TrackingMetric
from tltm_graph.metrics.overlap import FrameOverlap

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""The 19 IoU thresholds of a match: 0.05, 0.10, …, 0.95."""


@dataclass(frozen=True, eq=False)
class HotaScores(Sums):
    """Counts at each of the 19 :data:`ALPHAS` and the scores they give, in [0, 1].

    DetA is the detection accuracy TP / (TP + FN + FP), AssA the mean over the matches of the IoU of their two tracks,
    HOTA the geometric mean of both, and LocA the mean IoU of the matches. A score with the denominator 0 is 0, but LocA
    is 1, as in the official code.

    Args:
        tp: Matches, int64 (19,).
        fn: True objects without a match, summed over the frames, int64 (19,).
        fp: Predicted objects without a match, summed over the frames, int64 (19,).
        overlap: Sum of the IoU of the matches, float64 (19,).
        association: Sum over the matches of the IoU of their two tracks, float64 (19,).
        association_recall: Sum over the matches of the share of the true track that matches the predicted one,
            float64 (19,).
        association_precision: Sum over the matches of the share of the predicted track that matches the true one,
            float64 (19,).
    """

    tp: np.ndarray
    fn: np.ndarray
    fp: np.ndarray
    overlap: np.ndarray
    association: np.ndarray
    association_recall: np.ndarray
    association_precision: np.ndarray

    def curves(self) -> dict[str, np.ndarray]:
        """Return each score at each alpha, float64 (19,), by official name."""
        matches = np.maximum(self.tp, 1)
        det_re = self.tp / np.maximum(self.tp + self.fn, 1)
        det_a = self.tp / np.maximum(self.tp + self.fn + self.fp, 1)
        ass_a = self.association / matches
        return {
            "HOTA": np.sqrt(det_a * ass_a),
            "DetA": det_a,
            "AssA": ass_a,
            "DetRe": det_re,
            "DetPr": self.tp / np.maximum(self.tp + self.fp, 1),
            "AssRe": self.association_recall / matches,
            "AssPr": self.association_precision / matches,
            "LocA": np.where(self.tp > 0, self.overlap / matches, 1.0),
            "OWTA": np.sqrt(det_re * ass_a),
        }

    @property
    def hota(self) -> float:
        """HOTA, averaged over alpha."""
        return self.named()["HOTA"]

    def named(self) -> dict[str, float]:
        """Return the means over alpha, and the values at the first alpha as ``(0)``, by official name."""
        curves = self.curves()
        means = {name: float(curve.mean()) for name, curve in curves.items()}
        counts = {"HOTA_TP": self.tp, "HOTA_FN": self.fn, "HOTA_FP": self.fp}
        first_hota, first_loc_a = float(curves["HOTA"][0]), float(curves["LocA"][0])
        return {
            **means,
            **{name: float(count.mean()) for name, count in counts.items()},
            "HOTA(0)": first_hota,
            "LocA(0)": first_loc_a,
            "HOTALocA(0)": first_hota * first_loc_a,
        }


class Hota(TrackingMetric[HotaScores]):
    r"""Higher order tracking accuracy (Luiten et al. 2021, https://arxiv.org/abs/2009.07736), equal to TrackEval's.

    With :math:`s_{gp}` the IoU of true object g and predicted object p in a frame, and n the length of a track, tracks
    are first aligned over the whole video. Then the objects of each frame are matched once, and alpha only filters the
    matches:

    .. math::
        P_{gp} &= \sum_{\text{frames}} \frac{s_{gp}}{\sum_{p'} s_{gp'} + \sum_{g'} s_{g'p} - s_{gp}}, \qquad
        A_{gp} = \frac{P_{gp}}{n_g + n_p - P_{gp}}

        M &= \arg\max \sum_{(g, p) \in M} A_{gp} s_{gp} \text{ in each frame}, \qquad
        m_{gp}(\alpha) = |\{\text{frames} : (g, p) \in M, s_{gp} \ge \alpha\}|

        \text{AssA}(\alpha) &= \frac{1}{TP} \sum_{g, p} m_{gp} \frac{m_{gp}}{n_g + n_p - m_{gp}}, \qquad
        \text{HOTA} = \frac{1}{19} \sum_\alpha \sqrt{\text{DetA}(\alpha) \, \text{AssA}(\alpha)}

    Only pairs that overlap in some frame are kept, so time and memory do not grow with (true × predicted) ids. All
    overlaps of a video are in memory, since the matching of the first frame depends on the last.
    """

    def _count(self, frames: Iterable[FrameOverlap]) -> HotaScores:
        video = _Overlaps(frames)
        pair, shape = video.pair, (video.num_truth, video.num_predicted)
        truth, predicted = np.unravel_index(video.pairs, shape) if len(video.pairs) else (video.pairs, video.pairs)
        true_length, predicted_length = video.truth_lengths[truth], video.predicted_lengths[predicted]  # (pairs,) each

        shared = np.bincount(pair, video.share, minlength=len(video.pairs))
        alignment = shared / (true_length + predicted_length - shared)
        matched = video.match(alignment[pair] * video.iou)

        iou, pair = video.iou[matched], pair[matched]
        num_passed = np.searchsorted(ALPHAS - EPS, iou, side="right")  # number of alphas up to the IoU
        tp = _at_alphas(np.bincount(num_passed, minlength=20))
        pairs, pair = np.unique(pair, return_inverse=True)
        count = _at_alphas(np.bincount(20 * pair + num_passed, minlength=20 * len(pairs)).reshape(-1, 20))
        true_length, predicted_length = true_length[pairs, None], predicted_length[pairs, None]
        squared = count * count  # (pairs, 19)
        return HotaScores(
            tp=tp,
            fn=video.num_true_observations - tp,
            fp=video.num_predicted_observations - tp,
            overlap=_at_alphas(np.bincount(num_passed, iou, minlength=20)),
            association=(squared / (true_length + predicted_length - count)).sum(axis=0),
            association_recall=(squared / true_length).sum(axis=0),
            association_precision=(squared / predicted_length).sum(axis=0),
        )


def _at_alphas(passed: np.ndarray) -> np.ndarray:
    """Turn sums over the matches that pass exactly 0, 1, …, 19 alphas (…, 20) into sums at each alpha (…, 19)."""
    return passed[..., ::-1].cumsum(axis=-1)[..., -2::-1]


class _Overlaps:
    """The E overlapping pairs of a video, sorted by frame, row and column."""

    def __init__(self, frames: Iterable[FrameOverlap]) -> None:
        truth_ids, predicted_ids, rows, columns, iou, share = ([np.zeros(0, dtype=np.int64)] for _ in range(6))
        self.shapes: list[tuple[int, int]] = []
        for frame in frames:
            row, column = nonzero(frame.iou > 0)
            value = frame.iou[row, column]
            total = frame.iou.sum(axis=0)[column] + frame.iou.sum(axis=1)[row] - value
            kept = total > EPS  # the official code aligns no pair below
            truth_ids.append(frame.truth_ids)
            predicted_ids.append(frame.predicted_ids)
            rows.append(row[kept])
            columns.append(column[kept])
            iou.append(value[kept])
            share.append(value[kept] / total[kept])
            self.shapes.append(frame.iou.shape)
        truth, truth_of = np.unique(np.concatenate(truth_ids), return_inverse=True)
        predicted, predicted_of = np.unique(np.concatenate(predicted_ids), return_inverse=True)
        self.num_truth, self.num_predicted = len(truth), len(predicted)
        self.num_true_observations, self.num_predicted_observations = len(truth_of), len(predicted_of)
        self.truth_lengths = np.bincount(truth_of, minlength=len(truth))
        self.predicted_lengths = np.bincount(predicted_of, minlength=len(predicted))

        self.sizes = np.array([len(row) for row in rows[1:]], dtype=np.int64)  # overlapping pairs in each frame
        shapes = np.array(self.shapes, dtype=np.int64).reshape(-1, 2)
        num_earlier = np.repeat(np.cumsum(shapes, axis=0) - shapes, self.sizes, axis=0)  # observations before (E, 2)
        self.row, self.column = np.concatenate(rows), np.concatenate(columns)
        self.iou, self.share = np.concatenate(iou), np.concatenate(share)
        self._true_observation, self._predicted_observation = (
            self.row + num_earlier[:, 0],
            self.column + num_earlier[:, 1],
        )
        key = truth_of[self._true_observation] * len(predicted) + predicted_of[self._predicted_observation]
        self.pairs, self.pair = np.unique(key, return_inverse=True)  # pairs of tracks, and that of each overlap

    def match(self, gain: np.ndarray) -> np.ndarray:
        """Match each frame for the greatest sum of gain (E,) and return the matched overlaps, bool (E,)."""
        matched = np.ones(len(gain), dtype=bool)
        has_rival = np.bincount(self._true_observation)[self._true_observation] > 1
        has_rival |= np.bincount(self._predicted_observation)[self._predicted_observation] > 1
        ends = np.cumsum(self.sizes)
        needs_solver = np.unique(np.searchsorted(ends, has_rival.nonzero()[0], side="right"))
        for frame in needs_solver.tolist():  # in all others every overlap is a match
            part = slice(ends[frame] - self.sizes[frame], ends[frame])
            matrix = np.zeros(self.shapes[frame])
            matrix[self.row[part], self.column[part]] = gain[part]
            is_match = np.zeros(self.shapes[frame], dtype=bool)
            is_match[linear_sum_assignment(matrix, maximize=True)] = True
            matched[part] = is_match[self.row[part], self.column[part]]
        return matched
