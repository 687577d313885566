"""Calibration of predicted log-odds by a temperature."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

from tltm_graph.nn import TransitionHead
from tltm_graph.training.association_steps import AssociationStep


@dataclass(frozen=True)
class Calibration:
    """A temperature, and the calibration error with and without it.

    Args:
        temperature: Divisor of the logits.
        error_before: :func:`calibration_error` of the logits.
        error_after: Calibration error of the logits divided by the temperature.
        doubtful: Share of calibrated predictions between 0.05 and 0.95. Most pairs of objects are far from doubtful,
            which makes the errors above small.
        error_doubtful: Calibration error of the doubtful predictions alone.
    """

    temperature: float
    error_before: float
    error_after: float
    doubtful: float
    error_doubtful: float


def calibration_error(logits: Tensor, truth: Tensor, weight: Tensor | None = None, num_bins: int = 15) -> float:
    r"""Compute the expected calibration error of binary predictions (Naeini et al. 2015, arXiv 1706.04599):

    .. math:: \sum_b \frac{n_b}{n} \lvert \bar y_b - \bar p_b \rvert

    over bins of equal width in the predicted probability p.

    Args:
        logits: Predicted log-odds (R,).
        truth: 0 or 1 (R,).
        weight: Weight of each prediction (R,); None for equal weights.
        num_bins: Number of bins.

    Returns:
        Error in [0, 1]; 0 without predictions.
    """
    probability = logits.double().sigmoid()
    weight = torch.ones_like(probability) if weight is None else weight.double()
    index = (probability * num_bins).long().clamp(max=num_bins - 1)
    surplus = torch.zeros(num_bins, dtype=torch.float64).index_add(0, index, weight * (truth - probability))
    return float(surplus.abs().sum() / weight.sum().clamp(min=1e-9))


def fit_temperature(logits: Tensor, truth: Tensor, weight: Tensor | None = None) -> Calibration:
    """Fit the temperature in [0.1, 10] with the smallest cross-entropy (Guo et al. 2017, arXiv 1706.04599).

    Args:
        logits: Predicted log-odds (R,), of data that was not trained on.
        truth: 0 or 1 (R,).
        weight: Weight of each prediction (R,); None for equal weights.

    Raises:
        ValueError: If there are no predictions.
    """
    if len(logits) == 0:
        raise ValueError("Expected predictions to calibrate, got none")
    logits, truth = logits.detach().double(), truth.double()

    def loss(log_temperature: float) -> float:
        scaled = logits / torch.tensor(log_temperature, dtype=torch.float64).exp()
        return float(F.binary_cross_entropy_with_logits(scaled, truth, weight))

    best = minimize_scalar(loss, bounds=(-2.302585, 2.302585), method="bounded").x
    temperature = float(torch.tensor(best).exp())
    weight = torch.ones_like(truth) if weight is None else weight.double()
    scaled = logits / temperature
    doubtful = (scaled.sigmoid() - 0.5).abs() < 0.45
    return Calibration(
        temperature,
        calibration_error(logits, truth, weight),
        calibration_error(scaled, truth, weight),
        float(weight[doubtful].sum() / weight.sum().clamp(min=1e-9)),
        calibration_error(scaled[doubtful], truth[doubtful], weight[doubtful]),
    )


@torch.no_grad()
def calibrate(head: TransitionHead, steps: Sequence[AssociationStep]) -> Calibration:
    """Fit the temperature of the head's edge logits on steps that it was not trained on.

    The head is evaluated in inference mode; its mode is restored.
    """
    was_training, logits = head.training, []
    head.eval()
    for start in range(0, len(steps), 64):
        part = AssociationStep.join(steps[start : start + 64])
        logits.append(head(part.previous, part.current, part.edge_index, part.edges)[0])
    head.train(was_training)
    joined = AssociationStep.join(steps)
    return fit_temperature(torch.cat(logits), joined.edge_target, joined.edge_weight)
