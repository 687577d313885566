import torch.nn.functional as F
from torch import Tensor, nn


class InstanceEncoder(nn.Module):
    r"""The instance encoder from the `"Two-Level Temporal Relation Model for Online Video Instance Segmentation"
    <https://arxiv.org/abs/2210.16795>`_ paper (equation 2), which turns pooled features into node features.

    .. math:: z = W \, \mathrm{vec}(c_3(c_2(\mathrm{pool}(c_1(x)))))

    where :math:`c_k` is a 3×3 convolution with ReLU, and :math:`\mathrm{pool}` the maximum over 2×2 pixels. The paper
    describes two convolutions; the published weights have three. The defaults are the published encoder (2,610,336
    parameters); its ``state_dict`` has the names and shapes of the published weights.

    Args:
        in_channels (int): Number of channels of the pooled features. (default: :obj:`256`)
        hidden_channels (int): Number of channels after :math:`c_1`; a quarter of them after :math:`c_2`, a sixteenth
            after :math:`c_3`. (default: :obj:`512`)
        channels (int): Size of each node feature. (default: :obj:`512`)
        resolution (int): Height and width of the pooled features; even. (default: :obj:`14`)

    Shapes:
        - **input:** pooled features :math:`(N, C_{in}, R, R)`
        - **output:** node features :math:`(N, C)`

    Raises:
        ValueError: If ``resolution`` is odd, ``hidden_channels`` is no multiple of 16, or the input has another shape.
    """

    def __init__(
        self, in_channels: int = 256, hidden_channels: int = 512, channels: int = 512, resolution: int = 14
    ) -> None:
        super().__init__()
        if resolution % 2 or hidden_channels % 16:
            raise ValueError(
                f"Expected an even resolution and hidden_channels divisible by 16, got {resolution}, {hidden_channels}"
            )
        self.in_channels = in_channels
        self.channels = channels
        self.resolution = resolution
        self.cn1 = nn.Conv2d(in_channels, hidden_channels, 3, padding=1)
        self.cn2 = nn.Conv2d(hidden_channels, hidden_channels // 4, 3, padding=1)
        self.cn3 = nn.Conv2d(hidden_channels // 4, hidden_channels // 16, 3, padding=1)
        self.fc = nn.Linear(hidden_channels // 16 * (resolution // 2) ** 2, channels)

    def reset_parameters(self) -> None:
        """Reinitialise all parameters."""
        for layer in (self.cn1, self.cn2, self.cn3, self.fc):
            layer.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the node features (N, C)."""
        if x.shape[1:] != (self.in_channels, self.resolution, self.resolution):
            raise ValueError(
                f"Expected pooled features of shape (N, {self.in_channels}, {self.resolution}, {self.resolution}), "
                f"got {tuple(x.shape)}"
            )
        x = F.max_pool2d(F.relu(self.cn1(x)), 2)  # (N, H, R / 2, R / 2)
        x = F.relu(self.cn2(x))
        x = F.relu(self.cn3(x))
        return self.fc(x.flatten(1))  # (N, C)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.channels}, resolution={self.resolution})"
