from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tltm_graph.data.pairs.annotated_video import AnnotatedVideo
from tltm_graph.data.pairs.hallucinated_motion import HallucinatedMotion
from tltm_graph.data.pairs.pair_source import read_annotated
from tltm_graph.structures import Detections, FramePair

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
