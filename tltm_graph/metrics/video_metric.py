from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, Self, TypeVar

from tltm_graph.metrics.metric import Metric
from tltm_graph.metrics.overlap import FrameOverlap


@dataclass(frozen=True)
class Sums:
    """Counts of one video or of many: all that scores are made of, added field by field."""

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def named(self) -> dict[str, float]:
        """The scores under the names that the benchmark prints, shares in [0, 1]."""
        raise NotImplementedError


Scores = TypeVar("Scores", bound=Sums)


class VideoMetric(Metric, Generic[Scores]):
    """A metric of identities: counts within each video, adds the counts over the videos, then takes the shares.

    So a long video weighs more than a short one, as in the benchmarks, where the scores of the videos are not averaged.
    The order in which videos come, or parts are merged, does not change a bit of the result.
    """

    def __init__(self) -> None:
        self._videos: dict[str, Scores] = {}

    @abstractmethod
    def _count(self, frames: Iterable[FrameOverlap]) -> Scores:
        """The counts of one video, all its frames in order; of no frames, all zero."""

    def update(self, video: str, frames: Iterable[FrameOverlap]) -> None:
        """Takes in one video.

        Args:
            video: Its name.
            frames: All its frames in order, also those in which nothing is; passed over once.

        Raises:
            ValueError: If the video was taken in before. Then, and whenever ``frames`` raises, nothing has changed.
        """
        self._expect_new([video])
        self._videos[video] = self._count(frames)

    def merge(self, other: Self) -> None:
        """Takes in all the videos of ``other``.

        Raises:
            ValueError: If both saw one video, or they are set up differently.
        """
        if repr(other) != repr(self):
            raise ValueError(f"Expected to merge with another {self!r}, got {other!r}")
        self._expect_new(other._videos)
        self._videos.update(other._videos)

    def compute(self) -> Scores:
        """The scores of all videos together."""
        return sum((self._videos[video] for video in sorted(self._videos)), self._count(()))

    def per_video(self) -> dict[str, Scores]:
        """The scores of each video, in the order of the names."""
        return {video: self._videos[video] for video in sorted(self._videos)}

    def reset(self) -> None:
        """Forgets everything."""
        self._videos = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def _expect_new(self, videos: Iterable[str]) -> None:
        for video in videos:
            if video in self._videos:
                raise ValueError(f"Expected each video once in {self!r}, got '{video}' twice: name videos differently")


def update_together(metrics: Sequence[VideoMetric[Any]], video: str, frames: Iterable[FrameOverlap]) -> None:
    """Feeds several metrics from one pass over the frames of a video; all of them take it in, or none.

    The overlaps of the whole video are held meanwhile. That is a few hundred bytes for each pair of objects that share
    a frame, and no masks.

    Raises:
        ValueError: If one of the metrics has seen the video before.
    """
    for metric in metrics:
        metric._expect_new([video])
    kept = tuple(frames)
    counts = [metric._count(kept) for metric in metrics]
    for metric, count in zip(metrics, counts, strict=True):
        metric._videos[video] = count
