import torch
import torch.nn.functional as nnf
import torchvision.transforms.v2.functional as F
from torch import Tensor
from torchvision.transforms import InterpolationMode


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
