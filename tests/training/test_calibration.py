import pytest
import torch

from tltm_graph.training.calibration import calibration_error, fit_temperature


def drawn(scale: float, count: int = 40_000, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Calibrated log-odds times ``scale``, and what is true."""
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, generator=random)
    truth = (torch.rand(count, generator=random) < logits.sigmoid()).float()
    return scale * logits, truth


def test_the_temperature_is_found():
    for scale in (0.5, 1.0, 3.0):
        found = fit_temperature(*drawn(scale))
        assert found.temperature == pytest.approx(scale, rel=0.03)
        assert found.error_after < 0.01
        assert found.error_doubtful < 0.02
        assert found.doubtful == pytest.approx(0.86, abs=0.02)  # |logit| < log 19, of a deviation of 2
    assert fit_temperature(*drawn(3.0)).error_before > 0.05


def test_the_error_is_that_of_a_loop_over_bins():
    logits, truth = drawn(2.0, 500)
    weight = torch.rand(500, generator=torch.Generator().manual_seed(1))
    probability, total = logits.sigmoid(), 0.0
    for low in range(15):
        inside = [k for k in range(500) if low / 15 <= float(probability[k]) < (low + 1) / 15]
        total += abs(sum(float(weight[k] * (truth[k] - probability[k])) for k in inside))
    assert calibration_error(logits, truth, weight) == pytest.approx(total / float(weight.sum()), abs=1e-6)


def test_weights_weigh():
    logits, truth = drawn(1.0)
    wrong = torch.cat([logits, torch.full((4000,), 5.0)]), torch.cat([truth, torch.zeros(4000)])
    counted = torch.cat([torch.ones(len(logits)), torch.zeros(4000)])
    assert fit_temperature(*wrong, counted).temperature == pytest.approx(fit_temperature(logits, truth).temperature)
    assert fit_temperature(*wrong).temperature > 1.2


def test_nothing_to_calibrate():
    assert calibration_error(torch.zeros(0), torch.zeros(0)) == 0
    with pytest.raises(ValueError, match="got none"):
        fit_temperature(torch.zeros(0), torch.zeros(0))
