"""Datasets of frame pairs: from videos, from still images, and the endless shuffled stream of several of them."""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import Tensor
from torch.utils.data import Dataset

from tltm_graph.frame_pairs.annotated_video import AnnotatedVideo
from tltm_graph.frame_pairs.hallucinated_motion import HallucinatedMotion
from tltm_graph.frame_pairs.sampling import Permutation, chance, integer, seeded_generator
from tltm_graph.structures import Detections, Frame, FramePair

PairTransform = Callable[[FramePair, torch.Generator], FramePair]
"""Function that changes a pair, with random numbers from the generator."""

HallucinateFrame = Callable[[Tensor, Detections, torch.Generator], tuple[Tensor, Detections]]
"""Function that makes a later frame from a picture (3, H, W) and its objects."""

_EPOCH, _PASS, _ITEM = range(3)  # keeps seeds of different purposes apart


class PairDataset(Dataset[FramePair], ABC):
    """Dataset of frame pairs with one item for each start frame.

    Item k is the pair that starts at frame k, drawn with a generator that is seeded by k. :class:`PairStream` draws
    another pair from each start frame in every pass.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of start frames."""

    @abstractmethod
    def pair(self, start: int, generator: torch.Generator) -> FramePair:
        """Draw a pair.

        Args:
            start: Number of the start frame, from 0 to ``len(self) - 1``.
            generator: Source of all random numbers: the same state gives the same pair.

        Raises:
            IndexError: If there is no such start frame.
        """

    def __getitem__(self, start: int) -> FramePair:
        return self.pair(start, seeded_generator(start))

    def _check_start(self, start: int) -> None:
        if not 0 <= start < len(self):
            raise IndexError(f"Expected a start frame from 0 to {len(self) - 1}, got {start}")


def _read_annotated(video: AnnotatedVideo, index: int) -> tuple[Frame, Detections]:
    """Read picture and ground truth of an annotated frame and check that they fit."""
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


class VideoPairs(PairDataset):
    """Pairs of two annotated frames of one video, in order of time.

    Every annotated frame but the last of a video is a start frame. The current frame is one of the next ``max_gap``
    annotated frames, all equally likely (3 in the released code of arXiv 2210.16795). With probability
    ``wide_probability`` it is one of the next ``wide_gap``, to train re-identification. Near the end of a video the
    range is shorter. Frames without objects are included.

    Args:
        videos: Videos of any length. Those with fewer than two annotated frames give no pairs and are counted in
            :attr:`num_without_pairs`.
        max_gap: Largest distance between the two frames, in annotated frames.
        wide_gap: Largest distance in the wide range, in annotated frames.
        wide_probability: Probability of the wide range.

    Raises:
        ValueError: If an argument is out of range, or no video has two annotated frames. When a pair is read: if its
            frames differ in size.
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
                f"{len(self.videos)}: use StillPairs for single frames"
            )

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def num_without_pairs(self) -> int:
        """Number of videos with fewer than two annotated frames."""
        return sum(len(video) < 2 for video in self.videos)

    def pair(self, start: int, generator: torch.Generator) -> FramePair:
        """Draw a pair, see :meth:`PairDataset.pair`."""
        self._check_start(start)
        number = bisect_right(self._ends, start)
        video = self.videos[number]
        first = start - self._ends[number] + len(video) - 1
        gap = self.wide_gap if chance(generator, self.wide_probability) else self.max_gap
        second = first + integer(generator, 1, min(gap, len(video) - 1 - first))
        previous, previous_truth = _read_annotated(video, first)
        current, current_truth = _read_annotated(video, second)
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


class StillPairs(PairDataset):
    """Pairs of a still image and the same image after a hallucinated motion, to train tracking on image data sets.

    The previous frame is the image itself. Objects that leave the picture are missing in the current frame, which may
    show none. Images without objects are included.

    Args:
        images: Videos of one annotated frame. Of longer videos every annotated frame is used as an image.
        motion: Function that makes the current frame, by default :class:`HallucinatedMotion` with the published ranges.

    Raises:
        ValueError: If there are no images.
    """

    def __init__(self, images: Sequence[AnnotatedVideo], motion: HallucinateFrame | None = None) -> None:
        self.videos = tuple(images)
        self.motion = HallucinatedMotion() if motion is None else motion
        self._places = [(video, index) for video in self.videos for index in range(len(video))]
        if not self._places:
            raise ValueError(f"Expected still images to make pairs of, got none in {len(self.videos)} videos")

    def __len__(self) -> int:
        return len(self._places)

    def pair(self, start: int, generator: torch.Generator) -> FramePair:
        """Draw a pair, see :meth:`PairDataset.pair`."""
        self._check_start(start)
        frame, truth = _read_annotated(*self._places[start])
        image, moved = self.motion(frame.image, truth, generator)
        return FramePair(frame.image, image, truth, moved)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images, {self.motion!r})"


class PairStream(Dataset[FramePair]):
    """Endless shuffled stream of the pairs of several datasets, with direct access to every item.

    Item k depends only on (seed, k): it is the same for any number of workers and processes, and in a resumed run. A
    loader gets the item numbers as its sampler, a process every ``num_processes``-th of them::

        DataLoader(stream, batch_size=2, sampler=range(first, last), collate_fn=list, num_workers=4)

    An epoch draws ``repeat`` × length pairs from each source, in shuffled order. Passes through a source have different
    orders and continue across epochs. So at any time, also with fractional factors, no start frame of a source has been
    drawn more than once more often than another.

    Args:
        sources: Datasets of pairs.
        repeat: Number of passes through each source per epoch, at least 0; by default 1. The released code of
            arXiv 2210.16795 uses 8 for videos and 1 for images.
        transforms: Transforms of every pair, in this order.
        seed: Seed of the order and of all random draws.

    Raises:
        ValueError: If there are no sources or no pairs, or the numbers of factors and sources differ.
    """

    def __init__(
        self,
        sources: Sequence[PairDataset],
        repeat: Sequence[float] | None = None,
        transforms: Sequence[PairTransform] = (),
        seed: int = 0,
    ) -> None:
        self.sources = tuple(sources)
        self.repeat = (1.0,) * len(self.sources) if repeat is None else tuple(repeat)
        self.transforms = tuple(transforms)
        self.seed = seed
        if len(self.repeat) != len(self.sources) or not all(0 <= factor < float("inf") for factor in self.repeat):
            raise ValueError(
                f"Expected a factor of at least 0 for each of {len(self.sources)} sources, got {self.repeat}"
            )
        counts = [round(factor * len(source)) for factor, source in zip(self.repeat, self.sources, strict=True)]
        self._ends = list(accumulate(counts))
        if not len(self):
            raise ValueError(f"Expected pairs to learn from, got none in {len(self.sources)} sources: {self.sources}")

    def __len__(self) -> int:
        """Return the number of pairs per epoch. Items continue beyond it."""
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> FramePair:
        """Return item ``index`` ≥ 0 of the stream."""
        source, start = self.place(index)
        generator = seeded_generator(self.seed, _ITEM, index)
        pair = self.sources[source].pair(start, generator)
        for transform in self.transforms:
            pair = transform(pair, generator)
        return pair

    def place(self, index: int) -> tuple[int, int]:
        """Compute the source and the start frame of an item.

        Raises:
            IndexError: If ``index`` is negative.
        """
        if index < 0:
            raise IndexError(f"Expected items counted from 0, got {index}")
        epoch, position = divmod(index, len(self))
        slot = Permutation(len(self), self.seed, _EPOCH, epoch)[position]
        number = bisect_right(self._ends, slot)
        begin = self._ends[number - 1] if number else 0
        draws = epoch * (self._ends[number] - begin) + slot - begin  # earlier draws from this source, in slot order
        length = len(self.sources[number])
        pass_number, position = divmod(draws, length)
        return number, Permutation(length, self.seed, _PASS, number, pass_number)[position]

    def __repr__(self) -> str:
        parts = ", ".join(f"{factor:g} × {source!r}" for factor, source in zip(self.repeat, self.sources, strict=True))
        return f"{type(self).__name__}([{parts}], transforms={list(self.transforms)}, seed={self.seed})"
