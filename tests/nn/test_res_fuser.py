import numpy as np
import pytest
import torch

from tests.parity import FIXTURES, fill, seeded
from tltm_graph.nn import ResFuser


def test_repr_and_published_size():
    fuser = ResFuser()
    assert str(fuser) == "ResFuser(256)"
    assert sum(p.numel() for p in fuser.parameters()) == 1_769_984
    before = fuser.cn1.weight.clone()
    fuser.reset_parameters()
    assert not torch.equal(before, fuser.cn1.weight)


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 6, 8), (2, 5, 3), (1, 1, 1), (1, 2, 2)])
def test_equals_the_released_code(batch, height, width):
    name, shape = f"resfuser.{batch}x{height}x{width}", (batch, 256, height, width)
    with torch.no_grad():
        fused = fill(ResFuser(), "resfuser")(seeded(f"{name}.f_ref", shape), seeded(f"{name}.f_cur", shape))
    expected = torch.from_numpy(np.load(FIXTURES / "components.npz")[f"{name}.out"])
    torch.testing.assert_close(fused, expected, atol=1e-4, rtol=0)


def test_the_previous_level_comes_first():
    fuser = ResFuser(2, 4)
    with torch.no_grad():
        fuser.cn1.weight[:, 2:] = 0  # ignore the current level
    current = seeded("current", (1, 2, 3, 3))
    delta = fuser(torch.zeros(1, 2, 3, 3), current) - current
    torch.testing.assert_close(fuser(torch.zeros(1, 2, 3, 3), 2 * current) - 2 * current, delta)
    assert not torch.allclose(fuser(current, current) - current, delta)


@pytest.mark.parametrize("batch", [0, 1])
def test_backward(batch):
    fuser, previous = ResFuser(2, 4), torch.zeros(batch, 2, 3, 3, requires_grad=True)
    fuser(previous, torch.zeros(batch, 2, 3, 3)).sum().backward()
    assert previous.grad.shape == (batch, 2, 3, 3)


def test_bad_input():
    with pytest.raises(ValueError, match=r"Expected two levels of equal shape \(B, 256, H, W\)"):
        ResFuser()(torch.zeros(1, 256, 4, 4), torch.zeros(1, 256, 4, 5))
