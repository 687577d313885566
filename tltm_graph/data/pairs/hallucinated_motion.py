from dataclasses import dataclass
from functools import partial

import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor
from torchvision.transforms import InterpolationMode

from tltm_graph.data.pairs.draws import chance, integer, uniform
from tltm_graph.data.pairs.light import shift_brightness, shift_hue, shift_saturation
from tltm_graph.data.pairs.motion_blur import motion_blur, motion_kernel
from tltm_graph.data.pairs.visible import visible_objects
from tltm_graph.structures import Detections


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
