"""How far log-odds can be believed, and what to divide them by so that they can."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor


@dataclass(frozen=True)
class Calibration:
    """A temperature, and the calibration error without and with it.

    Args:
        temperature: What to divide logits by.
        error_before: :func:`calibration_error` of the logits as they are.
        error_after: That of the logits divided by the temperature.
        doubtful: Share of predictions that are, then, between 0.05 and 0.95. Most pairs of objects are told apart
            without doubt, which makes the errors above small.
        error_doubtful: The calibration error of these alone.
    """

    temperature: float
    error_before: float
    error_after: float
    doubtful: float
    error_doubtful: float


def calibration_error(logits: Tensor, truth: Tensor, weight: Tensor | None = None, num_bins: int = 15) -> float:
    r"""Expected calibration error of binary predictions (Naeini et al. 2015, Guo et al. 2017, arXiv 1706.04599):

    .. math:: \sum_b \frac{n_b}{n} \lvert \bar y_b - \bar p_b \rvert

    over bins of equal width in the predicted probability p.

    Args:
        logits: Predicted log-odds (R,).
        truth: 0 or 1 (R,).
        weight: What each counts (R,); None for all alike.
        num_bins: Number of bins.

    Returns:
        In [0, 1]; 0 if there is nothing.
    """
    probability = logits.double().sigmoid()
    weight = torch.ones_like(probability) if weight is None else weight.double()
    index = (probability * num_bins).long().clamp(max=num_bins - 1)
    surplus = torch.zeros(num_bins, dtype=torch.float64).index_add(0, index, weight * (truth - probability))
    return float(surplus.abs().sum() / weight.sum().clamp(min=1e-9))


def fit_temperature(logits: Tensor, truth: Tensor, weight: Tensor | None = None) -> Calibration:
    """The temperature in [0.1, 10] with the least cross-entropy (Guo et al. 2017).

    Args:
        logits: Predicted log-odds (R,), of data that was not trained on.
        truth: 0 or 1 (R,).
        weight: What each counts (R,); None for all alike.

    Raises:
        ValueError: If there is nothing to fit it to.
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
