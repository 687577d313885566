import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.parity import FIXTURES, fill, seeded
from tltm_graph.nn import InstanceEncoder


def test_repr_and_published_size():
    encoder = InstanceEncoder()
    assert str(encoder) == "InstanceEncoder(256, 512, resolution=14)"
    assert sum(p.numel() for p in encoder.parameters()) == 2_610_336
    before = encoder.cn3.weight.clone()
    encoder.reset_parameters()
    assert not torch.equal(before, encoder.cn3.weight)


@pytest.mark.parametrize("n", [1, 3, 6])
def test_equals_the_released_code(n):
    encoder = fill(InstanceEncoder(), "obj_encoder")
    with torch.no_grad():
        nodes = encoder(seeded(f"encoder.n{n}.in", (n, 256, 14, 14)))
    expected = torch.from_numpy(np.load(FIXTURES / "components.npz")[f"encoder.n{n}.out"])
    torch.testing.assert_close(nodes, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("n", [0, 2])
def test_equals_the_formula_and_goes_backward(n):
    encoder = InstanceEncoder(4, 32, 6, resolution=8)
    x = seeded("x", (n, 4, 8, 8)).requires_grad_()
    nodes = encoder(x)
    assert nodes.shape == (n, 6)
    for i in range(n):  # one object at a time
        y = F.relu(encoder.cn1(x[i : i + 1])).unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(4, 5))
        y = encoder.fc(F.relu(encoder.cn3(F.relu(encoder.cn2(y)))).reshape(1, -1))
        torch.testing.assert_close(nodes[i : i + 1], y)
    nodes.sum().backward()
    assert x.grad.shape == x.shape


def test_bad_input():
    with pytest.raises(ValueError, match=r"of shape \(N, 256, 14, 14\), got \(2, 256, 7, 7\)"):
        InstanceEncoder()(torch.zeros(2, 256, 7, 7))
    with pytest.raises(ValueError, match="Expected an even resolution"):
        InstanceEncoder(resolution=7)
