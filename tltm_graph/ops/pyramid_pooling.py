from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchvision.ops import roi_align


def pool_from_pyramid(
    maps: Mapping[str, Tensor],
    strides: Mapping[str, float],
    boxes: Tensor,
    resolution: int = 14,
    aligned: bool = True,
) -> Tensor:
    r"""Pool the features of each box from the level of a feature pyramid that suits its size.

    As in feature pyramid networks, a box of 224×224 pixels belongs to stride 16, and one of twice the size to the next
    level,

    .. math:: s = 16 \cdot 2^{\lfloor \log_2(\sqrt{wh} / 224) \rfloor}

    Among the given levels, the one whose stride is closest to s, in octaves, is used. A single map serves all boxes.

    Args:
        maps: Feature map (1, C, h, w) of one image for each level, with equal C.
        strides: Stride of each level, in pixels of the network's input.
        boxes: Corners (x0, y0, x1, y1) in pixels of the network's input (N, 4).
        resolution: Height and width of the pooled features.
        aligned: True if cell centres lie at half pixels (detectron2), False at whole pixels (torchvision's models).

    Returns:
        Features (N, C, resolution, resolution).

    Raises:
        ValueError: If there is no map, or the maps differ in their number of channels.
    """
    channels = {int(level.shape[1]) for level in maps.values()}
    if len(channels) != 1:
        raise ValueError(f"Expected maps with the same number of channels, got {sorted(channels)}")
    names = sorted(maps, key=lambda name: strides[name])
    if len(names) == 1:
        return _pool(maps[names[0]], strides[names[0]], boxes, resolution, aligned)
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1).sqrt()
    octave = 4 + (torch.log2(sides / 224 + 1e-9) + 1e-6).floor()  # (N,), log2 of the stride
    octaves = boxes.new_tensor([strides[name] for name in names]).log2()  # (L,)
    levels = (octave[:, None] - octaves).abs().argmin(dim=1)  # (N,), the finer of two equally close levels
    pooled = boxes.new_zeros((len(boxes), channels.pop(), resolution, resolution), dtype=boxes.dtype)
    for index, name in enumerate(names):
        rows = (levels == index).nonzero().flatten()
        pooled[rows] = _pool(maps[name], strides[name], boxes[rows], resolution, aligned)
    return pooled


def equally_wide(maps: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
    """Select the maps called ``names`` with as many channels as the first of them: one feature space."""
    channels = next((maps[name].shape[1] for name in names), None)
    return {name: maps[name] for name in names if maps[name].shape[1] == channels}


def _pool(level: Tensor, stride: float, boxes: Tensor, resolution: int, aligned: bool) -> Tensor:
    # In the precision of the boxes: half precision cannot resolve single pixels.
    return roi_align(
        level.to(boxes.dtype), [boxes], resolution, spatial_scale=1 / stride, sampling_ratio=2, aligned=aligned
    )
