import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

_Tensors = tuple[Tensor, ...] | list[Tensor]


def weight_average(model: nn.Module, decay: float) -> AveragedModel:
    r"""A copy of a model whose weights follow it smoothly; buffers are copied.

    .. math:: \bar w \leftarrow d_n \bar w + (1 - d_n) w, \qquad d_n = \min\left(d, \frac{1 + n}{10 + n}\right)

    for the n-th update, so that the average soon forgets random first weights. Call ``update_parameters(model)`` after
    each step; ``module`` is the averaged model.

    Args:
        model: The model, which is not changed.
        decay: d, from 0 (the average is the model's last weights) to below 1.

    Raises:
        ValueError: If the decay is out of range.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"Expected a decay of the average from 0 to below 1, got {decay}")

    @torch.no_grad()
    def follow(average: _Tensors, current: _Tensors, num_averaged: Tensor | int) -> None:
        n = int(num_averaged)
        torch._foreach_lerp_(average, current, 1 - min(decay, (1 + n) / (10 + n)))

    averaged = AveragedModel(model, multi_avg_fn=follow)
    averaged.requires_grad_(False)
    return averaged
