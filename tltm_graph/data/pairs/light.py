"""Changes of light and colour, as pictures of one thing taken at two times have them."""

import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor


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
