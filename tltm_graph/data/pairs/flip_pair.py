from dataclasses import dataclass

import torch
from torch import Tensor

from tltm_graph.data.pairs.change_both import change_both
from tltm_graph.data.pairs.draws import chance
from tltm_graph.structures import FramePair


@dataclass(frozen=True)
class FlipPair:
    """Both frames of a pair seen in a mirror, or neither.

    Args:
        probability: How often.

    Raises:
        ValueError: If the probability is not in [0, 1].
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"Expected probability in [0, 1], got {self.probability}")

    def __call__(self, pair: FramePair, generator: torch.Generator) -> FramePair:
        """The pair, mirrored or as it was."""
        if not chance(generator, self.probability):
            return pair
        return change_both(pair, _mirrored, _mirrored)


def _mirrored(pixels: Tensor) -> Tensor:
    return pixels.flip(-1)
