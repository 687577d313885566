import io
import math
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from tltm_graph.structures.detections import Detections


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a video.

    Args:
        image: RGB pixels (3, H, W), uint8.
        index: Position in the video, counted from 0. Strictly increasing within a video; gaps are dropped frames.
        time: Seconds since the start of the video. Leave it at 0 if there is no clock: a tracker then counts frames.

    Raises:
        ValueError: If a field has another type, shape or range.
    """

    image: Tensor
    index: int
    time: float = 0.0

    def __post_init__(self) -> None:
        if (
            self.image.ndim != 3
            or self.image.shape[0] != 3
            or self.image.dtype != torch.uint8
            or not self.image.numel()
        ):
            raise ValueError(
                f"Expected 'image' of shape (3, H, W) and type uint8 in RGB order, "
                f"got {tuple(self.image.shape)} and {self.image.dtype}"
            )
        if self.index < 0:
            raise ValueError(f"Expected 'index' counted from 0, got {self.index}")
        if not math.isfinite(self.time):
            raise ValueError(f"Expected 'time' in seconds, got {self.time}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(index={self.index}, time={self.time:g}, size={self.size})"

    def _repr_png_(self) -> bytes:
        """Encode the image as PNG, for notebooks."""
        png = io.BytesIO()
        Image.fromarray(self.image.permute(1, 2, 0).cpu().numpy()).save(png, "PNG")
        return png.getvalue()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[1], self.image.shape[2]


@dataclass(frozen=True, eq=False)
class FramePair:
    """Two frames of one video with their ground truth, as training data.

    Args:
        previous_image: RGB pixels of the earlier frame (3, H, W), uint8.
        current_image: RGB pixels of the later frame (3, H, W), uint8.
        previous: Ground truth of the earlier frame, with ``masks (N, H, W)`` and ``ids (N,)``. Equal ids in both
            frames are the same object.
        current: Ground truth of the later frame, with masks and ids.

    Raises:
        ValueError: If an image has another type or shape, the sizes differ, or masks or ids are missing.
    """

    previous_image: Tensor
    current_image: Tensor
    previous: Detections
    current: Detections

    def __post_init__(self) -> None:
        for name in ("previous_image", "current_image"):
            image: Tensor = getattr(self, name)
            if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape or image.dtype != torch.uint8:
                raise ValueError(
                    f"Expected '{name}' of shape (3, H, W) and type uint8, got {tuple(image.shape)} and {image.dtype}"
                )
        if self.previous_image.shape != self.current_image.shape:
            raise ValueError(
                f"Expected two images of equal size, got {tuple(self.previous_image.shape)} and "
                f"{tuple(self.current_image.shape)}"
            )
        size = tuple(self.current_image.shape[1:])
        for name in ("previous", "current"):
            truth: Detections = getattr(self, name)
            if len(truth) and (truth.masks is None or truth.ids is None):
                raise ValueError(f"Expected the objects of the {name} frame with masks and ids, got {truth!r}")
            if truth.masks is not None and truth.masks.shape[1:] != size:
                raise ValueError(f"Expected masks of the image size {size}, got {tuple(truth.masks.shape[1:])}")
