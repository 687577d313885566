import pytest
import torch

from tests.parity import seeded
from tltm_graph.nn import FoldedTransitionHead, TransitionHead


def inputs(m: int, n: int, e: int) -> tuple[torch.Tensor, ...]:
    row, column = torch.arange(e) % max(m, 1), 7 * torch.arange(e) % max(n, 1)
    return seeded("previous", (m, 5)), seeded("current", (n, 4)), torch.stack([row, column]), seeded("edges", (e, 3))


@pytest.mark.parametrize("sizes", [(0, 0, 0), (0, 3, 0), (3, 0, 0), (4, 5, 0), (1, 1, 1), (6, 5, 17)])
@pytest.mark.parametrize("num_steps", [1, 3])
def test_equals_the_head(sizes, num_steps):
    head = TransitionHead(5, 4, 3, channels=8, hidden_channels=16, num_steps=num_steps)
    for _ in range(3):
        head(*inputs(6, 5, 17))  # standardisation learns from these
    head.eval()
    with torch.no_grad():
        expected = head(*inputs(*sizes))
    for folded, plain in zip(FoldedTransitionHead(head)(*inputs(*sizes)), expected, strict=True):
        torch.testing.assert_close(folded, plain, atol=1e-5, rtol=1e-5)


def test_logits_of_any_size_are_summed_without_overflow():
    head = TransitionHead(5, 4, 3, channels=8, hidden_channels=16).eval()
    with torch.no_grad():
        head.to_previous.edge_predictor[-1].weight *= 1e4
        expected = head(*inputs(6, 5, 17))
    assert expected[0].abs().max() > 200
    for folded, plain in zip(FoldedTransitionHead(head)(*inputs(6, 5, 17)), expected, strict=True):
        torch.testing.assert_close(folded, plain, atol=1e-4, rtol=1e-4)


def test_the_copy_keeps_its_weights():
    head = TransitionHead(5, 4, 3, channels=8, hidden_channels=16).eval()
    folded = FoldedTransitionHead(head)
    before = folded(*inputs(6, 5, 17))
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
    for after, first in zip(folded(*inputs(6, 5, 17)), before, strict=True):
        assert torch.equal(after, first)
    assert repr(folded) == "FoldedTransitionHead(channels=8, num_steps=1)"


def test_a_maximum_cannot_be_folded():
    with pytest.raises(ValueError, match="Expected a head that sums messages, got aggr='max'"):
        FoldedTransitionHead(TransitionHead(5, 4, 3, aggr="max"))
