"""How large a step is, and which weights decay."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


@dataclass(frozen=True)
class CosineSchedule:
    r"""Linear warm-up, then half a cosine down to the end.

    With :math:`w` steps of warm-up out of :math:`T`, the learning rate of step :math:`t` is multiplied by

    .. math:: e + \tfrac{1}{2} (1 - e) \left(1 + \cos \pi \frac{t - w}{T - w}\right)

    Args:
        warm_up: Steps until the full learning rate.
        start: Factor of the first step.
        end: Factor e of the last one.

    Raises:
        ValueError: If a value is negative.
    """

    warm_up: int = 1000
    start: float = 0.001
    end: float = 0.0

    def __post_init__(self) -> None:
        _expect_not_negative(self, "warm_up", "start", "end")

    def __call__(self, step: int, steps: int) -> float:
        """Factor of the learning rate of ``step``, counted from 0, out of ``steps``."""
        if step < self.warm_up:
            return _warming(step, self.warm_up, self.start)
        progress = min(1.0, (step - self.warm_up) / max(1, steps - self.warm_up))
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True)
class StepSchedule:
    """Linear warm-up, then times ``gamma`` at each milestone.

    Args:
        milestones: Steps, in order, from which on the learning rate is smaller.
        gamma: By what it is multiplied each time.
        warm_up: Steps until the full learning rate.
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
        """Factor of the learning rate of ``step``, counted from 0; the number of ``steps`` does not matter."""
        warm = _warming(step, self.warm_up, self.start) if step < self.warm_up else 1.0
        return warm * self.gamma ** bisect_right(self.milestones, step)


def decayed_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Parameter groups of an optimiser: matrices and filters decay, vectors and numbers (norms, biases, scales) do not.

    Frozen parameters are in neither.

    Args:
        model: The model. How much weights decay is an option of the optimiser.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1]},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _warming(step: int, warm_up: int, start: float) -> float:
    return start + (1 - start) * step / warm_up


def _expect_not_negative(schedule: object, *names: str) -> None:
    for name in names:
        if getattr(schedule, name) < 0:
            raise ValueError(f"Expected {name} of at least 0, got {getattr(schedule, name)}")


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
