from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

from tltm_graph.frame_pairs.annotated_video import AnnotatedVideo
from tltm_graph.frame_pairs.draws import chance, integer
from tltm_graph.frame_pairs.hallucinated_motion import HallucinatedMotion
from tltm_graph.structures import Detections, Frame, FramePair


class PairSource(Protocol):
    """Frame pairs by the frame they start from."""

    def __len__(self) -> int:
        """Number of start frames."""
        ...

    def pair(self, start: int, generator: torch.Generator) -> FramePair:
        """A pair.

        Args:
            start: Number of the start frame, from 0 to ``len(self) - 1``.
            generator: Where every random number comes from: the same state gives the same pair.
        """
        ...


def read_annotated(video: AnnotatedVideo, index: int) -> tuple[Frame, Detections]:
    """Picture and truth of an annotated frame, which have to fit each other.

    Raises:
        ValueError: If objects have no masks or ids, or the masks another size than the picture.
    """
    frame, truth = video.frame(index), video.truth(index)
    if len(truth) and (truth.masks is None or truth.ids is None):
        raise ValueError(
            f"Expected objects with masks and ids to train on, got {truth!r} in frame {index} of {video!r}"
        )
    if truth.masks is not None and tuple(truth.masks.shape[1:]) != frame.size:
        raise ValueError(
            f"Expected masks of {frame.size[0]}×{frame.size[1]} pixels (H×W) like the picture, got "
            f"{tuple(truth.masks.shape[1:])} in frame {index} of {video!r}"
        )
    return frame, truth


class VideoPairs:
    """Two annotated frames of one video, the current one always the later.

    Every annotated frame but the last of a video starts pairs. The current frame is drawn from the next ``max_gap``
    annotated ones, each as likely (3 in the released code of arXiv 2210.16795); with probability
    ``wide_probability`` from the next ``wide_gap``, for objects that come back. Where the video ends before, from
    those that are left. Frames without objects are ordinary.

    Args:
        videos: Those of fewer than two annotated frames give no pairs; :attr:`num_without_pairs` counts them.
        max_gap: Farthest current frame, in annotated frames.
        wide_gap: Farthest current frame in the wide range.
        wide_probability: How often the wide range is drawn from.

    Raises:
        ValueError: If an option is out of range, or no video has two annotated frames. When a pair is asked for: if
            its frames differ in size.
    """

    def __init__(
        self,
        videos: Sequence[AnnotatedVideo],
        max_gap: int = 3,
        wide_gap: int = 20,
        wide_probability: float = 0.1,
    ) -> None:
        if not 1 <= max_gap <= wide_gap:
            raise ValueError(f"Expected 1 <= max_gap <= wide_gap, got {max_gap} and {wide_gap}")
        if not 0 <= wide_probability <= 1:
            raise ValueError(f"Expected wide_probability in [0, 1], got {wide_probability}")
        self.videos = tuple(videos)
        self.max_gap = max_gap
        self.wide_gap = wide_gap
        self.wide_probability = wide_probability
        self._ends = list(accumulate(max(0, len(video) - 1) for video in self.videos))
        if not len(self):
            raise ValueError(
                f"Expected videos of at least two annotated frames to draw pairs from, got none among "
                f"{len(self.videos)}: StillPairs makes pairs of single frames"
            )

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def num_without_pairs(self) -> int:
        """Videos of fewer than two annotated frames."""
        return sum(len(video) < 2 for video in self.videos)

    def pair(self, start: int, generator: torch.Generator) -> FramePair:
        """See :class:`PairSource`."""
        if not 0 <= start < len(self):
            raise IndexError(f"Expected a start frame from 0 to {len(self) - 1}, got {start}")
        number = bisect_right(self._ends, start)
        video = self.videos[number]
        first = start - self._ends[number] + len(video) - 1
        farthest = self.wide_gap if chance(generator, self.wide_probability) else self.max_gap
        second = first + integer(generator, 1, min(farthest, len(video) - 1 - first))
        previous, previous_truth = read_annotated(video, first)
        current, current_truth = read_annotated(video, second)
        if previous.size != current.size:
            raise ValueError(
                f"Expected all frames of {video!r} of one size (H, W), got {previous.size} in frame {previous.index} "
                f"and {current.size} in frame {current.index}"
            )
        return FramePair(previous.image, current.image, previous_truth, current_truth)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self.videos)} videos, {len(self)} start frames, max_gap={self.max_gap}, "
            f"wide_gap={self.wide_gap}, wide_probability={self.wide_probability})"
        )


Motion = Callable[[Tensor, Detections, torch.Generator], tuple[Tensor, Detections]]
"""Makes a later frame from a picture (3, H, W) and its truth."""


class StillPairs:
    """Pairs of a still image and the same image after a made-up motion, so that data sets of images teach tracking.

    The previous frame is the image as it is. Objects that leave the picture are missing in the current one, which may
    be left with none; so may be the image itself.

    Args:
        images: Videos of one annotated frame; of longer ones every annotated frame is an image.
        motion: Makes the current frame; that of the paper by default.

    Raises:
        ValueError: If there are no images.
    """

    def __init__(self, images: Sequence[AnnotatedVideo], motion: Motion | None = None) -> None:
        self.videos = tuple(images)
        self.motion = HallucinatedMotion() if motion is None else motion
        self._places = [(video, index) for video in self.videos for index in range(len(video))]
        if not self._places:
            raise ValueError(f"Expected still images to make pairs of, got none in {len(self.videos)} videos")

    def __len__(self) -> int:
        return len(self._places)

    def pair(self, start: int, generator: torch.Generator) -> FramePair:
        """See :class:`PairSource`."""
        if not 0 <= start < len(self):
            raise IndexError(f"Expected a start frame from 0 to {len(self) - 1}, got {start}")
        frame, truth = read_annotated(*self._places[start])
        image, moved = self.motion(frame.image, truth, generator)
        return FramePair(frame.image, image, truth, moved)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images, {self.motion!r})"
