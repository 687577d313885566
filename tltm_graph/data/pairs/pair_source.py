from typing import Protocol

import torch

from tltm_graph.data.pairs.annotated_video import AnnotatedVideo
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
