"""Views of the objects of a still image, as other frames of a video could show them."""

from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
import torchvision.transforms.v2.functional as F
from torch import Tensor

from tltm_graph.frame_pairs.annotated_video import visible_objects
from tltm_graph.frame_pairs.sampling import chance, integer, uniform
from tltm_graph.structures import Detections


@dataclass(frozen=True)
class HallucinatedView:
    """Transform that shows the objects of a still image as another frame of a video could.

    The picture is moved: rotated, shifted, scaled and warped elastically, half of the time only slightly. Some views
    have an occluding patch, blur or noise. On request the objects are put before the background of another image, or
    the frame is relit. Objects that become too small are dropped.

    Args:
        rotation: Maximum rotation in degrees.
        translation: Maximum shift in x and y, as a fraction of width and height.
        scale: Minimum and maximum magnification.
        warp: Deviation of the elastic displacements, as a fraction of width and height.
        gamma, gain, white_balance: Maximum exponents of two of the gamma, of the gain, and of the gain of each channel
            of a relit view.
        degraded: Probability of each of an occluding patch, blur and noise, in [0, 1].
        min_pixels: Minimum number of pixels of a mask.
    """

    rotation: float = 15.0
    translation: float = 0.15
    scale: tuple[float, float] = (0.65, 1.5)
    warp: float = 0.012
    gamma: float = 0.6
    gain: float = 0.4
    white_balance: float = 0.2
    degraded: float = 0.25
    min_pixels: int = 40

    def __call__(
        self,
        image: Tensor,
        truth: Detections,
        generator: torch.Generator,
        background: Tensor | None = None,
        relit: bool = False,
    ) -> tuple[Tensor, Detections]:
        """Make a view.

        Args:
            image: RGB pixels (3, H, W), uint8.
            truth: Objects of the image, with masks.
            generator: Source of all random numbers.
            background: Image of the same size that replaces what is around the objects; None to keep it.
            relit: True to change the light of the view.

        Returns:
            Image, and the objects that are still visible, with unchanged ids and labels.
        """
        order = _owners(truth)
        pixels, order = self._moved(image.float(), order, generator)
        if background is not None:
            inside = nnf.avg_pool2d((order > 0).float()[None], 3, 1, 1)[0]  # soft edges
            pixels = inside * pixels + (1 - inside) * background
        pixels, order = self._degraded(pixels, order, image if background is None else background, generator)
        if relit:
            pixels = self.relight(pixels, generator)
        masks = order[None] == torch.arange(1, len(truth) + 1)[:, None, None]
        objects = visible_objects(
            truth.replace(features=None), masks & (masks.sum((1, 2), keepdim=True) >= self.min_pixels)
        )
        return pixels.round_().clamp_(0, 255).to(torch.uint8), objects

    def relight(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Change gamma, gain and white balance of RGB pixels (3, H, W) from 0 to 255."""
        gamma, gain = (2 ** uniform(generator, -most, most) for most in (self.gamma, self.gain))
        balance = [2 ** uniform(generator, -self.white_balance, self.white_balance) for _ in range(3)]
        light = gain * torch.tensor(balance)[:, None, None]
        return (255 * light * (pixels.clamp(0, 255) / 255) ** gamma).clamp(0, 255)

    def _moved(self, pixels: Tensor, order: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        share = 0.3 if chance(generator, 0.5) else 1.0
        low, high = (1 + share * (factor - 1) for factor in self.scale)
        angle = share * uniform(generator, -self.rotation, self.rotation) * torch.pi / 180
        scale = torch.tensor(uniform(generator, torch.tensor(low).log().item(), torch.tensor(high).log().item())).exp()
        shift = [2 * share * uniform(generator, -self.translation, self.translation) for _ in "xy"]
        cos, sin = torch.tensor(angle).cos() / scale, torch.tensor(angle).sin() / scale
        theta = torch.stack([torch.stack([cos, -sin]), torch.stack([sin, cos])])
        theta = torch.cat([theta, torch.tensor(shift)[:, None]], dim=1)
        size = list(pixels.shape[1:])
        grid = nnf.affine_grid(theta[None], [1, 3, *size], align_corners=False)  # (1, H, W, 2)
        noise = 2 * share * self.warp * torch.randn((1, 2, 5, 5), generator=generator)
        grid = grid + nnf.interpolate(noise, size, mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
        moved = nnf.grid_sample(pixels[None], grid, padding_mode="reflection", align_corners=False)[0]
        order = nnf.grid_sample(order[None, None].float(), grid, mode="nearest", align_corners=False)[0, 0]
        return moved, order

    def _degraded(
        self, pixels: Tensor, order: Tensor, other: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        height, width = pixels.shape[1:]
        if chance(generator, self.degraded):
            h, w = (int(uniform(generator, 0.1, 0.35) * side) for side in (height, width))
            (y, x), (v, u) = (
                (integer(generator, 0, height - h), integer(generator, 0, width - w)) for _ in ("to", "from")
            )
            pixels[:, y : y + h, x : x + w] = other[:, v : v + h, u : u + w]
            order[y : y + h, x : x + w] = 0
        if chance(generator, self.degraded):
            pixels = F.gaussian_blur(pixels, [7, 7], [uniform(generator, 0.5, 2.0)])
        if chance(generator, self.degraded):
            pixels = pixels + uniform(generator, 1, 8) * torch.randn(pixels.shape, generator=generator)
        return pixels, order


def _owners(truth: Detections) -> Tensor:
    """Row of the smallest object at each pixel, counted from 1; 0 for none (H, W)."""
    assert truth.masks is not None
    owners = torch.zeros(truth.masks.shape[1:], dtype=torch.int64)
    for row in truth.masks.sum((1, 2)).argsort(descending=True).tolist():
        owners[truth.masks[row]] = row + 1
    return owners
