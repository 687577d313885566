from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import roi_align


def ratio_levels(boxes: Tensor, image_area: Tensor | float, num_levels: int = 3) -> Tensor:
    r"""The level of the pyramid each object is read from, by its share of the image (CenterMask, arXiv 1911.06667,
    equation 1).

    .. math:: k = \lceil k_{max} - \log_2(A_{image} / A_{box}) \rceil

    kept within the levels: the coarsest one for boxes above half of the image, the finest for the smallest.

    Args:
        boxes: Boxes xyxy (N, 4); boxes without area get the finest level.
        image_area: Pixels of the image, without padding; one number, or one per box (N,).
        num_levels: How many levels there are.

    Returns:
        Level of each box (N,), 0 for the finest.
    """
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    level = torch.ceil(num_levels - 1 - torch.log2(image_area / area + torch.finfo(torch.float64).eps))
    return level.nan_to_num(neginf=0).clamp(min=0, max=num_levels - 1).long()


def ratio_roi_align(
    pyramid: Sequence[Tensor],
    strides: Sequence[int],
    boxes: Sequence[Tensor],
    image_sizes: Sequence[tuple[int, int]],
    resolution: int = 14,
) -> Tensor:
    """Pools the features of each object from the level that :func:`ratio_levels` gives it.

    Every level pools all objects, with those of other levels shrunk to a point, which costs nothing and gives zeros;
    the levels are then added up. So no size depends on the data and a GPU never waits for the host.

    Args:
        pyramid: Levels (B, C, H, W), finest first.
        strides: Pixels of the image per cell of each level.
        boxes: Boxes xyxy in pixels, (N_b, 4) for each of the B images.
        image_sizes: Height and width of each image, without padding.
        resolution: Height and width of the pooled features.

    Returns:
        Pooled features (N, C, resolution, resolution), N over all images in order, in the precision of the boxes: half
        precision could not tell neighbouring pixels apart.
    """
    rois = torch.cat([torch.cat([b.new_full((len(b), 1), i), b], dim=1) for i, b in enumerate(boxes)])  # (N, 5)
    areas = torch.cat([b.new_full((len(b),), h * w) for b, (h, w) in zip(boxes, image_sizes, strict=True)])
    levels = ratio_levels(rois[:, 1:], areas, len(pyramid))
    pooled = None
    for level, (features, stride) in enumerate(zip(pyramid, strides, strict=True)):
        here = torch.where((levels == level)[:, None], rois[:, 1:], rois[:, 1:3].repeat(1, 2))
        part = roi_align(
            features.to(rois.dtype), torch.cat([rois[:, :1], here], dim=1), resolution, 1 / stride, aligned=True
        )
        pooled = part if pooled is None else pooled + part
    assert pooled is not None, "a pyramid has at least one level"
    return pooled
