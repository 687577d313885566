from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import torch

from tltm_graph.data.pairs.annotated_video import AnnotatedVideo
from tltm_graph.data.pairs.draws import chance, integer
from tltm_graph.data.pairs.pair_source import read_annotated
from tltm_graph.structures import FramePair


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
