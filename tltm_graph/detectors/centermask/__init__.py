"""CenterMask: FCOS and spatial-attention masks on a feature pyramid that may be fused with the previous frame's."""

from tltm_graph.detectors.centermask.backbone import PyramidBackbone, mobile_backbone, resnet_backbone
from tltm_graph.detectors.centermask.fcos import Decoder, DenseOutput, FCOSHead, cell_centres
from tltm_graph.detectors.centermask.mask_head import MaskHead, SpatialAttention
from tltm_graph.detectors.centermask.model import CenterMask, Pyramid
from tltm_graph.detectors.centermask.targets import DenseTargets, assign_targets, mask_targets

__all__ = [
    "CenterMask",
    "Decoder",
    "DenseOutput",
    "DenseTargets",
    "FCOSHead",
    "MaskHead",
    "Pyramid",
    "PyramidBackbone",
    "SpatialAttention",
    "assign_targets",
    "cell_centres",
    "mask_targets",
    "mobile_backbone",
    "resnet_backbone",
]
