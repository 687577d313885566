import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResFuser(nn.Module):
    r"""Fuses one level of the feature pyramid with the same level of the previous frame, after `"Two-Level Temporal
    Relation Model for Online Video Instance Segmentation" <https://arxiv.org/abs/2210.16795>`_ (equation 1).

    .. math:: p'_{t+1} = p_{t+1} + f(p_t \Vert p_{t+1})

    with :math:`f` two 3×3 convolutions and a ReLU between them. Every level of a pyramid has a ResFuser of its own
    (1,769,984 parameters each by default). On the first frame of a video the previous level is the current one.

    Args:
        channels (int): Channels of the level.
        hidden_channels (int): Channels between the convolutions.

    Shapes:
        - **input:** previous and current level, both (B, channels, H, W)
        - **output:** fused current level (B, channels, H, W)
    """

    def __init__(self, channels: int = 256, hidden_channels: int = 256) -> None:
        super().__init__()
        self.channels = channels
        self.cn1 = nn.Conv2d(2 * channels, hidden_channels, 3, padding=1)
        self.cn2 = nn.Conv2d(hidden_channels, channels, 3, padding=1)

    def reset_parameters(self) -> None:
        """Draws all weights anew."""
        self.cn1.reset_parameters()
        self.cn2.reset_parameters()

    def forward(self, previous: Tensor, current: Tensor) -> Tensor:
        """The fused current level; see the class."""
        if previous.shape != current.shape or current.shape[1] != self.channels:
            raise ValueError(
                f"Expected two levels of equal shape (B, {self.channels}, H, W), "
                f"got {tuple(previous.shape)} and {tuple(current.shape)}"
            )
        delta = self.cn2(F.relu(self.cn1(torch.cat([previous, current], dim=1))))
        return current + delta

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.channels})"
