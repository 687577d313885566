import pytest
import torch
import torch.nn.functional as F

from tltm_graph.nn import GatedFuser


def trained(channels=4, hidden=6, num_cues=0):
    torch.manual_seed(0)
    fuser = GatedFuser(channels, hidden, num_cues)
    torch.nn.init.normal_(fuser.expand.weight)
    return fuser


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 6)])
@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("num_cues", [0, 2])
@torch.no_grad()
def test_equals_the_formula(batch, size, num_cues):
    fuser = trained(num_cues=num_cues)
    previous, current = torch.randn(batch, 4 + num_cues, *size), torch.randn(batch, 4, *size)
    fused = fuser(previous, current)
    for b in range(batch):
        both = torch.cat([previous[b], current[b]])  # (2C, H, W)
        x = F.hardswish(
            torch.einsum("hc,cyx->hyx", fuser.reduce.weight[..., 0, 0], both) + fuser.reduce.bias[:, None, None]
        )
        padded = F.pad(x, (2, 2, 2, 2))
        y = torch.zeros_like(x)
        for row in range(size[0]):
            for column in range(size[1]):
                window = padded[:, row : row + 5, column : column + 5]
                y[:, row, column] = (window * fuser.depthwise.weight[:, 0]).sum(dim=(1, 2)) + fuser.depthwise.bias
        y = F.hardswish(y + (fuser.frame.weight @ y.mean(dim=(1, 2)) + fuser.frame.bias)[:, None, None])
        out = torch.einsum("oh,hyx->oyx", fuser.expand.weight[..., 0, 0], y) + fuser.expand.bias[:, None, None]
        gate, delta = 1 / (1 + (-out[:4]).exp()), out[4:]
        expected = (1 - gate) * current[b] + gate * previous[b, :4] + delta
        torch.testing.assert_close(fused[b], expected, atol=1e-5, rtol=1e-5)


def test_untrained_it_returns_the_mean():
    fuser = GatedFuser(4)
    assert str(fuser) == "GatedFuser(4)"
    previous, current = torch.randn(2, 1, 4, 5, 5)
    torch.testing.assert_close(fuser(previous, current), (previous + current) / 2)
    assert torch.equal(fuser(current, current), current)


@torch.no_grad()
def test_without_cues_they_are_zero():
    fuser = trained(num_cues=2)
    previous, current = torch.randn(2, 1, 4, 5, 5)
    with_zeros = torch.cat([previous, torch.zeros(1, 2, 5, 5)], dim=1)
    assert torch.equal(fuser(previous, current), fuser(with_zeros, current))


def test_frames_of_a_batch_do_not_see_each_other():
    fuser = trained()
    previous, current = torch.randn(2, 3, 4, 5, 5)
    alone = torch.cat([fuser(previous[i : i + 1], current[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(fuser(previous, current), alone)


@pytest.mark.parametrize("batch", [0, 2])
def test_backward(batch):
    fuser = trained()
    previous = torch.randn(batch, 4, 5, 5, requires_grad=True)
    fuser(previous, torch.randn(batch, 4, 5, 5)).sum().backward()
    assert all(p.grad is not None for p in fuser.parameters())
    assert previous.grad.shape == previous.shape


def test_reset_parameters():
    fuser = trained()
    fuser.reset_parameters()
    assert not fuser.expand.weight.any()


def test_bad_input():
    with pytest.raises(ValueError, match=r"Expected two levels of equal shape \(B, 4, H, W\), .* got \(1, 4, 5, 5\)"):
        GatedFuser(4)(torch.zeros(1, 4, 5, 5), torch.zeros(1, 4, 5, 6))
    with pytest.raises(ValueError, match=r"with or without 2 channels of cues, got \(1, 5, 3, 3\) and \(1, 4, 3, 3\)"):
        GatedFuser(4, num_cues=2)(torch.zeros(1, 5, 3, 3), torch.zeros(1, 4, 3, 3))
