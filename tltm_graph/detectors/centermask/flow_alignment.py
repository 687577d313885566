from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

NUM_CUES = 6
"""Number of channels of :func:`cues`."""

_WINDOW = 13  # pixels at half the size


@dataclass(frozen=True)
class FlowAlignment:
    """Alignment of a previous frame's feature maps with the current frame, by dense optical flow.

    The flow is that of DIS (arXiv 1603.03590) between both frames in grey, at a reduced size and with equalised
    histograms, so that light may change.

    Args:
        size: Height and width in pixels at which the flow is computed.
        min_correlation: Minimum :func:`correlation`, in [-1, 1], of the aligned previous frame and the current one.
            Below it the frames belong to different shots, or the flow is wrong.
    """

    size: tuple[int, int] = (208, 208)
    min_correlation: float = 0.35

    def grey(self, image: Tensor) -> Tensor:
        """Reduce an RGB image (3, H, W), uint8, to grey values with an equalised histogram, uint8 (h, w)."""
        pixels = image.permute(1, 2, 0).contiguous().cpu().numpy()
        grey = cv2.cvtColor(cv2.resize(pixels, self.size[::-1], interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        return torch.from_numpy(cv2.equalizeHist(grey))

    def flow(self, previous: Tensor, current: Tensor) -> Tensor:
        """Compute the optical flow from the current frame back to the previous one.

        Args:
            previous: Grey values of the previous frame, of :meth:`grey`.
            current: Grey values of the current frame.

        Returns:
            For each pixel (x, y), the place in the previous frame minus (x, y), in pixels, (2, h, w).
        """
        solver = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        empty = np.zeros((*current.shape, 2), np.float32)
        return torch.from_numpy(solver.calc(current.numpy(), previous.numpy(), empty)).permute(2, 0, 1)

    def align(self, levels: Sequence[Tensor], previous: Tensor, current: Tensor) -> list[Tensor] | None:
        """Move the maps of the previous frame to where their contents are now.

        Args:
            levels: Maps of the previous frame (1, C, H, W).
            previous: Grey values of the previous frame, of :meth:`grey`.
            current: Grey values of the current frame.

        Returns:
            Aligned maps (1, C + NUM_CUES, H, W), each with the :func:`cues` of its size; None if the frames belong to
            different shots, or one of them shows a single colour.
        """
        flow = self.flow(previous, current)
        aligned = warp(previous[None, None].float(), flow)
        if correlation(aligned[0, 0], current.float()) < self.min_correlation:
            return None
        added = cues(aligned, current[None, None].float())
        sizes = [(x.shape[2], x.shape[3]) for x in levels]
        pooled = [F.adaptive_avg_pool2d(added, size).to(levels[0].device) for size in sizes]
        return [torch.cat([warp(x, flow), of_size], dim=1) for x, of_size in zip(levels, pooled, strict=True)]


def cues(aligned: Tensor, current: Tensor) -> Tensor:
    """Compute how sharp two frames are, and how well they agree, in cells of 4×4 pixels.

    Args:
        aligned: Grey values of the aligned previous frame in [0, 255], (1, 1, h, w).
        current: Grey values of the current frame (1, 1, h, w).

    Returns:
        Logarithms of the mean contrast of fine structures of both frames and of coarser ones of both, and of the mean
        difference of the frames, each in about [0, 1]; and their correlation in [-1, 1], (1, NUM_CUES, h / 4, w / 4).
    """
    both = torch.cat([aligned, current])  # (2, 1, h, w)
    smooth, smoother = (F.avg_pool2d(both, size, 1, size // 2, count_include_pad=False) for size in (3, 9))
    contrast = [(both - smooth).abs(), (smooth - smoother).abs(), (smooth[:1] - smooth[1:]).abs()]
    logs = [(1 + F.avg_pool2d(values, 4)).log() / 4 for values in contrast]
    cells = F.avg_pool2d(both, 4)
    mean, square, product = (
        F.avg_pool2d(values, 5, 1, 2, count_include_pad=False)
        for values in (cells, cells * cells, cells[:1] * cells[1:])
    )
    deviation = ((square - mean * mean).clamp(min=0) + 4).sqrt()
    normalised = (product - mean[:1] * mean[1:]) / (deviation[:1] * deviation[1:])
    return torch.cat([values.flatten(0, 1) for values in (*logs, normalised)])[None]


def correlation(image: Tensor, other: Tensor) -> float:
    """Compute the median correlation of two images in overlapping windows of 26×26 pixels with texture.

    So an occluded part or other light does not matter, but almost all windows differ after a cut.

    Args:
        image: Grey values in [0, 255] (h, w).
        other: Grey values of the other image (h, w).

    Returns:
        Median in [-1, 1]; 0 without texture.
    """
    first, second = (F.avg_pool2d(grey[None, None], 2) for grey in (image, other))

    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, _WINDOW, _WINDOW // 2)

    variance, other_variance = (mean(x * x) - mean(x).square() for x in (first, second))
    noise = 4.0  # variance that is no texture
    covariance = mean(first * second) - mean(first) * mean(second)
    normalised = covariance / ((variance.clamp(min=0) + noise) * (other_variance.clamp(min=0) + noise)).sqrt()
    textured = normalised[variance > 4 * noise]
    return float(textured.median()) if len(textured) else 0.0


def warp(level: Tensor, flow: Tensor) -> Tensor:
    """Sample a map of the previous frame where the flow of each pixel points to.

    Args:
        level: Map of the previous frame (1, C, H, W).
        flow: Flow in pixels of its own size, (2, h, w).

    Returns:
        Aligned map (1, C, H, W). Beyond the border the values of the border are repeated.
    """
    height, width = level.shape[2:]
    resized = F.interpolate(flow[None], (height, width), mode="bilinear", align_corners=False)[0]
    # In units of half the frame, as grid_sample has them.
    x = (torch.arange(width) * 2 + 1) / width - 1 + resized[0] * (2 / flow.shape[2])
    y = ((torch.arange(height) * 2 + 1) / height - 1)[:, None] + resized[1] * (2 / flow.shape[1])
    grid = torch.stack([x, y], dim=2)[None].to(level.device)  # (1, H, W, 2)
    sampled: Tensor = F.grid_sample(level.float(), grid, padding_mode="border", align_corners=False)
    return sampled
