import numpy as np
from scipy.optimize import linear_sum_assignment

from tltm_graph.formats.davis import VOID
from tltm_graph.metrics.davis_metric import (
    DavisMetric,
    Frames,
    TrueObjects,
    VideoScores,
    predicted_map,
    true_map,
    where,
)
from tltm_graph.metrics.label_map import LabelMap
from tltm_graph.metrics.region_boundary import RegionBoundary, label_map_scores, paired_label_map_scores

MAX_PROPOSALS = 20
"""Objects that an unsupervised result may have in a video."""


class DavisSemiSupervised(DavisMetric):
    """J and F of objects that were given in the first frame: the semi-supervised task (Pont-Tuset et al. 2017).

    Objects are those of the first true frame, with the ids from 1 to its highest; predictions use the same ids. The
    first and the last frame are not scored, and their predictions not looked at. Void pixels are background.

    True objects with a higher id, which the first frame does not show, do not count, as in the official code; the
    scores name them as ``left_out``.
    """

    def _score(self, video: str, frames: Frames) -> VideoScores:
        objects = TrueObjects(video)
        scored: list[RegionBoundary] = []
        held: tuple[LabelMap, np.ndarray | None] | None = None  # until it is known not to be the last
        for frame, (true_pixels, predicted_pixels) in enumerate(frames):
            truth = true_map(true_pixels, video, frame)
            if frame == 0:
                objects.begin(truth)
                continue
            if held is not None:
                scored.append(self._score_frame(objects, *held, video, frame - 1))
            held = (truth, predicted_pixels)
        region, boundary = _over_time(scored, len(objects.ids))
        return objects.scores(region, boundary, objects.ids)

    def _score_frame(
        self, objects: TrueObjects, truth: LabelMap, pixels: np.ndarray | None, video: str, frame: int
    ) -> RegionBoundary:
        predicted = predicted_map(pixels, truth, video, frame)
        highest = max(predicted.boxes, default=0)
        if highest > len(objects.ids):
            raise ValueError(
                f"Expected predicted ids up to {len(objects.ids)}, the highest of the first true frame, got {highest} "
                f"in {where(video, frame)}: predict with the ids of the first frame; only the truth has void pixels"
            )
        objects.see(truth)
        return paired_label_map_scores(truth, predicted, objects.ids)


class DavisUnsupervised(DavisMetric):
    """J and F of objects that a method found by itself: the unsupervised task (Caelles et al. 2019).

    A video may have up to 20 predicted objects, with any ids. Each true object gets one of them, so that the mean over
    frames of J + F is the largest in total; more predictions than objects cost nothing. With fewer, predictions without
    pixels are added. All frames are scored; void pixels are taken out of both sides.

    Objects are those of the first true frame, ids from 1 to its highest; others do not count, as in the official code,
    and are named in the scores as ``left_out``. The official code gives the scores of a video's objects in the order of
    the predictions, so that they belong to other objects than their names say; here each stands under its own id.
    """

    def _score(self, video: str, frames: Frames) -> VideoScores:
        objects = TrueObjects(video)
        proposals: set[int] = set()
        scored: list[tuple[list[int], RegionBoundary]] = []
        for frame, (true_pixels, predicted_pixels) in enumerate(frames):
            truth = true_map(true_pixels, video, frame)
            if frame == 0:
                objects.begin(truth)
            predicted = predicted_map(predicted_pixels, truth, video, frame)
            found = list(predicted.boxes)
            proposals.update(found)
            if len(proposals) > MAX_PROPOSALS:
                raise ValueError(
                    f"Expected at most {MAX_PROPOSALS} predicted objects in a video, got more up to "
                    f"{where(video, frame)}: keep the {MAX_PROPOSALS} tracks with the highest score, as the writer of "
                    "DAVIS results does"
                )
            objects.see(truth)
            void = truth.pixels == VOID if VOID in truth.boxes else None
            nothing = 0  # the background's id: an object without pixels
            scored.append((found, label_map_scores(truth, objects.ids, predicted, [*found, nothing], void)))
        names: list[int | None] = [*sorted(proposals), *[None] * (len(objects.ids) - len(proposals))]
        region, boundary = _by_proposal(scored, sorted(proposals), len(names), len(objects.ids))
        num_frames = max(len(scored), 1)
        gain = region.sum(axis=2) / num_frames + boundary.sum(axis=2) / num_frames
        chosen, order = linear_sum_assignment(gain, maximize=True)
        chosen = chosen[np.argsort(order)]  # (N,) in the order of the true objects
        true = np.arange(len(objects.ids))
        return objects.scores(region[chosen, true], boundary[chosen, true], [names[i] for i in chosen])


def _over_time(frames: list[RegionBoundary], num_objects: int) -> np.ndarray:
    """J and F of the objects, (2, N, T)."""
    return np.array(frames).reshape(len(frames), 2, num_objects).transpose(1, 2, 0).copy()


def _by_proposal(
    frames: list[tuple[list[int], RegionBoundary]], proposals: list[int], num_rows: int, num_objects: int
) -> np.ndarray:
    """J and F of every proposal with every object, (2, ``num_rows``, N, T), from those found in each frame.

    Proposals that were not found in a frame, and rows beyond the proposals, have what nothing has: the last column.
    """
    values = np.empty((2, num_rows, num_objects, len(frames)))
    for frame, (found, scores) in enumerate(frames):
        rows = np.searchsorted(proposals, found)
        for measure, pairs in zip(values, scores, strict=True):
            measure[:, :, frame] = pairs[:, -1]
            measure[rows, :, frame] = pairs[:, :-1].T
    return values
