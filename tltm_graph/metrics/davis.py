from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from tltm_graph.formats.davis import VOID
from tltm_graph.metrics.metric import VideoMetric
from tltm_graph.metrics.packed_mask import LabelMap
from tltm_graph.metrics.region_boundary import (
    RegionBoundary,
    RegionBoundaryScores,
    frame_statistics,
    label_map_scores,
    mean_scores,
)

MAX_PROPOSALS = 20
"""Largest number of predicted objects in a video of the unsupervised task."""

Frames = Iterable[tuple[np.ndarray | None, np.ndarray | None]]
"""True and predicted label map (H, W) of each frame of a video; None for a missing one."""


@dataclass(frozen=True, eq=False)
class DavisObjectScores(RegionBoundaryScores):
    """Scores of one object of one video.

    Args:
        J: Region similarity in each scored frame, float64 (T,).
        F: Boundary measure in each scored frame, float64 (T,).
        predicted_id: Id of the prediction assigned to the object; None without one.
        num_shown: Number of scored frames in which the truth shows the object. In the others an empty prediction is
            right, and has J = F = 1.
    """

    J: np.ndarray
    F: np.ndarray
    predicted_id: int | None
    num_shown: int


@dataclass(frozen=True, eq=False)
class DavisScores(RegionBoundaryScores):
    """Scores of a data set: means over all objects of all videos, with equal weight.

    Args:
        per_object: Scores of each object, by video and id.
        left_out: True objects that are not scored, by video: their ids are above the highest of the first frame.
        not_scored: Videos without an object or without a frame to score. They are part of no mean.
        never_shown: Objects, by video and id, that are scored although no scored frame shows them. Their ids are below
            the highest of the first frame and not used by the truth, or only in frames that are not scored. As in the
            official code, an empty prediction scores 1 in each frame.
    """

    per_object: dict[tuple[str, int], DavisObjectScores]
    left_out: dict[str, tuple[int, ...]]
    not_scored: tuple[str, ...]
    never_shown: tuple[tuple[str, int], ...]

    def per_video(self) -> dict[str, RegionBoundaryScores]:
        """Return the means over the objects of each video that has some."""
        by_video: dict[str, list[DavisObjectScores]] = {}
        for (video, _), scores in self.per_object.items():
            by_video.setdefault(video, []).append(scores)
        return {video: RegionBoundaryScores(*mean_scores(scores)) for video, scores in by_video.items()}


class _VideoScores(NamedTuple):
    objects: dict[int, DavisObjectScores]  # by id; empty without an object or a frame to score
    left_out: tuple[int, ...]  # true ids above the highest of the first frame


def _object_ids(first: LabelMap, video: str) -> range:
    """Return the ids to score, given the true label map of the first frame."""
    highest = max((i for i in first.boxes if i != VOID), default=0)
    if highest > VOID:
        raise ValueError(f"Expected true ids below {VOID}, got {highest} in {_place(video, 0)}: number objects 1, 2, …")
    return range(1, highest + 1)


def _video_scores(
    ids: range, shown: list[set[int]], region: np.ndarray, boundary: np.ndarray, predicted: Sequence[int | None]
) -> _VideoScores:
    """Score N objects from the true ids of each of T scored frames, J and F (N, T), and the N predicted ids."""
    rows = zip(ids, region, boundary, predicted, strict=True) if region.size else ()
    objects = {
        i: DavisObjectScores(
            *frame_statistics(j), *frame_statistics(f), J=j, F=f, predicted_id=p, num_shown=sum(i in s for s in shown)
        )
        for i, j, f, p in rows
    }
    return _VideoScores(objects, tuple(sorted({i for s in shown for i in s if i > len(ids) and i != VOID})))


class DavisMetric(VideoMetric[_VideoScores]):
    """Base of the two DAVIS protocols: score each video once, then average over all objects."""

    def update(self, video: str, frames: Frames) -> None:
        """Add one video. Only J and F of each object and frame are kept.

        Args:
            video: Name of the video.
            frames: Pairs of a true and a predicted label map in order, integers (H, W): 0 for background, otherwise the
                id of an object; 255 in the truth is void. Pair the frames of folders with ``itertools.zip_longest``, so
                that the error for a missing frame gives its number. To score all objects as one, as in DAVIS 2016, pass
                ``label_map > 0`` on both sides: its files have 255 for the object, which is void here.

        Raises:
            ValueError: If the metric has the video already, the sides differ in size or number of frames, or the
                prediction breaks a rule of the protocol. Nothing of the video is kept then.
        """
        self._expect_new([video])
        self._videos[video] = self._score(video, frames)

    def compute(self) -> DavisScores:
        """Compute the scores of all videos so far, sorted by name and id."""
        videos = dict(sorted(self._videos.items()))
        per_object = {(name, i): scores for name, video in videos.items() for i, scores in video.objects.items()}
        return DavisScores(
            *mean_scores(per_object.values()),
            per_object=per_object,
            left_out={name: video.left_out for name, video in videos.items() if video.left_out},
            not_scored=tuple(name for name, video in videos.items() if not video.objects),
            never_shown=tuple(key for key, scores in per_object.items() if scores.num_shown == 0),
        )

    @abstractmethod
    def _score(self, video: str, frames: Frames) -> _VideoScores:
        """Score one video."""


class DavisSemiSupervised(DavisMetric):
    """J and F of objects that are given in the first frame: the semi-supervised task (Pont-Tuset et al. 2017).

    The objects are those of the first true frame, with ids from 1 to its highest. Predictions use the same ids. The
    first and the last frame are not scored, and their predictions are not read. Void pixels are background.

    True objects with a higher id, which the first frame does not show, are not scored, as in the official code. The
    scores name them as ``left_out``.
    """

    def _score(self, video: str, frames: Frames) -> _VideoScores:
        ids, shown = range(0), list[set[int]]()
        scored: list[RegionBoundary] = []
        pending: tuple[LabelMap, np.ndarray | None] | None = None  # scored once a later frame exists
        for frame, (true_pixels, pixels) in enumerate(frames):
            truth = _label_map(true_pixels, "true", video, frame)
            if frame == 0:
                ids = _object_ids(truth, video)
                continue
            if pending is not None:
                scored.append(self._score_frame(ids, *pending, video, frame - 1))
                shown.append(set(pending[0].boxes))
            pending = (truth, pixels)
        region, boundary = np.array(scored).reshape(len(scored), 2, len(ids)).transpose(1, 2, 0).copy()
        return _video_scores(ids, shown, region, boundary, ids)

    def _score_frame(
        self, ids: range, truth: LabelMap, pixels: np.ndarray | None, video: str, frame: int
    ) -> RegionBoundary:
        predicted = _predicted_label_map(pixels, truth, video, frame)
        highest = max(predicted.boxes, default=0)
        if highest > len(ids):
            raise ValueError(
                f"Expected predicted ids up to {len(ids)}, the highest of the first true frame, got {highest} "
                f"in {_place(video, frame)}: predict with the ids of the first frame; only the truth has void pixels"
            )
        pairs = label_map_scores(truth, ids, predicted, ids)
        return RegionBoundary(pairs.region.diagonal(), pairs.boundary.diagonal())


class DavisUnsupervised(DavisMetric):
    """J and F of objects that a method finds itself: the unsupervised task (Caelles et al. 2019).

    A video may have up to 20 predicted objects, with any ids. Each true object is assigned one of them, so that the sum
    over the objects of the mean J + F over the frames is the greatest. More predictions than objects cost nothing; with
    fewer, empty predictions are added. All frames are scored. Void pixels are removed from both sides.

    The objects are those of the first true frame, with ids from 1 to its highest. Others are not scored, as in the
    official code, and the scores name them as ``left_out``. The official code lists the scores of a video in the order
    of the predictions, under the names of other objects; here each object has its own.
    """

    def _score(self, video: str, frames: Frames) -> _VideoScores:
        true_ids, shown = range(0), list[set[int]]()
        proposals: set[int] = set()
        scored: list[tuple[list[int], RegionBoundary]] = []
        for frame, (true_pixels, pixels) in enumerate(frames):
            truth = _label_map(true_pixels, "true", video, frame)
            if frame == 0:
                true_ids = _object_ids(truth, video)
            predicted = _predicted_label_map(pixels, truth, video, frame)
            ids = list(predicted.boxes)
            proposals.update(ids)
            if len(proposals) > MAX_PROPOSALS:
                raise ValueError(
                    f"Expected at most {MAX_PROPOSALS} predicted objects in a video, got more up to "
                    f"{_place(video, frame)}: keep the {MAX_PROPOSALS} tracks with the highest score, as the writer of "
                    "DAVIS results does"
                )
            shown.append(set(truth.boxes))
            void = truth.pixels == VOID if VOID in truth.boxes else None
            background = 0  # scored as an object without pixels
            scored.append((ids, label_map_scores(truth, true_ids, predicted, [*ids, background], void)))
        num_objects, num_frames = len(true_ids), max(len(scored), 1)
        names: list[int | None] = [*sorted(proposals), *[None] * (num_objects - len(proposals))]
        region, boundary = _by_proposal(scored, sorted(proposals), len(names), num_objects)
        gain = region.sum(axis=2) / num_frames + boundary.sum(axis=2) / num_frames
        rows, columns = linear_sum_assignment(gain, maximize=True)
        rows = rows[np.argsort(columns)]  # proposal of each true object (N,)
        every = np.arange(num_objects)
        return _video_scores(true_ids, shown, region[rows, every], boundary[rows, every], [names[i] for i in rows])


def _by_proposal(
    frames: list[tuple[list[int], RegionBoundary]], proposals: list[int], num_rows: int, num_objects: int
) -> np.ndarray:
    """Collect J and F of each proposal with each object, (2, ``num_rows``, N, T), from the scores of each frame.

    Proposals that a frame does not show, and rows beyond the proposals, get the scores of an object without pixels,
    which are in the last column of each frame.
    """
    values = np.empty((2, num_rows, num_objects, len(frames)))
    for frame, (ids, scores) in enumerate(frames):
        rows = np.searchsorted(proposals, ids)
        for measure, pairs in zip(values, scores, strict=True):
            measure[:, :, frame] = pairs[:, -1]
            measure[rows, :, frame] = pairs[:, :-1].T
    return values


def _label_map(pixels: np.ndarray | None, side: str, video: str, frame: int) -> LabelMap:
    if pixels is None:
        raise ValueError(
            f"Expected a {side} label map, got none for {_place(video, frame)}: give as many frames on both sides, "
            "with a map of zeros for a frame without objects"
        )
    try:
        return LabelMap(pixels)
    except ValueError as error:
        raise ValueError(f"{error}; it is the {side} one of {_place(video, frame)}") from error


def _predicted_label_map(pixels: np.ndarray | None, truth: LabelMap, video: str, frame: int) -> LabelMap:
    predicted = _label_map(pixels, "predicted", video, frame)
    if predicted.pixels.shape != truth.pixels.shape:
        (height, width), (got_height, got_width) = truth.pixels.shape, predicted.pixels.shape
        raise ValueError(
            f"Expected a predicted label map of {height}×{width} pixels (H×W), got {got_height}×{got_width} in "
            f"{_place(video, frame)}: scale it to the size of the truth, taking the nearest pixel"
        )
    return predicted


def _place(video: str, frame: int) -> str:
    return f"frame {frame} of video '{video}' (counted from 0)"
