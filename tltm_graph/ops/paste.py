import torch
from torch import Tensor

_CANVAS = 2**24  # values pasted at a time, 64 MB


def paste_masks(masks: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float = 0.5) -> Tensor:
    r"""Paste the mask of each object into the frame, at the place and size of its box.

    Pixel (x, y) of the frame samples the mask bilinearly at ((x + ½ - x0) / w, (y + ½ - y0) / h); outside it is 0. A
    bilinear weight is the product of a row weight and a column weight. So two matrix products paste a mask:

    .. math:: M = W_y \, m \, W_x^T, \quad
              W_y[i, k] = \max(0, 1 - |R \, (i + \tfrac{1}{2} - y_0) / h - \tfrac{1}{2} - k|)

    The result equals sampling with ``grid_sample``, as in Mask R-CNN.

    Args:
        masks: Values in [0, 1] (N, R, R).
        boxes: Corners (x0, y0, x1, y1) in pixels (N, 4). They may extend beyond the frame. Boxes without area give
            empty masks.
        size: Height and width of the frame in pixels.
        threshold: Minimum value of a pixel inside the mask, in [0, 1].

    Returns:
        Bool masks (N, H, W).

    Raises:
        ValueError: If the shapes do not fit.
    """
    if masks.ndim != 3 or boxes.shape != (len(masks), 4):
        raise ValueError(
            f"Expected masks (N, R, R) and boxes (N, 4) with equal N, got {tuple(masks.shape)} and {tuple(boxes.shape)}"
        )
    height, width = size
    rows = _weights(boxes[:, 1], boxes[:, 3], height, masks.shape[1]).to(masks)  # (N, H, R)
    columns = _weights(boxes[:, 0], boxes[:, 2], width, masks.shape[2]).to(masks)  # (N, W, R)
    pasted = torch.empty((len(masks), height, width), dtype=torch.bool, device=masks.device)
    step = max(1, _CANVAS // max(1, height * width))
    with torch.autocast(masks.device.type, enabled=False):  # half precision would change pixels at the threshold
        for start in range(0, len(masks), step):
            part = slice(start, start + step)
            torch.ge(rows[part] @ masks[part] @ columns[part].transpose(1, 2), threshold, out=pasted[part])
    return pasted


def _weights(low: Tensor, high: Tensor, length: int, cells: int) -> Tensor:
    """Compute the bilinear weight of each mask cell at each pixel (N, length, cells); 0 for boxes without extent."""
    extent = (high - low)[:, None]
    pixels = torch.arange(length, device=low.device, dtype=low.dtype) + 0.5
    position = (pixels - low[:, None]) / extent * cells - 0.5  # (N, length)
    distance = (position[:, :, None] - torch.arange(cells, device=low.device, dtype=low.dtype)).abs()
    return torch.where(extent[:, :, None] > 0, (1 - distance).clamp(min=0), 0.0)
