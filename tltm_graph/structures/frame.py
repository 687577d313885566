import io
import math
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a video.

    Args:
        image: RGB pixels (3, H, W), uint8.
        index: Position in the video, from 0. Strictly increasing within one video; gaps are dropped frames.
        time: Seconds since the start of the video. Where there is no clock, leave it at 0: frames are counted then.

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
        """What notebooks show."""
        written = io.BytesIO()
        Image.fromarray(self.image.permute(1, 2, 0).cpu().numpy()).save(written, "PNG")
        return written.getvalue()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[1], self.image.shape[2]
