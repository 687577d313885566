from dataclasses import dataclass
from functools import partial

import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor
from torchvision.transforms import InterpolationMode

from tltm_graph.data.pairs.change_both import change_both
from tltm_graph.data.pairs.draws import integer
from tltm_graph.structures import FramePair


@dataclass(frozen=True)
class ResizePair:
    """Both frames at one size, their shorter side drawn from a list; the longer one follows in proportion.

    Images by the antialiased bilinear filter, masks by the nearest pixel. Defaults are those of arXiv 2210.16795.

    Args:
        min_sizes: Lengths of the shorter side in pixels, each as likely.
        max_size: Greatest length of the longer side, which bounds the shorter one too.

    Raises:
        ValueError: If there is no length, or one that is not from 1 to below ``max_size``.
    """

    min_sizes: tuple[int, ...] = (640, 672, 704, 736, 768, 800)
    max_size: int = 1333

    def __post_init__(self) -> None:
        if not self.min_sizes or not 1 <= min(self.min_sizes) <= max(self.min_sizes) < self.max_size:
            raise ValueError(
                f"Expected lengths of the shorter side from 1 to below max_size={self.max_size}, got {self.min_sizes}"
            )

    def __call__(self, pair: FramePair, generator: torch.Generator) -> FramePair:
        """The pair at a size that was drawn."""
        shorter = self.min_sizes[integer(generator, 0, len(self.min_sizes) - 1)]
        resize = partial(F.resize, size=[shorter], max_size=self.max_size)

        def nearest(masks: Tensor) -> Tensor:
            return resize(masks.to(torch.uint8), interpolation=InterpolationMode.NEAREST_EXACT).bool()

        return change_both(pair, resize, nearest)
