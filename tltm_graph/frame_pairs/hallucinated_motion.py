"""Changes of light and colour, as pictures of one thing taken at two times have them."""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as nnf
import torchvision.transforms.v2.functional as F
from torch import Tensor
from torchvision.transforms import InterpolationMode

from tltm_graph.frame_pairs.annotated_video import visible_objects
from tltm_graph.frame_pairs.draws import chance, integer, uniform
from tltm_graph.structures import Detections


def shift_brightness(images: Tensor, levels: float) -> Tensor:
    """All channels brighter by ``levels`` gray levels, which may be negative; cut off at 0 and 255.

    Args:
        images: Pixels (…, 3, H, W), uint8.
        levels: From -255 to 255.
    """
    return (images.float() + levels).round_().clamp_(0, 255).to(torch.uint8)


def shift_hue(images: Tensor, levels: float) -> Tensor:
    """The hue turned by ``levels`` of 255 to a full turn.

    Args:
        images: RGB pixels (…, 3, H, W), uint8.
        levels: From -127.5 to 127.5.
    """
    return F.adjust_hue(images, levels / 255)


def shift_saturation(images: Tensor, levels: float) -> Tensor:
    r"""The saturation raised by ``levels`` of 255, at the same hue and value; what is gray stays gray.

    With the value :math:`v` and the saturation :math:`s = (v - \min c) / v` of a pixel, every channel becomes

    .. math:: c' = v - (v - c) \, s' / s.

    Args:
        images: RGB pixels (…, 3, H, W), uint8.
        levels: From -255 to 255; saturation is cut off at 0 and 255.
    """
    pixels = images.float()
    value = pixels.amax(dim=-3, keepdim=True)  # (…, 1, H, W)
    saturation = 1 - pixels.amin(dim=-3, keepdim=True) / value.clamp(min=1)
    ratio = (saturation + levels / 255).clamp_(0, 1) / saturation
    ratio = torch.where(saturation > 0, ratio, 1.0)
    return (value - (value - pixels) * ratio).round_().to(torch.uint8)


def motion_blur(image: Tensor, kernel: Tensor) -> Tensor:
    """An image as seen by a camera that moves while it looks.

    Args:
        image: Pixels (C, H, W), uint8; beyond its edge it goes on as the edge is.
        kernel: Weights (K, K) that add up to 1, K odd; see :func:`motion_kernel`.

    Returns:
        Pixels (C, H, W), uint8.
    """
    channels, reach = image.shape[0], kernel.shape[0] // 2
    padded = nnf.pad(image[None].float(), (reach,) * 4, mode="replicate")  # (1, C, H + K - 1, W + K - 1)
    blurred = nnf.conv2d(padded, kernel.expand(channels, 1, -1, -1), groups=channels)[0]
    return blurred.round_().clamp_(0, 255).to(torch.uint8)


def motion_kernel(length: int, angle: float, lean: float = 0.0) -> Tensor:
    """A line through the middle of a square, as weights that add up to 1.

    Args:
        length: Of the line and the sides of the square in pixels, odd, at least 3.
        angle: Of the line against the vertical, in degrees, counter-clockwise.
        lean: How much more the upper end of an upright line weighs than the lower one, from -1 to 1, where the lighter
            end weighs nothing.

    Returns:
        Weights (length, length), float32.
    """
    line = torch.zeros(length, length)
    line[:, length // 2] = torch.linspace(1 + lean, 1 - lean, length)
    kernel = F.rotate(line[None], angle, InterpolationMode.BILINEAR)[0]
    return kernel / kernel.sum()


@dataclass(frozen=True)
class HallucinatedMotion:
    """A later frame made up from a still image: other light, another place, and the blur of moving there.

    In this order: brightness or hue and saturation or both are shifted; the image is turned, moved and scaled, with
    black where nothing is known; it is blurred along a line of random direction. Defaults are those of the training of
    arXiv 2210.16795 (after STEm-Seg, arXiv 2003.08429). Each mask is warped on its own (nearest pixel), boxes are made
    anew from the masks, and objects that leave the picture are dropped.

    Args:
        brightness: Farthest shift of all channels, in gray levels from 0 to 255.
        hue_saturation: Farthest shift of hue (in 1/255 of a full turn) and of saturation (of 255), both by the same
            number.
        translation: Farthest shift in x and in y, as a share of width and height.
        rotation: Farthest turn in degrees.
        scale: Least and greatest magnification.
        blur_probability: How often there is blur.
        blur_lengths: Lengths of the line in pixels, odd and at least 3, each as likely.

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
        """The later frame.

        Args:
            image: RGB pixels (3, H, W), uint8.
            truth: Its objects, with masks if there are any.
            generator: Where every random number comes from.

        Returns:
            Image and objects, as many as are still to be seen; ids and labels stay.
        """
        image = self._relit(image, generator)
        image, truth = self._moved(image, truth, generator)
        return self._blurred(image, generator), truth

    def _relit(self, image: Tensor, generator: torch.Generator) -> Tensor:
        both, brightness_alone = chance(generator, 0.5), chance(generator, 0.5)
        brightness = uniform(generator, -self.brightness, self.brightness)
        colour = uniform(generator, -self.hue_saturation, self.hue_saturation)
        if both or brightness_alone:
            image = shift_brightness(image, brightness)
        if both or not brightness_alone:
            image = shift_saturation(shift_hue(image, colour), colour)
        return image

    def _moved(self, image: Tensor, truth: Detections, generator: torch.Generator) -> tuple[Tensor, Detections]:
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

    def _blurred(self, image: Tensor, generator: torch.Generator) -> Tensor:
        blurred = chance(generator, self.blur_probability)
        length = self.blur_lengths[integer(generator, 0, len(self.blur_lengths) - 1)]
        kernel = motion_kernel(length, uniform(generator, 0.0, 360.0), uniform(generator, -1.0, 1.0))
        return motion_blur(image, kernel) if blurred else image
