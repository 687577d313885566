"""Weights and inputs of the reference numbers, re-made from their names."""

import re
import zlib
from pathlib import Path

import torch
from torch import Tensor, nn

FIXTURES = Path(__file__).parent / "fixtures"

# The settings of the association rule: weights of match, score, overlap and class; misses until a track is forgotten.
SETTINGS = {
    "r50_ytvis": ((0.5, 1.5, 2.5, 10), None),
    "r101_ytvis": ((1.25, 1, 2.5, 10), None),
    "baseline_nognn": ((0, 1.5, 2.5, 10), None),
    "forget3": ((1, 1, 2, 10), 3),
    "forget1": ((1, 1, 2, 10), 1),
}

_GAINS = (  # the first that matches counts; 1 for the rest
    (r"obj_encoder\.fc\.weight$", 0.5),
    (r"edge_predictor\.2\.weight$", 1.5),
    (r"node_mlp\.5\.weight$", 0.5),
)


def seeded(name: str, shape: tuple[int, ...]) -> Tensor:
    """Standard normal numbers that depend on ``name`` alone."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


def fill(module: nn.Module, prefix: str) -> nn.Module:
    """Gives every parameter of ``module`` the value that its official name says."""
    state = {name: _value(f"{prefix}.{name}", tuple(tensor.shape)) for name, tensor in module.state_dict().items()}
    module.load_state_dict(state)
    return module.eval()


def _value(name: str, shape: tuple[int, ...]) -> Tensor:
    random = seeded(name, shape)
    if name.endswith(".bias"):
        return 0.05 * random - (3.5 if name.endswith("edge_predictor.2.bias") else 0.0)
    if len(shape) == 1:
        return 1 + 0.05 * random
    gain = next((gain for pattern, gain in _GAINS if re.search(pattern, name)), 1.0)
    fan_in = torch.Size(shape[1:]).numel()
    return random * (gain * (2.0 / fan_in) ** 0.5)
