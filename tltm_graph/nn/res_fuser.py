import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResFuser(nn.Module):
    r"""The residual fusion from the `"Two-Level Temporal Relation Model for Online Video Instance Segmentation"
    <https://arxiv.org/abs/2210.16795>`_ paper (equation 1), which adds the previous frame to one pyramid level.

    .. math:: p'_{t+1} = p_{t+1} + f(p_t \Vert p_{t+1})

    where :math:`f` denotes two 3×3 convolutions with a ReLU in between. Each level of a feature pyramid has its own
    ResFuser (1,769,984 parameters by default). On the first frame of a video, pass the current level as the previous.

    Args:
        channels (int): Number of channels of the level. (default: :obj:`256`)
        hidden_channels (int): Number of channels between the convolutions. (default: :obj:`256`)

    Shapes:
        - **input:** previous and current level, both :math:`(B, C, H, W)`
        - **output:** fused current level :math:`(B, C, H, W)`
    """

    def __init__(self, channels: int = 256, hidden_channels: int = 256) -> None:
        super().__init__()
        self.channels = channels
        self.cn1 = nn.Conv2d(2 * channels, hidden_channels, 3, padding=1)
        self.cn2 = nn.Conv2d(hidden_channels, channels, 3, padding=1)

    def reset_parameters(self) -> None:
        """Reinitialise all parameters."""
        self.cn1.reset_parameters()
        self.cn2.reset_parameters()

    def forward(self, previous: Tensor, current: Tensor) -> Tensor:
        """Compute the fused current level (B, C, H, W)."""
        if previous.shape != current.shape or current.shape[1] != self.channels:
            raise ValueError(
                f"Expected two levels of equal shape (B, {self.channels}, H, W), "
                f"got {tuple(previous.shape)} and {tuple(current.shape)}"
            )
        delta = self.cn2(F.relu(self.cn1(torch.cat([previous, current], dim=1))))
        return current + delta

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.channels})"
