from dataclasses import dataclass

import torch
from torch import Tensor

from tltm_graph.data.pairs.change_both import change_both
from tltm_graph.data.pairs.draws import chance, integer, uniform
from tltm_graph.structures import FramePair


@dataclass(frozen=True)
class CropPair:
    """The same window of both frames; with :class:`ResizePair` behind it, objects come at other scales.

    Objects outside the window are dropped, boxes are made anew from what is left of the masks.

    Args:
        probability: How often; otherwise the pair stays as it was.
        scale: Least and greatest side of the window, as a share of that of the image; both sides by the same share.

    Raises:
        ValueError: If a value is out of range.
    """

    probability: float = 0.5
    scale: tuple[float, float] = (0.6, 1.0)

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"Expected probability in [0, 1], got {self.probability}")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"Expected scale as (least, greatest) above 0 and at most 1, got {self.scale}")

    def __call__(self, pair: FramePair, generator: torch.Generator) -> FramePair:
        """The window that was drawn."""
        cropped, scale = chance(generator, self.probability), uniform(generator, *self.scale)
        size = pair.current_image.shape[1:]
        height, width = (max(1, round(scale * side)) for side in size)
        top, left = integer(generator, 0, size[0] - height), integer(generator, 0, size[1] - width)

        def window(pixels: Tensor) -> Tensor:
            return pixels[..., top : top + height, left : left + width]

        return change_both(pair, window, window) if cropped else pair
