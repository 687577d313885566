"""Mask head of CenterMask and its training targets."""

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

    It applies 3×3 convolutions, spatial attention, upsampling by 2, and a 1×1 convolution.

    Args:
        num_classes (int): Number of classes, each with its own mask.
        channels (int): Number of channels of the pooled features.
        num_convs (int): Number of 3×3 convolutions before the attention.

    Shapes:
        - **input:** pooled features (N, channels, R, R), and labels (N,) or None
        - **output:** mask logits (N, 2R, 2R) of the labels, or of all classes (N, num_classes, 2R, 2R)
    """

    def __init__(self, num_classes: int, channels: int = 256, num_convs: int = 4) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.convs = nn.ModuleList([nn.Conv2d(channels, channels, 3, padding=1) for _ in range(num_convs)])
        self.attention = SpatialAttention()
        self.deconv = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.predictor = nn.Conv2d(channels, num_classes, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise all weights: He initialisation, the predictor normal with standard deviation 0.001."""
        for layer in (*self.convs, self.attention.conv, self.deconv):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(layer.bias, Tensor):
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.predictor.weight, std=0.001)
        assert self.predictor.bias is not None
        nn.init.zeros_(self.predictor.bias)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Compute mask logits. With labels, only one class per object is computed."""
        for conv in self.convs:
            x = F.relu(conv(x))
        x = F.relu(self.deconv(self.attention(x)))  # (N, channels, 2R, 2R)
        if labels is None:
            return self.predictor(x)
        assert self.predictor.bias is not None
        logits = torch.einsum("nchw,nc->nhw", x, self.predictor.weight[labels, :, 0, 0])
        return logits + self.predictor.bias[labels, None, None]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_classes})"


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
