import torch
from torch import Tensor


def mask_iou(masks: Tensor, others: Tensor) -> Tensor:
    r"""Compute the intersection over union of each pair of masks.

    .. math:: IoU_{ij} = |A_i \cap B_j| / |A_i \cup B_j|

    Two empty masks have IoU 0.

    Args:
        masks: Bool masks (N, H, W).
        others: Bool masks (M, H, W) of the same frame.

    Returns:
        IoU in [0, 1], float32 (N, M).

    Raises:
        ValueError: If the masks are not 3-D or their frames differ in size.
    """
    if masks.ndim != 3 or others.ndim != 3 or masks.shape[1:] != others.shape[1:]:
        raise ValueError(
            f"Expected masks (N, H, W) and (M, H, W) of one frame, got {tuple(masks.shape)} and {tuple(others.shape)}"
        )
    a, b = masks.flatten(1).float(), others.flatten(1).float()
    intersection = a @ b.T  # (N, M), exact: float32 counts pixels up to 2**24
    union = a.sum(1)[:, None] + b.sum(1)[None, :] - intersection
    return intersection / union.clamp(min=1)


def masks_to_boxes(masks: Tensor) -> Tensor:
    """Compute the tight box of each mask; an empty mask has the box (0, 0, 0, 0).

    Args:
        masks: Bool masks (N, H, W).

    Returns:
        Corners (x0, y0, x1, y1) in pixels, float32 (N, 4). x1 and y1 are one beyond the last pixel, unlike those of
        :func:`torchvision.ops.masks_to_boxes`.
    """
    if masks.shape[0] == 0:
        return masks.new_zeros((0, 4), dtype=torch.float32)

    def extent(occupied: Tensor) -> tuple[Tensor, Tensor]:
        size = occupied.shape[1]
        first = occupied.argmax(dim=1)  # the first of equal values
        return first, size - occupied.flip(1).argmax(dim=1)

    pixels = masks.view(torch.uint8)  # on CPUs, amax of bytes is thirty times faster than any of bools
    columns, rows = pixels.amax(dim=1), pixels.amax(dim=2)
    (x0, x1), (y0, y1) = extent(columns), extent(rows)
    boxes = torch.stack([x0, y0, x1, y1], dim=1).float()  # (N, 4)
    return boxes * columns.any(dim=1)[:, None]
