"""Degraded frames: blur, darkness, compression and occlusion, as they occur in videos."""

import io
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tltm_graph.frame_pairs.hallucinated_motion import motion_blur, motion_kernel
from tltm_graph.frame_pairs.sampling import integer, uniform


def blur_by_motion(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Blur along a line of random direction, of 2 % to 7 % of the shorter side."""
    length = 2 * round((0.02 + 0.05 * strength) * _side(image) / 2) + 1
    return motion_blur(image, motion_kernel(max(3, length), uniform(generator, 0.0, 360.0)))


def defocus(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Blur with a disc whose radius is 0.8 % to 3 % of the shorter side."""
    radius = max(1.0, (0.008 + 0.022 * strength) * _side(image))
    reach = int(radius) + 1
    axis = torch.arange(-reach, reach + 1)
    kernel = (radius + 0.5 - (axis[:, None] ** 2 + axis[None] ** 2).sqrt()).clamp(0, 1)
    return motion_blur(image, kernel / kernel.sum())


def darken(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Reduce the light to 35 % to 8 %, with the noise of a sensor of 4 to 9 grey levels."""
    factor, noise = 0.35 - 0.27 * strength, 4 + 5 * strength
    values = image * factor + noise * torch.randn(image.shape, generator=generator)
    return values.round_().clamp_(0, 255).to(torch.uint8)


def compress(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Compress as JPEG of quality 16 to 2."""
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=round(16 - 14 * strength))
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)


def occlude(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Cover a random rectangle, of 35 % to 60 % of both sides, with a random colour and noise."""
    share = 0.35 + 0.25 * strength
    sides = [max(1, round(share * side * uniform(generator, 0.85, 1.15))) for side in image.shape[1:]]
    top, left = (integer(generator, 0, max(0, side - part)) for side, part in zip(image.shape[1:], sides, strict=True))
    window = image[:, top : top + sides[0], left : left + sides[1]]
    colour = 255 * torch.rand((3, 1, 1), generator=generator)
    values = colour + 25 * torch.randn(window.shape, generator=generator)
    occluded = image.clone()
    occluded[:, top : top + sides[0], left : left + sides[1]] = values.clamp_(0, 255).to(torch.uint8)
    return occluded


DEGRADATIONS: dict[str, Callable[[Tensor, float, torch.Generator], Tensor]] = {
    "motion blur": blur_by_motion,
    "defocus": defocus,
    "dark": darken,
    "compressed": compress,
    "occluded": occlude,
}
"""Degradations of an RGB image (3, H, W), uint8, by name. The second argument is the strength in [0, 1]."""


def degrade(image: Tensor, generator: torch.Generator) -> Tensor:
    """Degrade an RGB image (3, H, W), uint8, in a random way and strength."""
    function = list(DEGRADATIONS.values())[integer(generator, 0, len(DEGRADATIONS) - 1)]
    return function(image, uniform(generator, 0.0, 1.0), generator)


def _side(image: Tensor) -> int:
    return min(image.shape[1:])
