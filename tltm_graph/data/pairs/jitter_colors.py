from dataclasses import dataclass

import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor

from tltm_graph.data.pairs.change_both import change_both
from tltm_graph.data.pairs.draws import chance, uniform
from tltm_graph.structures import FramePair


@dataclass(frozen=True)
class JitterColors:
    """Both frames in the same other light, as :class:`torchvision.transforms.v2.ColorJitter` makes it.

    Args:
        probability: How often; otherwise the pair stays as it was.
        brightness, contrast, saturation: Each is multiplied by a factor from [1 - value, 1 + value].
        hue: Farthest turn of the hue, in full turns.

    Raises:
        ValueError: If a value is out of range.
    """

    probability: float = 0.5
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.02

    def __post_init__(self) -> None:
        for name, most in (("probability", 1), ("brightness", 1), ("contrast", 1), ("saturation", 1), ("hue", 0.5)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"Expected {name} in [0, {most}], got {getattr(self, name)}")

    def __call__(self, pair: FramePair, generator: torch.Generator) -> FramePair:
        """The pair in the light that was drawn."""
        jittered = chance(generator, self.probability)
        brightness, contrast, saturation = (
            uniform(generator, 1 - value, 1 + value) for value in (self.brightness, self.contrast, self.saturation)
        )
        hue = uniform(generator, -self.hue, self.hue)

        def relit(images: Tensor) -> Tensor:
            images = F.adjust_contrast(F.adjust_brightness(images, brightness), contrast)
            return F.adjust_hue(F.adjust_saturation(images, saturation), hue)

        return change_both(pair, relit) if jittered else pair
