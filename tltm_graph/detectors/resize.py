import numpy as np
import torch
from PIL import Image
from torch import Tensor


def network_size(size: tuple[int, int], min_size: int, max_size: int) -> tuple[int, int]:
    """Height and width with the shorter side at ``min_size``, or the longer one at ``max_size`` if that is less."""
    scale = min_size / min(size)
    height, width = (min_size if n == min(size) else scale * n for n in size)
    if max(height, width) > max_size:
        shrink = max_size / max(height, width)
        height, width = height * shrink, width * shrink
    return max(1, int(height + 0.5)), max(1, int(width + 0.5))


def resize_image(image: Tensor, size: tuple[int, int]) -> Tensor:
    """An image (3, H, W), uint8, at another size, by Pillow's bilinear filter, whose rounding torchvision's does not
    share: detectron2 and all that is built on it resize so."""
    if image.shape[1:] == size:
        return image
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy())
    return torch.from_numpy(np.array(picture.resize(size[::-1], Image.Resampling.BILINEAR))).permute(2, 0, 1)
