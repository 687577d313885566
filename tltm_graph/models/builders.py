from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tltm_graph.detectors.centermask import CenterMask, Decoder, mobile_backbone, resnet_backbone
from tltm_graph.detectors.centermask.backbone import PyramidBackbone
from tltm_graph.detectors.centermask.esnet import ShuffleBackbone
from tltm_graph.detectors.centermask.fcos import FCOSHead
from tltm_graph.detectors.centermask.flow_alignment import NUM_CUES, FlowAlignment
from tltm_graph.detectors.centermask.mask_head import MaskHead
from tltm_graph.detectors.centermask.pico_head import PicoHead
from tltm_graph.formats import COCO, YOUTUBE_VIS_2019
from tltm_graph.models.appearance import AppearanceEvidence
from tltm_graph.models.pretrained import load_weights
from tltm_graph.models.tltm import TLTM, Model, RelationModel
from tltm_graph.nn import AppearanceEncoder, GatedFuser, ResFuser, TransitionGNN


def tltm_r50(
    class_names: Sequence[str] = YOUTUBE_VIS_2019,
    weights: str | Path | None = None,
    stride_in_1x1: bool = True,
    **options: Any,
) -> TLTM:
    """Build the published model with a ResNet-50, 46.7 million parameters.

    Args:
        class_names: Names of the classes.
        weights: File or name of weights for :func:`load_weights`; None for random weights.
        stride_in_1x1: True if the stride of the ResNet is in its 1×1 convolutions, False if in the 3×3 ones
            (:func:`tltm_graph.detectors.centermask.resnet_backbone`).
        **options: Keyword arguments of :class:`tltm_graph.detectors.centermask.CenterMask`.
    """
    model = TLTM(_center_mask(resnet_backbone(50, stride_in_1x1), class_names, options, fused=True), RelationModel())
    return _finished(model, "tltm_r50", weights, stride_in_1x1=stride_in_1x1)


def tltm_r101(
    class_names: Sequence[str] = YOUTUBE_VIS_2019,
    weights: str | Path | None = None,
    stride_in_1x1: bool = True,
    **options: Any,
) -> TLTM:
    """Build the published model with a ResNet-101. Arguments are those of :func:`tltm_r50`."""
    model = TLTM(_center_mask(resnet_backbone(101, stride_in_1x1), class_names, options, fused=True), RelationModel())
    return _finished(model, "tltm_r101", weights, stride_in_1x1=stride_in_1x1)


def tltm_tiny(class_names: Sequence[str] = YOUTUBE_VIS_2019, weights: str | Path | None = None, **options: Any) -> TLTM:
    """Build a small model for CPUs and for training from scratch.

    It has half the channels of a MobileNetV2, a pyramid of 64 channels, and group norm. By default ``min_size`` is 320
    and ``max_size`` 640. The decoder needs a class probability above 0.2 and suppresses boxes of different classes with
    an IoU above 0.4, because so small a model often detects an object as two classes.

    Args:
        class_names: Names of the classes.
        weights: File or name of weights for :func:`load_weights`; None for random weights.
        **options: Keyword arguments of :class:`tltm_graph.detectors.centermask.CenterMask`.
    """
    decoder = Decoder(score_threshold=0.2, nms_iou_across=0.4)
    options = {"min_size": 320, "max_size": 640, "decoder": decoder} | options
    detector = _center_mask(
        mobile_backbone(width=0.5, channels=64), class_names, options, num_convs=2, fused=True, pools_pixels=True
    )
    gnn = TransitionGNN(128, 64, edge_dim=9, aggr="mean")
    relation = RelationModel(AppearanceEncoder(64, 128), gnn, groups=4)
    return _finished(TLTM(detector, relation), "tltm_tiny", weights)


def centermask_r50(
    class_names: Sequence[str] = COCO, weights: str | Path | None = None, stride_in_1x1: bool = True, **options: Any
) -> CenterMask:
    """Build a CenterMask with a ResNet-50, which detects each frame alone. Arguments are those of :func:`tltm_r50`."""
    model = _center_mask(resnet_backbone(50, stride_in_1x1), class_names, options)
    return _finished(model, "centermask_r50", weights, stride_in_1x1=stride_in_1x1)


def centermask_r101(
    class_names: Sequence[str] = COCO, weights: str | Path | None = None, stride_in_1x1: bool = True, **options: Any
) -> CenterMask:
    """Build a CenterMask with a ResNet-101, which detects each frame alone. Arguments are those of :func:`tltm_r50`."""
    model = _center_mask(resnet_backbone(101, stride_in_1x1), class_names, options)
    return _finished(model, "centermask_r101", weights, stride_in_1x1=stride_in_1x1)


def centermask_pico(
    class_names: Sequence[str] = COCO, weights: str | Path | None = None, fused: bool = False, **options: Any
) -> CenterMask:
    """Build a small CenterMask for CPUs: the detector of PicoDet-S (arXiv 2111.00902) with a mask head.

    It has 1.2 million parameters. Batch norm is folded into the convolutions, so backbone and head are frozen. The mask
    head reads the map of stride 2 for crisp boundaries. By default frames are stretched to 416×416, a detection needs a
    score of 0.3, and 0.45 to start a track, and boxes of different classes with an IoU above 0.7 are duplicates.
    Masks of all objects are drawn, so that a tracker can tell other duplicates by them.

    Args:
        class_names: Names of the classes.
        weights: File or name of weights for :func:`load_weights`; None for random weights.
        fused: True to fuse each frame with the previous one by :class:`tltm_graph.nn.GatedFuser`.
        **options: Keyword arguments of :class:`tltm_graph.detectors.centermask.CenterMask`.
    """
    backbone, num_classes = ShuffleBackbone(), len(class_names)
    decoder = Decoder(score_threshold=0.3, nms_iou_across=0.7)
    defaults: dict[str, Any] = {
        "min_size": 416,
        "max_size": 416,
        "stretch": True,
        "decoder": decoder,
        "new_track_threshold": 0.45,
        "masks_on_demand": False,
        "mask_threshold": 0.4,
    }
    if fused:
        defaults["fusers"] = [GatedFuser(backbone.channels, 96, NUM_CUES) for _ in backbone.strides]
        defaults["alignment"], defaults["recurrent"] = FlowAlignment(), True
    model = CenterMask(
        backbone,
        PicoHead(num_classes, backbone.channels, len(backbone.strides)),
        MaskHead(
            num_classes=1,
            channels=backbone.channels,
            num_convs=3,
            fine_channels=backbone.fine_channels,
            hidden_channels=80,
            num_embeddings=num_classes,
        ),
        class_names=class_names,
        **(defaults | options),
    )
    for part in (model.backbone, model.head):
        part.requires_grad_(False)
    return _finished(model, "centermask_pico", weights, **({"fused": True} if fused else {}))


def tltm_pico(class_names: Sequence[str] = COCO, weights: str | Path | None = None, **options: Any) -> TLTM:
    """Build the small model for CPUs: :func:`centermask_pico` with gated fusers and an appearance model.

    The appearance model reads pixels: :class:`tltm_graph.models.AppearanceEvidence`. A part of an object looks like the
    object, so the association more often takes it for one; hence a track needs a score of 0.55 to start.

    Args:
        class_names: Names of the classes.
        weights: File or name of weights for :func:`load_weights`; None for random weights.
        **options: Keyword arguments of :class:`tltm_graph.detectors.centermask.CenterMask`.
    """
    options = {"new_track_threshold": 0.55} | options
    model = TLTM(centermask_pico(class_names, fused=True, **options), AppearanceEvidence())
    return _finished(model, "tltm_pico", weights)


def _center_mask(
    backbone: PyramidBackbone,
    class_names: Sequence[str],
    options: dict[str, Any],
    num_convs: int = 4,
    fused: bool = False,
    pools_pixels: bool = False,
) -> CenterMask:
    channels, num_classes = backbone.channels, len(class_names)
    return CenterMask(
        backbone,
        FCOSHead(num_classes, channels, num_convs, len(backbone.strides)),
        MaskHead(num_classes, channels, num_convs),
        fusers=[ResFuser(channels, channels) for _ in backbone.strides] if fused else None,
        class_names=class_names,
        pools_pixels=pools_pixels,
        **options,
    )


def _finished(model: Model, architecture: str, weights: str | Path | None, **options: Any) -> Model:
    model.config = {"architecture": architecture, **options}
    if weights is not None:
        load_weights(weights, model)
    return model
