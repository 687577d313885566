"""Transforms that change both frames of a pair in the same way."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor
from torchvision.transforms import InterpolationMode

from tltm_graph.frame_pairs.annotated_video import visible_objects
from tltm_graph.frame_pairs.sampling import chance, integer, uniform
from tltm_graph.structures import Detections, FramePair


def _change_both(
    pair: FramePair, images: Callable[[Tensor], Tensor], masks: Callable[[Tensor], Tensor] | None = None
) -> FramePair:
    """Change images (2, 3, H, W) and, if given, masks (N, H, W) of both frames; objects without a pixel are dropped."""

    def changed(truth: Detections) -> Detections:
        if masks is None or truth.masks is None:
            return truth
        return visible_objects(truth, masks(truth.masks))

    previous_image, current_image = images(torch.stack([pair.previous_image, pair.current_image]))
    return FramePair(previous_image, current_image, changed(pair.previous), changed(pair.current))


@dataclass(frozen=True)
class CropPair:
    """Transform that crops both frames to the same window. Before :class:`ResizePair` it changes the scale of objects.

    Objects outside the window are dropped, and boxes are fitted to the cropped masks.

    Args:
        probability: Probability of cropping, in [0, 1].
        scale: Minimum and maximum side of the window, as a fraction of the side of the image; the same for both sides.

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
        """Crop a pair, or return it unchanged."""
        cropped, scale = chance(generator, self.probability), uniform(generator, *self.scale)
        size = pair.current_image.shape[1:]
        height, width = (max(1, round(scale * side)) for side in size)
        top, left = integer(generator, 0, size[0] - height), integer(generator, 0, size[1] - width)

        def window(pixels: Tensor) -> Tensor:
            return pixels[..., top : top + height, left : left + width]

        return _change_both(pair, window, window) if cropped else pair


@dataclass(frozen=True)
class FlipPair:
    """Transform that flips both frames horizontally.

    Args:
        probability: Probability of flipping, in [0, 1].

    Raises:
        ValueError: If the probability is not in [0, 1].
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"Expected probability in [0, 1], got {self.probability}")

    def __call__(self, pair: FramePair, generator: torch.Generator) -> FramePair:
        """Flip a pair, or return it unchanged."""
        flipped = chance(generator, self.probability)
        return _change_both(pair, F.horizontal_flip, F.horizontal_flip) if flipped else pair


@dataclass(frozen=True)
class JitterColors:
    """Transform that changes the light of both frames, as :class:`torchvision.transforms.v2.ColorJitter` does.

    Args:
        probability: Probability of a change, in [0, 1].
        brightness, contrast, saturation: Ranges of the factors, [1 - value, 1 + value], with values in [0, 1].
        hue: Maximum turn of the hue, in full turns, in [0, 0.5].

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
        """Change the light of a pair, or return it unchanged."""
        jittered = chance(generator, self.probability)
        brightness, contrast, saturation = (
            uniform(generator, 1 - value, 1 + value) for value in (self.brightness, self.contrast, self.saturation)
        )
        hue = uniform(generator, -self.hue, self.hue)

        def relight(images: Tensor) -> Tensor:
            images = F.adjust_contrast(F.adjust_brightness(images, brightness), contrast)
            return F.adjust_hue(F.adjust_saturation(images, saturation), hue)

        return _change_both(pair, relight) if jittered else pair


@dataclass(frozen=True)
class ResizePair:
    """Transform that resizes both frames to one size. The longer side keeps the proportions.

    Images are resized with the antialiased bilinear filter, masks to the nearest pixel. Defaults are those of
    arXiv 2210.16795.

    Args:
        min_sizes: Lengths of the shorter side in pixels, all equally likely.
        max_size: Maximum length of the longer side in pixels, which also limits the shorter one.

    Raises:
        ValueError: If there is no length, or a length is not from 1 to below ``max_size``.
    """

    min_sizes: tuple[int, ...] = (640, 672, 704, 736, 768, 800)
    max_size: int = 1333

    def __post_init__(self) -> None:
        if not self.min_sizes or not 1 <= min(self.min_sizes) <= max(self.min_sizes) < self.max_size:
            raise ValueError(
                f"Expected lengths of the shorter side from 1 to below max_size={self.max_size}, got {self.min_sizes}"
            )

    def __call__(self, pair: FramePair, generator: torch.Generator) -> FramePair:
        """Resize a pair to a random size."""
        shorter = self.min_sizes[integer(generator, 0, len(self.min_sizes) - 1)]
        resize = partial(F.resize, size=[shorter], max_size=self.max_size)

        def resize_masks(masks: Tensor) -> Tensor:
            return resize(masks.to(torch.uint8), interpolation=InterpolationMode.NEAREST_EXACT).bool()

        return _change_both(pair, resize, resize_masks)


@dataclass(frozen=True)
class StretchPair:
    """Transform that resizes both frames to a square, for a detector that stretches its frames.

    Images are resized with the antialiased bilinear filter, masks to the nearest pixel.

    Args:
        sides: Lengths of the sides in pixels, all equally likely.

    Raises:
        ValueError: If there is no length, or a length is below 1.
    """

    sides: tuple[int, ...] = (416,)

    def __post_init__(self) -> None:
        if not self.sides or min(self.sides) < 1:
            raise ValueError(f"Expected lengths of the sides of at least 1 pixel, got {self.sides}")

    def __call__(self, pair: FramePair, generator: torch.Generator) -> FramePair:
        """Resize a pair to a random square."""
        side = self.sides[integer(generator, 0, len(self.sides) - 1)]
        resize = partial(F.resize, size=[side, side])

        def resize_masks(masks: Tensor) -> Tensor:
            return resize(masks.to(torch.uint8), interpolation=InterpolationMode.NEAREST_EXACT).bool()

        return _change_both(pair, resize, resize_masks)
