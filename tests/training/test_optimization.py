import pytest
import torch
from torch import nn

from tltm_graph.models import tltm_tiny
from tltm_graph.training import CosineSchedule, StepSchedule
from tltm_graph.training.optimization import decayed_groups, weight_average


def test_cosine():
    schedule = CosineSchedule(warm_up=10, start=0.1, end=0.2)
    assert schedule(0, 110) == pytest.approx(0.1)
    assert schedule(5, 110) == pytest.approx(0.55)
    assert schedule(10, 110) == pytest.approx(1.0)
    assert schedule(60, 110) == pytest.approx(0.6)
    assert schedule(110, 110) == pytest.approx(0.2)
    assert schedule(999, 110) == pytest.approx(0.2), "beyond the end it stays"
    assert CosineSchedule(0)(0, 1) == 1.0
    assert CosineSchedule(100)(50, 10) < 1, "a run may be shorter than its warm-up"


def test_steps_of_the_paper():
    schedule = StepSchedule((100_000, 150_000))
    oracle = {0: 0.001, 500: 0.5005, 1000: 1.0, 99_999: 1.0, 100_000: 0.1, 149_999: 0.1, 150_000: 0.01, 179_999: 0.01}
    for step, factor in oracle.items():
        assert schedule(step, 180_000) == pytest.approx(factor)


def test_a_milestone_within_the_warm_up():
    assert StepSchedule((5,), warm_up=10, start=0.0)(8, 20) == pytest.approx(0.08)


def test_bad_schedules():
    with pytest.raises(ValueError, match=r"Expected milestones in order, got \[5, 3\]"):
        StepSchedule((5, 3))
    with pytest.raises(ValueError, match="Expected warm_up of at least 0, got -1"):
        CosineSchedule(-1)
    with pytest.raises(ValueError, match="Expected gamma of at least 0"):
        StepSchedule((5,), gamma=-0.1)


def test_norms_and_biases_do_not_decay():
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.GroupNorm(1, 3), nn.Flatten(), nn.Linear(3, 1))
    model[3].bias.requires_grad_(False)
    decayed, others = decayed_groups(model)
    assert [tuple(p.shape) for p in decayed["params"]] == [(3, 2, 1, 1), (1, 3)]
    assert len(others["params"]) == 3, "two of the norm, one bias; the other bias is frozen"
    optimizer = torch.optim.SGD([decayed, others], lr=1.0, weight_decay=0.5)
    before = [p.detach().clone() for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for old, new in zip(before, model.parameters(), strict=True):
        torch.testing.assert_close(new, old * (0.5 if new.ndim > 1 else 1))


def test_every_trained_weight_is_in_one_group():
    model = tltm_tiny(("thing",))
    groups = decayed_groups(model)
    ids = [id(p) for group in groups for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in model.parameters() if p.requires_grad)


class Counting(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)
        self.register_buffer("count", torch.tensor(0))


def test_average_is_that_of_the_formula():
    torch.manual_seed(0)
    model = Counting()
    average = weight_average(model, 0.5)
    expected = None
    for n in range(8):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 2))
            model.count.add_(1)
        average.update_parameters(model)
        decay = min(0.5, (1 + n) / (10 + n))
        expected = model.weight.detach().clone() if n == 0 else decay * expected + (1 - decay) * model.weight.detach()
        torch.testing.assert_close(average.module.weight, expected)
        assert average.module.count == model.count
    assert not any(p.requires_grad for p in average.parameters())


def test_without_decay_the_average_is_the_model():
    model = Counting()
    average = weight_average(model, 0.0)
    for _ in range(3):
        with torch.no_grad():
            model.weight.add_(1)
        average.update_parameters(model)
        assert average.module.weight.equal(model.weight)


def test_the_average_is_a_separate_model():
    model = tltm_tiny(("thing",))
    average = weight_average(model, 0.9).module
    assert average.config == model.config
    assert all(p.requires_grad for p in model.parameters())


def test_bad_decay():
    with pytest.raises(ValueError, match=r"Expected a decay of the average from 0 to below 1, got 1.0"):
        weight_average(Counting(), 1.0)
