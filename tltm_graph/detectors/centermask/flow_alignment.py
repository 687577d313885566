from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

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

    def flow(self, previous: Tensor, current: Tensor) -> Tensor | None:
        """Compute the optical flow from the current frame back to the previous one.

        Args:
            previous: Grey values of the previous frame, of :meth:`grey`.
            current: Grey values of the current frame.

        Returns:
            For each pixel (x, y), the place in the previous frame minus (x, y), in pixels, (2, h, w); None if the
            frames belong to different shots, or one of them shows a single colour.
        """
        solver = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        empty = np.zeros((*current.shape, 2), np.float32)
        flow = torch.from_numpy(solver.calc(current.numpy(), previous.numpy(), empty)).permute(2, 0, 1)
        aligned = warp(previous[None, None].float(), flow)[0, 0]
        return flow if correlation(aligned, current.float()) >= self.min_correlation else None


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
