from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, Self, TypeVar

import torch.distributed as dist

from tltm_graph.metrics.overlap import FrameOverlap


class Metric(ABC):
    """A score over many videos that is updated one video at a time and merges over processes.

    As in torchmetrics: ``update(...)`` for each video, ``compute()`` at the end, ``reset()`` to start again. ``merge``
    joins two metrics in any order; ``sync`` joins those of all processes of a ``torch.distributed`` group. A metric
    keeps a few numbers of each video, never its masks.
    """

    @abstractmethod
    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add one video."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add all videos of ``other``."""

    @abstractmethod
    def compute(self) -> Any:
        """Compute the scores of all videos so far."""

    @abstractmethod
    def reset(self) -> None:
        """Remove all videos."""

    def sync(self) -> None:
        """Give every process the videos of all processes. Without a process group nothing happens.

        Raises:
            ValueError: If two processes have the same video, for example because a sampler pads their parts to one
                length. The metric is unchanged then.
        """
        if not (dist.is_available() and dist.is_initialized()):
            return
        metrics: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(metrics, self)
        first, *others = metrics
        for other in others:
            first.merge(other)
        self.reset()
        self.merge(first)


Video = TypeVar("Video")


class VideoMetric(Metric, Generic[Video]):
    """Base of metrics that keep one value of each video, by its name or number.

    Metrics with equal ``repr`` have equal settings.
    """

    def __init__(self) -> None:
        self.reset()

    def merge(self, other: Self) -> None:
        """Add all videos of ``other``.

        Raises:
            ValueError: If both have the same video, or their settings differ.
        """
        if repr(other) != repr(self):
            raise ValueError(f"Expected to merge with another {self!r}, got {other!r}")
        self._expect_new(other._videos)
        self._videos.update(other._videos)

    def reset(self) -> None:
        """Remove all videos."""
        self._videos: dict[Any, Video] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def _expect_new(self, videos: Iterable[Any]) -> None:
        for video in videos:
            if video in self._videos:
                raise ValueError(f"Expected each video once in {self!r}, got {video!r} twice: name videos differently")


@dataclass(frozen=True)
class Sums(ABC):
    """Counts and sums of one video or of several, from which scores are computed. ``+`` adds field by field."""

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @abstractmethod
    def named(self) -> dict[str, float]:
        """Return the scores by official name, shares in [0, 1]."""


Counts = TypeVar("Counts", bound=Sums)


class TrackingMetric(VideoMetric[Counts]):
    """Base of the tracking metrics: count in each video, add the counts of all videos, then divide.

    A long video therefore weighs more than a short one, as in the official codes, which do not average the scores of
    videos. The order of updates and merges does not change a bit of the result.
    """

    @abstractmethod
    def _count(self, frames: Iterable[FrameOverlap]) -> Counts:
        """Count in one video, given all its frames in order. Without frames all counts are zero."""

    def update(self, video: str, frames: Iterable[FrameOverlap]) -> None:
        """Add one video.

        Args:
            video: Name of the video.
            frames: All its frames in order, including those without objects. Iterated once.

        Raises:
            ValueError: If the metric has the video already. Then, and whenever ``frames`` raises, it is unchanged.
        """
        self._expect_new([video])
        self._videos[video] = self._count(frames)

    def compute(self) -> Counts:
        """Compute the scores of all videos together."""
        return sum(self.per_video().values(), self._count(()))

    def per_video(self) -> dict[str, Counts]:
        """Return the scores of each video, sorted by name."""
        return {video: self._videos[video] for video in sorted(self._videos)}


def update_together(metrics: Sequence[TrackingMetric[Any]], video: str, frames: Iterable[FrameOverlap]) -> None:
    """Update several metrics in one pass over a video, either all of them or none; see :meth:`TrackingMetric.update`.

    The overlaps of the whole video are in memory meanwhile: a few hundred bytes for each pair of objects in a frame.
    """
    for metric in metrics:
        metric._expect_new([video])
    overlaps = tuple(frames)
    counts = [metric._count(overlaps) for metric in metrics]
    for metric, count in zip(metrics, counts, strict=True):
        metric._videos[video] = count
