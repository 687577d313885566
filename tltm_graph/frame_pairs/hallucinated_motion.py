"""A later frame made from a still image: changes of light, an affine motion, and motion blur."""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as nnf
import torchvision.transforms.v2.functional as F
from torch import Tensor
from torchvision.transforms import InterpolationMode

from tltm_graph.frame_pairs.annotated_video import visible_objects
from tltm_graph.frame_pairs.sampling import chance, integer, uniform
from tltm_graph.structures import Detections


def shift_brightness(images: Tensor, levels: float) -> Tensor:
    """Add grey levels, from -255 to 255, to all channels of pixels (…, 3, H, W), uint8, and clamp to [0, 255]."""
    return (images.float() + levels).round_().clamp_(0, 255).to(torch.uint8)


def shift_hue(images: Tensor, levels: float) -> Tensor:
    """Turn the hue of RGB pixels (…, 3, H, W), uint8, by levels of 1/255 of a full turn, from -127.5 to 127.5."""
    return F.adjust_hue(images, levels / 255)


def shift_saturation(images: Tensor, levels: float) -> Tensor:
    r"""Add levels of 1/255 to the saturation, at constant hue and value. Grey pixels stay grey.

    With the value :math:`v` and the saturation :math:`s = (v - \min c) / v` of a pixel, each channel becomes

    .. math:: c' = v - (v - c) \, s' / s.

    Args:
        images: RGB pixels (…, 3, H, W), uint8.
        levels: Change of the saturation in 1/255, from -255 to 255; the result is clamped to the valid range.
    """
    pixels = images.float()
    value = pixels.amax(dim=-3, keepdim=True)  # (…, 1, H, W)
    saturation = 1 - pixels.amin(dim=-3, keepdim=True) / value.clamp(min=1)
    ratio = (saturation + levels / 255).clamp_(0, 1) / saturation
    ratio = torch.where(saturation > 0, ratio, 1.0)
    return (value - (value - pixels) * ratio).round_().to(torch.uint8)


def motion_blur(image: Tensor, kernel: Tensor) -> Tensor:
    """Blur an image with a kernel. Edge pixels are repeated beyond the edge.

    Args:
        image: Pixels (C, H, W), uint8.
        kernel: Weights (K, K) that add up to 1, K odd; see :func:`motion_kernel`.

    Returns:
        Pixels (C, H, W), uint8.
    """
    channels, reach = image.shape[0], kernel.shape[0] // 2
    padded = nnf.pad(image[None].float(), (reach,) * 4, mode="replicate")  # (1, C, H + K - 1, W + K - 1)
    blurred = nnf.conv2d(padded, kernel.expand(channels, 1, -1, -1), groups=channels)[0]
    return blurred.round_().clamp_(0, 255).to(torch.uint8)


def motion_kernel(length: int, angle: float, lean: float = 0.0) -> Tensor:
    """Make the kernel of a line through the middle of a square.

    Args:
        length: Length of the line and of the sides of the square in pixels, odd, at least 3.
        angle: Angle between the line and the vertical, in degrees, counter-clockwise.
        lean: Slope of the weights along the line, from -1 to 1. At 1 they fall from the upper end of an upright line to
            0 at its lower end; at 0 they are equal.

    Returns:
        Weights (length, length) that add up to 1, float32.
    """
    line = torch.zeros(length, length)
    line[:, length // 2] = torch.linspace(1 + lean, 1 - lean, length)
    kernel = F.rotate(line[None], angle, InterpolationMode.BILINEAR)[0]
    return kernel / kernel.sum()


@dataclass(frozen=True)
class HallucinatedMotion:
    """Transform that makes a later frame from a still image: other light, another position, and motion blur.

    First brightness, or hue and saturation, or both are shifted. Then the image is rotated, shifted and scaled, with
    black outside the image. Last it is blurred along a line of random direction. Defaults are those of the training of
    arXiv 2210.16795 (after STEm-Seg, arXiv 2003.08429).

    Each mask is warped separately (nearest pixel), boxes are fitted to the masks, and objects that leave the picture
    are dropped.

    Args:
        brightness: Maximum shift of all channels, in grey levels from 0 to 255.
        hue_saturation: Maximum shift of hue (in 1/255 of a full turn) and saturation (in 1/255), from 0 to 127. Both
            are shifted by the same number.
        translation: Maximum shift in x and y, as a fraction of width and height, in [0, 1].
        rotation: Maximum rotation in degrees, in [0, 180].
        scale: Minimum and maximum magnification.
        blur_probability: Probability of blur, in [0, 1].
        blur_lengths: Lengths of the line in pixels, odd and at least 3, all equally likely.

    Raises:
        ValueError: If a value is out of range.
    """

    brightness: float = 20.0
    hue_saturation: float = 10.0
    translation: float = 0.2
    rotation: float = 20.0
    scale: tuple[float, float] = (1.0, 1.0)
    blur_probability: float = 0.5
    blur_lengths: tuple[int, ...] = (7, 9)

    def __post_init__(self) -> None:
        for name, most in (
            ("brightness", 255),
            ("hue_saturation", 127),
            ("translation", 1),
            ("rotation", 180),
            ("blur_probability", 1),
        ):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"Expected {name} in [0, {most}], got {getattr(self, name)}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"Expected scale as (least, greatest) above 0, got {self.scale}")
        if not self.blur_lengths or any(length < 3 or length % 2 == 0 for length in self.blur_lengths):
            raise ValueError(f"Expected odd lengths of blur of at least 3 pixels, got {self.blur_lengths}")

    def __call__(self, image: Tensor, truth: Detections, generator: torch.Generator) -> tuple[Tensor, Detections]:
        """Make the later frame.

        Args:
            image: RGB pixels (3, H, W), uint8.
            truth: Objects of the image, with masks if there are any.
            generator: Source of all random numbers.

        Returns:
            Image and the objects that are still visible, with unchanged ids and labels.
        """
        image = self._relight(image, generator)
        image, truth = self._move(image, truth, generator)
        return self._blur(image, generator), truth

    def _relight(self, image: Tensor, generator: torch.Generator) -> Tensor:
        both, brightness_alone = chance(generator, 0.5), chance(generator, 0.5)
        brightness = uniform(generator, -self.brightness, self.brightness)
        colour = uniform(generator, -self.hue_saturation, self.hue_saturation)
        if both or brightness_alone:
            image = shift_brightness(image, brightness)
        if both or not brightness_alone:
            image = shift_saturation(shift_hue(image, colour), colour)
        return image

    def _move(self, image: Tensor, truth: Detections, generator: torch.Generator) -> tuple[Tensor, Detections]:
        height, width = image.shape[1:]
        angle = uniform(generator, -self.rotation, self.rotation)
        x, y = (uniform(generator, -self.translation, self.translation) for _ in "xy")
        scale = uniform(generator, *self.scale)
        warp = partial(F.affine, angle=angle, translate=[x * width, y * height], scale=scale, shear=[0.0, 0.0])
        image = warp(image, interpolation=InterpolationMode.BILINEAR)
        if truth.masks is None:
            return image, truth
        masks = warp(truth.masks.to(torch.uint8), interpolation=InterpolationMode.NEAREST).bool()
        return image, visible_objects(truth, masks)

    def _blur(self, image: Tensor, generator: torch.Generator) -> Tensor:
        blurred = chance(generator, self.blur_probability)
        length = self.blur_lengths[integer(generator, 0, len(self.blur_lengths) - 1)]
        kernel = motion_kernel(length, uniform(generator, 0.0, 360.0), uniform(generator, -1.0, 1.0))
        return motion_blur(image, kernel) if blurred else image
