import copy
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.models.resnet import Bottleneck
from torchvision.ops import FrozenBatchNorm2d

from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.models.tltm import TLTM, detector_of
from tltm_graph.nn import FoldedTransitionGNN, TransitionGNN

Model = TypeVar("Model", bound=TLTM | CenterMask)


def for_inference(model: Model) -> Model:
    """A copy of a model that computes the same, faster, and can no longer be trained or saved.

    Frozen norms are multiplied into the convolutions before them, adjacent linear maps of the GNN into each other, and
    convolutions read channels last. Results differ by rounding alone.

    Args:
        model: The model, which is not changed.
    """
    fast = copy.deepcopy(model)
    fast.eval().requires_grad_(False)
    fast.config = None
    detector = detector_of(fast)
    _fold_norms(detector.backbone)
    gnn = fast.relation.gnn if isinstance(fast, TLTM) else None
    if isinstance(fast, TLTM) and isinstance(gnn, TransitionGNN) and gnn.aggr in ("sum", "add", "mean"):
        fast.relation.gnn = FoldedTransitionGNN(gnn)
    fast.to(memory_format=torch.channels_last)
    return fast


def _fold_norms(backbone: nn.Module) -> None:
    for module in list(backbone.modules()):
        if isinstance(module, Bottleneck):
            for i in (1, 2, 3):
                _fold(module, f"conv{i}", f"bn{i}")
            if module.downsample is not None:
                _fold(module.downsample, "0", "1")
        elif hasattr(module, "_modules") and {"conv1", "bn1", "layer1"} <= module._modules.keys():
            _fold(module, "conv1", "bn1")


def _fold(parent: nn.Module, conv_name: str, norm_name: str) -> None:
    conv, norm = parent._modules[conv_name], parent._modules[norm_name]
    if not (isinstance(conv, nn.Conv2d) and isinstance(norm, FrozenBatchNorm2d)):
        return
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    conv.weight, conv.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
    parent._modules[norm_name] = nn.Identity()
