"""Mask head of CenterMask and its training targets."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align


class SpatialAttention(nn.Module):
    r"""Attention to pixels from the mean and the maximum of their channels (CenterMask, arXiv 1911.06667, equation 3).

    .. math:: x' = x \cdot \sigma(\mathrm{conv}([\mathrm{mean}_c \, x \Vert \max_c x]))

    Shapes:
        - **input, output:** (N, C, H, W)
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply the features by the attention of their pixels."""
        summary = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)  # (N, 2, H, W)
        return x * self.conv(summary).sigmoid()


class MaskHead(nn.Module):
    """Head that predicts a mask per class from pooled features (CenterMask, arXiv 1911.06667, section 3.2).

    It applies 3×3 convolutions, spatial attention, upsampling by 2, and a 1×1 convolution. With ``fine_channels``, the
    upsampled features are added to finer ones, for crisp boundaries, and refined by two more 3×3 convolutions. With
    ``num_embeddings``, an embedding of the class is added after the first convolution: it selects one of
    several objects in a box, such as the rider or the horse.

    Args:
        num_classes (int): Number of classes, each with its own mask; 1 for one mask of any class.
        channels (int): Number of channels of the pooled features.
        num_convs (int): Number of 3×3 convolutions before the attention.
        fine_channels (int): Number of channels of the finer features; 0 for none.
        hidden_channels (int, optional): Number of channels of the convolutions, of which the finer stage has half.
            (default: ``channels`` in both stages)
        num_embeddings (int): Number of classes with an embedding; 0 for none.

    Shapes:
        - **input:** pooled features (N, channels, R, R), or (N, channels + 4 fine_channels, R, R) with the finer ones
          (N, fine_channels, 2R, 2R) :func:`fold_pixels`; and labels (N,) or None
        - **output:** mask logits (N, 2R, 2R) of the labels, or of all classes (N, num_classes, 2R, 2R)
    """

    def __init__(
        self,
        num_classes: int,
        channels: int = 256,
        num_convs: int = 4,
        fine_channels: int = 0,
        hidden_channels: int | None = None,
        num_embeddings: int = 0,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.in_channels = channels + 4 * fine_channels
        self.fine_channels = fine_channels
        hidden, upsampled = (channels, channels) if hidden_channels is None else (hidden_channels, hidden_channels // 2)
        widths = [channels] + [hidden] * num_convs
        self.convs = nn.ModuleList([nn.Conv2d(*pair, 3, padding=1) for pair in pairwise(widths)])
        self.attention = SpatialAttention()
        self.deconv = nn.ConvTranspose2d(hidden, upsampled, 2, stride=2)
        if fine_channels:
            self.fine = nn.Conv2d(fine_channels, upsampled, 3, padding=1)
            self.refine = nn.ModuleList([nn.Conv2d(upsampled, upsampled, 3, padding=1) for _ in range(2)])
        self.embedding = nn.Embedding(num_embeddings, hidden) if num_embeddings else None
        self.predictor = nn.Conv2d(upsampled, num_classes, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise all weights: He initialisation, the predictor normal with standard deviation 0.001."""
        finer = (self.fine, *self.refine) if self.fine_channels else ()
        for layer in (*self.convs, self.attention.conv, self.deconv, *finer):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(layer.bias, Tensor):
                nn.init.zeros_(layer.bias)
        if self.embedding is not None:
            nn.init.zeros_(self.embedding.weight)
        nn.init.normal_(self.predictor.weight, std=0.001)
        assert self.predictor.bias is not None
        nn.init.zeros_(self.predictor.bias)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Compute mask logits. With labels, only one class per object is computed."""
        if self.fine_channels:
            x, fine = x.split([self.in_channels - 4 * self.fine_channels, 4 * self.fine_channels], dim=1)
        for number, conv in enumerate(self.convs):
            x = conv(x)
            if number == 0 and self.embedding is not None:
                assert labels is not None, "masks of a class need its label"
                x = x + self.embedding(labels)[:, :, None, None]
            x = F.relu(x)
        x = self.deconv(self.attention(x))  # (N, channels, 2R, 2R)
        if self.fine_channels:
            x = x + self.fine(unfold_pixels(fine))
            for conv in self.refine:
                x = conv(F.relu(x))
        x = F.relu(x)
        if labels is None:
            return self.predictor(x)
        if self.num_classes == 1:
            return self.predictor(x)[:, 0]
        assert self.predictor.bias is not None
        logits = torch.einsum("nchw,nc->nhw", x, self.predictor.weight[labels, :, 0, 0])
        return logits + self.predictor.bias[labels, None, None]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_classes})"


def fold_pixels(x: Tensor) -> Tensor:
    """Move blocks of 2×2 pixels into channels: (N, C, 2R, 2R) to (N, 4C, R, R).

    :func:`torch.nn.functional.pixel_unshuffle` does so too, but not with N = 0.
    """
    n, channels, height, width = x.shape
    blocks = x.reshape(n, channels, height // 2, 2, width // 2, 2)
    return blocks.permute(0, 1, 3, 5, 2, 4).reshape(n, 4 * channels, height // 2, width // 2)


def unfold_pixels(x: Tensor) -> Tensor:
    """Undo :func:`fold_pixels`."""
    n, channels, height, width = x.shape
    blocks = x.reshape(n, channels // 4, 2, 2, height, width)
    return blocks.permute(0, 1, 4, 2, 5, 3).reshape(n, channels // 4, 2 * height, 2 * width)


def mask_targets(masks: Tensor, boxes: Tensor, rows: Tensor, resolution: int = 28) -> Tensor:
    """Crop the true mask of each object to a predicted box, as the target of the mask head.

    Args:
        masks: Bool masks of the true objects (G, H, W).
        boxes: Boxes xyxy in pixels (N, 4).
        rows: Index of the true object of each box (N,).
        resolution: Height and width of the targets.

    Returns:
        Masks with values in {0, 1}, float32 (N, resolution, resolution).
    """
    rois = torch.cat([rows[:, None].to(boxes), boxes], dim=1)
    return (roi_align(masks[:, None].float(), rois, resolution, aligned=True)[:, 0] >= 0.5).float()
