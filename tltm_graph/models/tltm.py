from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn
from torch_geometric.data import HeteroData

from tltm_graph.association import LearnedAffinity
from tltm_graph.detectors import Detector
from tltm_graph.detectors.centermask import (
    CenterMask,
    Decoder,
    FCOSHead,
    MaskHead,
    PyramidBackbone,
    mobile_backbone,
    resnet_backbone,
)
from tltm_graph.detectors.centermask.model import Pyramid
from tltm_graph.formats import COCO, YOUTUBE_VIS_2019
from tltm_graph.models.pretrained import load_weights
from tltm_graph.models.relation import RelationModel
from tltm_graph.nn import AppearanceEncoder, ResFuser, TransitionGNN
from tltm_graph.structures import Detections, Frame

Model = TypeVar("Model", "TLTM", CenterMask)


class TLTM(nn.Module, Detector):
    """Two-level temporal relation model (arXiv 2210.16795): a CenterMask whose pyramid is fused with that of the
    previous frame, and a GNN that relates the objects of both frames, trained end to end.

    It is a detector that brings its own affinity:

    >>> tracker = Tracker(model)

    Args:
        detector: Detects, describes and segments objects.
        relation: Encodes their features and scores the edges between them.
    """

    masks_on_demand = True

    config: dict[str, Any] | None = None
    """Arguments to build the model again, for :func:`tltm_graph.models.save_model`."""

    association: LearnedAffinity | None = None
    """Association head trained on this model's detections and edge logits; None for the shipped one."""

    def __init__(self, detector: CenterMask, relation: RelationModel) -> None:
        super().__init__()
        self.detector = detector
        self.relation = relation

    @property
    def class_names(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """Names of the classes."""
        return self.detector.class_names

    @property
    def is_trained(self) -> Tensor:
        """True, as a bool tensor, if the relation has trained weights."""
        return self.relation.is_trained

    def detect(self, frame: Frame, context: Pyramid | None = None) -> tuple[Detections, Pyramid]:
        """Detect the objects of a frame: :meth:`CenterMask.detect`."""
        return self.detector.detect(frame, context)

    def segment(self, detections: Detections, size: tuple[int, int]) -> Detections:
        """Draw masks: :meth:`CenterMask.segment`."""
        return self.detector.segment(detections, size)

    def scale(self, size: tuple[int, int]) -> float:
        """Ratio of the network's input size to the size (H, W) of a frame."""
        return self.detector.scale(size)

    def affinity(self) -> LearnedAffinity | None:
        """Affinity that reads this model's edge logits; None if the relation is not trained."""
        if not self.is_trained:
            return None
        learned = self.association or LearnedAffinity.from_file()
        return LearnedAffinity(learned.head, learned.temperature, appearance=self)

    def encode(self, detections: Detections) -> Tensor:
        """Compute appearance embeddings (N, F): :meth:`RelationModel.encode`."""
        with self.detector.precision():
            return self.relation.encode(detections).float()

    def score(self, graph: HeteroData) -> Tensor:
        """Compute edge logits (E,): :meth:`RelationModel.score`."""
        return self.relation.score(graph)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.detector!r}, {self.relation.encoder!r}, {self.relation.gnn!r})"


def detector_of(model: TLTM | CenterMask) -> CenterMask:
    """Return the CenterMask of a model."""
    return model.detector if isinstance(model, TLTM) else model


def expect_tltm(model: Any) -> TLTM:
    """Return a model that has a relation.

    Raises:
        ValueError: If it is not a TLTM.
    """
    if not isinstance(model, TLTM):
        raise ValueError(f"Expected a TLTM, a model with a relation, got {model!r}: build one with tltm_r50()")
    return model


def tltm_r50(
    class_names: Sequence[str] = YOUTUBE_VIS_2019,
    weights: str | Path | None = None,
    stride_in_1x1: bool = True,
    **options: Any,
) -> TLTM:
    """The published model on a ResNet-50, 46.7 million parameters.

    Args:
        class_names: Names of the classes.
        weights: A file, or a known name (:func:`load_weights`); None for random ones.
        stride_in_1x1: See :func:`tltm_graph.detectors.centermask.resnet_backbone`.
        **options: Passed on to :class:`CenterMask`.
    """
    model = TLTM(_center_mask(resnet_backbone(50, stride_in_1x1), class_names, options, fused=True), RelationModel())
    return _finished(model, "tltm_r50", weights, stride_in_1x1=stride_in_1x1)


def tltm_r101(
    class_names: Sequence[str] = YOUTUBE_VIS_2019,
    weights: str | Path | None = None,
    stride_in_1x1: bool = True,
    **options: Any,
) -> TLTM:
    """The published model on a ResNet-101; see :func:`tltm_r50`."""
    model = TLTM(_center_mask(resnet_backbone(101, stride_in_1x1), class_names, options, fused=True), RelationModel())
    return _finished(model, "tltm_r101", weights, stride_in_1x1=stride_in_1x1)


def tltm_tiny(class_names: Sequence[str] = YOUTUBE_VIS_2019, weights: str | Path | None = None, **options: Any) -> TLTM:
    """A model for CPUs, and for learning from scratch: half of a MobileNetV2, a pyramid of 64 channels, group norm.

    Args:
        class_names: Names of the classes.
        weights: See :func:`tltm_r50`.
        **options: Passed on to :class:`CenterMask`; ``min_size`` is 320 and ``max_size`` 640 here by default, and the
            decoder wants a class probability of 0.2 and takes boxes that overlap by 0.4 for one object, of whatever
            classes: so small a model mixes them up.
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
    """CenterMask on a ResNet-50, whose frames know nothing of each other; see :func:`tltm_r50`."""
    model = _center_mask(resnet_backbone(50, stride_in_1x1), class_names, options)
    return _finished(model, "centermask_r50", weights, stride_in_1x1=stride_in_1x1)


def centermask_r101(
    class_names: Sequence[str] = COCO, weights: str | Path | None = None, stride_in_1x1: bool = True, **options: Any
) -> CenterMask:
    """CenterMask on a ResNet-101, whose frames know nothing of each other; see :func:`tltm_r50`."""
    model = _center_mask(resnet_backbone(101, stride_in_1x1), class_names, options)
    return _finished(model, "centermask_r101", weights, stride_in_1x1=stride_in_1x1)


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
