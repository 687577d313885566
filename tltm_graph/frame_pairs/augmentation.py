from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor
from torchvision.transforms import InterpolationMode

from tltm_graph.frame_pairs.annotated_video import visible_objects
from tltm_graph.frame_pairs.draws import chance, integer, uniform
from tltm_graph.structures import Detections, FramePair


def change_both(
    pair: FramePair, images: Callable[[Tensor], Tensor], masks: Callable[[Tensor], Tensor] | None = None
) -> FramePair:
    """The same change of both frames of a pair; boxes are made anew from the masks.

    Args:
        pair: The pair.
        images: Makes pixels (2, 3, H, W) of the previous and the current frame new ones, uint8.
        masks: Makes masks (N, H, W) of either frame new ones, bool; None if nothing moves.

    Returns:
        The pair with the objects that are still to be seen.
    """

    def changed(truth: Detections) -> Detections:
        if masks is None or truth.masks is None:
            return truth
        return visible_objects(truth, masks(truth.masks))

    previous_image, current_image = images(torch.stack([pair.previous_image, pair.current_image]))
    return FramePair(previous_image, current_image, changed(pair.previous), changed(pair.current))


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
