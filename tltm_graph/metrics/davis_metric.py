from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from tltm_graph.formats.davis import VOID
from tltm_graph.metrics.davis_scores import DavisObjectScores, DavisScores, davis_statistics, mean_scores
from tltm_graph.metrics.label_map import LabelMap
from tltm_graph.metrics.metric import Metric

Frames = Iterable[tuple[np.ndarray | None, np.ndarray | None]]
"""A true and a predicted label map (H, W) for each frame of a video; None for one that is not there."""


@dataclass(frozen=True, eq=False)
class VideoScores:
    """What is kept of a video.

    Args:
        objects: Scores by id; none where there is no object or no frame to score.
        left_out: True ids above the highest of the first frame.
    """

    objects: dict[int, DavisObjectScores]
    left_out: tuple[int, ...]


class TrueObjects:
    """The objects of a video that count, and which frames show them."""

    def __init__(self, video: str) -> None:
        self.video = video
        self.ids = range(0)
        self._num_shown = np.zeros(0, dtype=np.int64)
        self._late: set[int] = set()

    def begin(self, truth: LabelMap) -> None:
        """The first frame says which objects there are."""
        highest = max((i for i in truth.boxes if i != VOID), default=0)
        if highest > VOID:
            raise ValueError(
                f"Expected true ids below {VOID}, got {highest} in {where(self.video, 0)}: number objects 1, 2, …"
            )
        self.ids = range(1, highest + 1)
        self._num_shown = np.zeros(len(self.ids), dtype=np.int64)

    def see(self, truth: LabelMap) -> None:
        """A frame that is scored."""
        self._num_shown += np.array([i in truth.boxes for i in self.ids], dtype=np.int64)
        self._late.update(i for i in truth.boxes if i > len(self.ids) and i != VOID)

    def scores(self, region: np.ndarray, boundary: np.ndarray, predicted: Sequence[int | None]) -> VideoScores:
        """From J and F (N, T) and the prediction of each object; of no objects where there are no frames."""
        rows = zip(self.ids, region, boundary, predicted, self._num_shown.tolist(), strict=True)
        return VideoScores(
            {
                i: DavisObjectScores(*davis_statistics(j), *davis_statistics(f), J=j, F=f, predicted_id=p, num_shown=n)
                for i, j, f, p, n in (rows if region.size else ())
            },
            tuple(sorted(self._late)),
        )


class DavisMetric(Metric):
    """What both protocols share: videos, each once, and the means over their objects."""

    def __init__(self) -> None:
        self._videos: dict[str, VideoScores] = {}

    def update(self, video: str, frames: Frames) -> None:
        """Takes in one video, a frame at a time; what is kept of it is J and F of each object and frame.

        Args:
            video: Its name.
            frames: Pairs of a true and a predicted label map in order, integers (H, W): 0 for background, the id of an
                object elsewhere, 255 in the truth for void. Pair folders with ``itertools.zip_longest``: then a missing
                frame is None, and told by its number. For the score of all objects as one, as in DAVIS 2016, pass
                ``label_map > 0`` on both sides: files of DAVIS 2016 whose objects are 255 would be all void here.

        Raises:
            ValueError: If the video was given before, sides differ in size or in number of frames, or the prediction
                breaks the rules of the protocol. Nothing of the video is kept then.
        """
        self._check_new([video])
        self._videos[video] = self._score(video, frames)

    def merge(self, other: Self) -> None:
        """Takes in all that ``other`` was fed.

        Raises:
            ValueError: If both were fed the same video.
        """
        self._check_new(other._videos)
        self._videos.update(other._videos)

    def compute(self) -> DavisScores:
        """The scores of all videos so far, ordered by name and id."""
        videos = dict(sorted(self._videos.items()))
        per_object = {(name, i): scores for name, video in videos.items() for i, scores in video.objects.items()}
        return DavisScores(
            *mean_scores(per_object.values()),
            per_object=per_object,
            left_out={name: video.left_out for name, video in videos.items() if video.left_out},
            not_scored=tuple(name for name, video in videos.items() if not video.objects),
            never_shown=tuple(key for key, scores in per_object.items() if scores.num_shown == 0),
        )

    def reset(self) -> None:
        """Forgets everything."""
        self._videos = {}

    def _check_new(self, videos: Iterable[str]) -> None:
        twice = next((video for video in videos if video in self._videos), None)
        if twice is not None:
            raise ValueError(f"Expected each video once, got '{twice}' twice: reset the metric to score it anew")

    @abstractmethod
    def _score(self, video: str, frames: Frames) -> VideoScores:
        """The scores of one video."""


def true_map(pixels: np.ndarray | None, video: str, frame: int) -> LabelMap:
    """A true label map, checked."""
    return _label_map(pixels, "true", video, frame)


def predicted_map(pixels: np.ndarray | None, truth: LabelMap, video: str, frame: int) -> LabelMap:
    """A predicted label map, checked to be as large as the true one."""
    predicted = _label_map(pixels, "predicted", video, frame)
    if predicted.pixels.shape != truth.pixels.shape:
        expected, got = ("×".join(map(str, m.pixels.shape)) for m in (truth, predicted))
        raise ValueError(
            f"Expected a predicted label map of {expected} pixels (H×W), got {got} in {where(video, frame)}: scale it "
            "to the size of the truth, taking the nearest pixel"
        )
    return predicted


def _label_map(pixels: np.ndarray | None, side: str, video: str, frame: int) -> LabelMap:
    if pixels is None:
        raise ValueError(
            f"Expected a {side} label map, got none for {where(video, frame)}: both sides have as many frames; one "
            "without objects is a map of zeros"
        )
    try:
        return LabelMap(pixels)
    except ValueError as error:
        raise ValueError(f"{error}; it is the {side} one of {where(video, frame)}") from error


def where(video: str, frame: int) -> str:
    """The place of an error."""
    return f"frame {frame} of video '{video}' (counted from 0)"
