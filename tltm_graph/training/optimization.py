"""Learning rate schedules, weight decay, and the average of weights."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


@dataclass(frozen=True)
class CosineSchedule:
    r"""Linear warm-up, then half a cosine.

    After :math:`w` of :math:`T` steps, the warm-up, the learning rate of step :math:`t` is multiplied by

    .. math:: e + \tfrac{1}{2} (1 - e) \left(1 + \cos \pi \frac{t - w}{T - w}\right)

    Args:
        warm_up: Number of steps until the full learning rate.
        start: Factor of the first step.
        end: Factor e of the last step.

    Raises:
        ValueError: If a value is negative.
    """

    warm_up: int = 1000
    start: float = 0.001
    end: float = 0.0

    def __post_init__(self) -> None:
        _expect_not_negative(self, "warm_up", "start", "end")

    def __call__(self, step: int, steps: int) -> float:
        """Compute the factor of the learning rate of ``step``, counted from 0, out of ``steps``."""
        if step < self.warm_up:
            return _warm_up_factor(step, self.warm_up, self.start)
        progress = min(1.0, (step - self.warm_up) / max(1, steps - self.warm_up))
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True)
class StepSchedule:
    """Linear warm-up, then a multiplication by ``gamma`` at each milestone.

    Args:
        milestones: Steps at which the learning rate changes, in order.
        gamma: Factor at each milestone.
        warm_up: Number of steps until the full learning rate.
        start: Factor of the first step.

    Raises:
        ValueError: If milestones are not in order, or a value is negative.
    """

    milestones: tuple[int, ...]
    gamma: float = 0.1
    warm_up: int = 1000
    start: float = 0.001

    def __post_init__(self) -> None:
        _expect_not_negative(self, "gamma", "warm_up", "start")
        if list(self.milestones) != sorted(self.milestones):
            raise ValueError(f"Expected milestones in order, got {list(self.milestones)}")

    def __call__(self, step: int, steps: int) -> float:
        """Compute the factor of the learning rate of ``step``, counted from 0; ``steps`` is not used."""
        factor = _warm_up_factor(step, self.warm_up, self.start) if step < self.warm_up else 1.0
        return factor * self.gamma ** bisect_right(self.milestones, step)


def decayed_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Make the two parameter groups of an optimiser.

    Matrices and filters decay by the optimiser's ``weight_decay``. Vectors and scalars, such as norms and biases, do
    not. Frozen parameters are in neither group.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1]},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _warm_up_factor(step: int, warm_up: int, start: float) -> float:
    return start + (1 - start) * step / warm_up


def _expect_not_negative(schedule: object, *names: str) -> None:
    for name in names:
        if getattr(schedule, name) < 0:
            raise ValueError(f"Expected {name} of at least 0, got {getattr(schedule, name)}")


_Tensors = tuple[Tensor, ...] | list[Tensor]


def weight_average(model: nn.Module, decay: float) -> AveragedModel:
    r"""Copy a model whose weights are to be averaged over the steps; its buffers are copied.

    .. math:: \bar w \leftarrow d_n \bar w + (1 - d_n) w, \qquad d_n = \min\left(d, \frac{1 + n}{10 + n}\right)

    at update n, so that the initial weights soon lose their influence. Call ``update_parameters(model)`` after each
    step; ``module`` is the averaged model.

    Args:
        model: The model, which is not changed.
        decay: Decay d in [0, 1). With 0 the average is the model's last weights.

    Raises:
        ValueError: If the decay is out of range.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"Expected a decay of the average from 0 to below 1, got {decay}")

    @torch.no_grad()
    def update(average: _Tensors, current: _Tensors, num_averaged: Tensor | int) -> None:
        n = int(num_averaged)
        torch._foreach_lerp_(average, current, 1 - min(decay, (1 + n) / (10 + n)))

    averaged = AveragedModel(model, multi_avg_fn=update)
    averaged.requires_grad_(False)
    return averaged
