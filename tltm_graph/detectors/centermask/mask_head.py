import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SpatialAttention(nn.Module):
    r"""Weighs each pixel by what its channels say on average and at most (CenterMask, arXiv 1911.06667, equation 3).

    .. math:: x' = x \cdot \sigma(\mathrm{conv}([\mathrm{mean}_c \, x \Vert \max_c x]))

    Shapes:
        - **input, output:** (N, C, H, W)
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The weighed features; see the class."""
        summary = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)  # (N, 2, H, W)
        return x * self.conv(summary).sigmoid()


class MaskHead(nn.Module):
    """The mask of each object from its pooled features: 3×3 convolutions, spatial attention, twice the size, a mask
    for each class (CenterMask, arXiv 1911.06667, section 3.2).

    Args:
        num_classes (int): Classes, each with a mask of its own.
        channels (int): Channels of the pooled features.
        num_convs (int): 3×3 convolutions before the attention.

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
        """Draws all weights anew: He initialisation, the predictor normal with deviation 0.001."""
        for layer in (*self.convs, self.attention.conv, self.deconv):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(layer.bias, Tensor):
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.predictor.weight, std=0.001)
        assert self.predictor.bias is not None
        nn.init.zeros_(self.predictor.bias)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Mask logits; see the class. Of one class each, only its row of the predictor is computed."""
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
