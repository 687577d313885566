import pytest
import torch
from torch import nn

from tltm_graph.models import tltm_tiny
from tltm_graph.training import weight_average


class Counting(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)
        self.register_buffer("count", torch.tensor(0))


def test_it_follows_by_the_formula():
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


def test_without_decay_it_is_the_model():
    model = Counting()
    average = weight_average(model, 0.0)
    for _ in range(3):
        with torch.no_grad():
            model.weight.add_(1)
        average.update_parameters(model)
        assert average.module.weight.equal(model.weight)


def test_it_is_a_model_of_its_own():
    model = tltm_tiny(("thing",))
    average = weight_average(model, 0.9).module
    assert average.config == model.config
    assert all(p.requires_grad for p in model.parameters())


def test_what_is_no_decay():
    with pytest.raises(ValueError, match=r"Expected a decay of the average from 0 to below 1, got 1.0"):
        weight_average(Counting(), 1.0)
