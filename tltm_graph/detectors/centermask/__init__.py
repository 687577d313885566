"""CenterMask: FCOS and a mask head on a feature pyramid, which may be fused with that of the previous frame."""

from tltm_graph.detectors.centermask.backbone import mobile_backbone, resnet_backbone
from tltm_graph.detectors.centermask.fcos import Decoder
from tltm_graph.detectors.centermask.model import CenterMask

__all__ = ["CenterMask", "Decoder", "mobile_backbone", "resnet_backbone"]
