from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import roi_align


def ratio_levels(boxes: Tensor, image_area: Tensor | float, num_levels: int = 3) -> Tensor:
    r"""Select the pyramid level of each box by its share of the image, as in `"CenterMask"
    <https://arxiv.org/abs/1911.06667>`_ (equation 1).

    .. math:: k = \lceil k_{max} - \log_2(A_{image} / A_{box}) \rceil

    clamped to the existing levels: boxes above half of the image get the coarsest level.

    Args:
        boxes: Corners (x0, y0, x1, y1) in pixels (N, 4). Boxes without area get the finest level.
        image_area: Pixels of the image without padding, one number or one per box (N,).
        num_levels: Number of levels.

    Returns:
        Level of each box (N,), 0 for the finest, int64.
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
    """Pool the features of each box from its level, after :func:`ratio_levels`.

    Each level pools all boxes, with those of other levels shrunk to a point, which gives zeros. The sum over levels is
    the result. So no tensor size depends on the data, and a GPU need not wait for the host.

    Args:
        pyramid: Feature maps (B, C, H, W), finest level first.
        strides: Stride of each level, in pixels of the image.
        boxes: Corners (x0, y0, x1, y1) in pixels, (N_b, 4) for each of the B images.
        image_sizes: Height and width of each image in pixels, without padding.
        resolution: Height and width of the pooled features.

    Returns:
        Pooled features (N, C, resolution, resolution) of all images in order. Their precision is that of the boxes:
        half precision cannot resolve single pixels.
    """
    rois = torch.cat([torch.cat([b.new_full((len(b), 1), i), b], dim=1) for i, b in enumerate(boxes)])  # (N, 5)
    areas = torch.cat([b.new_full((len(b),), h * w) for b, (h, w) in zip(boxes, image_sizes, strict=True)])
    levels = ratio_levels(rois[:, 1:], areas, len(pyramid))
    pooled = None
    for level, (features, stride) in enumerate(zip(pyramid, strides, strict=True)):
        own_boxes = torch.where((levels == level)[:, None], rois[:, 1:], rois[:, 1:3].repeat(1, 2))
        part = roi_align(
            features.to(rois.dtype), torch.cat([rois[:, :1], own_boxes], dim=1), resolution, 1 / stride, aligned=True
        )
        pooled = part if pooled is None else pooled + part
    assert pooled is not None, "a pyramid has at least one level"
    return pooled
