"""Weights and inputs of the reference numbers, re-made from their names."""

import re
import zlib
from pathlib import Path

import torch
from torch import Tensor, nn

from tltm_graph.models import TLTM, reference_name

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
    (r"(^|\.)stem\.conv1\.weight$", 1 / 64),
    (r"\.res[2-5]\.\d+\.conv3\.weight$", 0.5),
    (r"\.fpn_lateral\d\.weight$", 0.25),
    (r"\.(fpn_output\d|top_block\.p[67])\.weight$", 0.7),
    (r"\.resfuser_\d\.cn2\.weight$", 0.5),
    (r"\.bbox_pred\.weight$", 2.0),
    (r"\.mask_head\.predictor\.weight$", 0.5),
    (r"obj_encoder\.fc\.weight$", 0.5),
    (r"edge_predictor\.2\.weight$", 1.5),
    (r"node_mlp\.5\.weight$", 0.5),
)
_OFFSETS = {"cls_logits.bias": -6.5, "bbox_pred.bias": 5.0, "edge_predictor.2.bias": -3.5}


def seeded(name: str, shape: tuple[int, ...]) -> Tensor:
    """Standard normal numbers that depend on ``name`` alone."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


def fill(module: nn.Module, prefix: str) -> nn.Module:
    """Gives every parameter of a part that has the official names the value that its name says."""
    state = {name: value(f"{prefix}.{name}", tuple(tensor.shape)) for name, tensor in module.state_dict().items()}
    module.load_state_dict(state)
    return module.eval()


def reference_state(model: nn.Module) -> dict[str, Tensor]:
    """The weights of a TLTM or CenterMask as its official checkpoint would hold them."""
    prefix = "" if isinstance(model, TLTM) else "detector."
    names = {reference_name(prefix + name): tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    return {name: value(name, shape) for name, shape in names.items() if name is not None}


def value(name: str, shape: tuple[int, ...]) -> Tensor:
    """The value of an official name."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return 1 + 0.1 * torch.rand(shape, generator=generator)
    random = torch.randn(shape, generator=generator)
    if name.endswith("running_mean"):
        return 0.05 * random
    if re.search(r"scales\.\d+\.scale$", name):
        return 1 + 0.05 * random
    if name.endswith(".bias"):
        return 0.05 * random + next((off for end, off in _OFFSETS.items() if name.endswith(end)), 0.0)
    if len(shape) == 1:
        return 1 + 0.05 * random
    gain = next((gain for pattern, gain in _GAINS if re.search(pattern, name)), 1.0)
    fan_in = shape[0] if name.endswith("deconv.weight") else torch.Size(shape[1:]).numel()
    return random * (gain * (2.0 / fan_in) ** 0.5)
