import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GatedFuser(nn.Module):
    r"""Gated fusion of one pyramid level with that of the previous frame, aligned with the current one.

    .. math:: p'_{t+1} = p_{t+1} + g \cdot (p_t - p_{t+1}) + f, \qquad (g, f) = h(p_t \Vert p_{t+1} \Vert q)

    where :math:`g \in [0, 1]` selects, at each location and in each channel, how much of the previous level replaces
    the current one, and :math:`f` corrects the result as in :class:`tltm_graph.nn.ResFuser`. The cues :math:`q` tell
    how sharp both frames are and how well they agree; they are 0 where they are not given. :math:`h` is a 1×1
    convolution, a depthwise 5×5 convolution to which its mean over the frame is added by a linear map, and a 1×1
    convolution. The mean tells if the whole frame is degraded. Untrained, the fuser returns the mean of both levels:
    :math:`f` is 0 and :math:`g` is 0.5.

    Args:
        channels (int): Number of channels of the level.
        hidden_channels (int): Number of channels between the convolutions.
        num_cues (int): Number of channels of cues.

    Shapes:
        - **input:** aligned previous level :math:`(B, C, H, W)`, or :math:`(B, C + Q, H, W)` with the cues, and current
          level :math:`(B, C, H, W)`
        - **output:** fused current level :math:`(B, C, H, W)`
    """

    def __init__(self, channels: int = 96, hidden_channels: int = 96, num_cues: int = 0) -> None:
        super().__init__()
        self.channels, self.num_cues = channels, num_cues
        self.reduce = nn.Conv2d(2 * channels + num_cues, hidden_channels, 1)
        self.depthwise = nn.Conv2d(hidden_channels, hidden_channels, 5, padding=2, groups=hidden_channels)
        self.frame = nn.Linear(hidden_channels, hidden_channels)
        self.expand = nn.Conv2d(hidden_channels, 2 * channels, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reinitialise all parameters."""
        for module in (self.reduce, self.depthwise, self.frame):
            module.reset_parameters()
        nn.init.zeros_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)  # type: ignore[arg-type]  # not None: bias=True

    def forward(self, previous: Tensor, current: Tensor) -> Tensor:
        """Compute the fused current level (B, C, H, W)."""
        _, change = self.gate(previous, current)
        return current + change

    def gate(self, previous: Tensor, current: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the gate g and the change g · (previous - current) + f, both (B, C, H, W)."""
        if previous.shape == current.shape:
            previous = F.pad(previous, (0, 0, 0, 0, 0, self.num_cues))
        expected = (current.shape[0], self.channels + self.num_cues, *current.shape[2:])
        if previous.shape != expected or current.shape[1] != self.channels:
            raise ValueError(
                f"Expected two levels of equal shape (B, {self.channels}, H, W), the previous one with or without "
                f"{self.num_cues} channels of cues, got {tuple(previous.shape)} and {tuple(current.shape)}"
            )
        x = F.hardswish(self.reduce(torch.cat([previous, current], dim=1)))
        previous = previous[:, : self.channels]
        x = self.depthwise(x)
        x = F.hardswish(x + self.frame(x.mean(dim=(2, 3)))[:, :, None, None])
        gate, delta = self.expand(x).chunk(2, dim=1)
        gate = gate.sigmoid()
        return gate, gate * (previous - current) + delta

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.channels})"
