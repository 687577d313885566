from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch_geometric.data import HeteroData

from tltm_graph.data import YOUTUBE_VIS_2019
from tltm_graph.detectors.centermask import (
    CenterMask,
    FCOSHead,
    MaskHead,
    Pyramid,
    PyramidBackbone,
    mobile_backbone,
    resnet_backbone,
)
from tltm_graph.models.relation import RelationModel
from tltm_graph.nn import InstanceEncoder, ResFuser, TransitionGNN
from tltm_graph.structures import Detections, Frame


class TLTM(nn.Module):
    """The two-level temporal relation model (arXiv 2210.16795): a detector whose pyramid is fused with the previous
    frame's, and a GNN that relates the objects of both frames. All of it is trained end to end.

    It is detector and relation of a tracker at once:

    >>> tracker = Tracker(model, relation=model)

    Args:
        detector: Finds, describes and segments objects.
        relation: Encodes their features, and scores transitions between them.
    """

    def __init__(self, detector: CenterMask, relation: RelationModel) -> None:
        super().__init__()
        self.detector = detector
        self.relation = relation

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes."""
        return self.detector.class_names

    @property
    def is_trained(self) -> Tensor:
        """Whether the relation has learned weights."""
        return self.relation.is_trained

    def detect(self, frame: Frame, context: Pyramid | None = None) -> tuple[Detections, Pyramid]:
        """See :meth:`CenterMask.detect`."""
        return self.detector.detect(frame, context)

    def segment(self, detections: Detections, size: tuple[int, int]) -> Detections:
        """See :meth:`CenterMask.segment`."""
        return self.detector.segment(detections, size)

    def encode(self, detections: Detections) -> Tensor:
        """See :meth:`RelationModel.encode`."""
        with self.detector.precision():
            return self.relation.encode(detections).float()

    def score(self, graph: HeteroData) -> Tensor:
        """See :meth:`RelationModel.score`."""
        return self.relation.score(graph)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.detector!r}, {self.relation.encoder!r}, {self.relation.gnn!r})"


def tltm_r50(class_names: Sequence[str] = YOUTUBE_VIS_2019, **options: Any) -> TLTM:
    """The published model on a ResNet-50: 46.7 million parameters, random ones at first.

    Args:
        class_names: Names of the classes.
        **options: Passed on to :class:`CenterMask`.
    """
    return _published(resnet_backbone(50), class_names, options)


def tltm_r101(class_names: Sequence[str] = YOUTUBE_VIS_2019, **options: Any) -> TLTM:
    """The published model on a ResNet-101; see :func:`tltm_r50`."""
    return _published(resnet_backbone(101), class_names, options)


def tltm_tiny(class_names: Sequence[str] = YOUTUBE_VIS_2019, **options: Any) -> TLTM:
    """A model for CPUs, and for learning from scratch: half of a MobileNetV2, a pyramid of 64 channels, group norm.

    Args:
        class_names: Names of the classes.
        **options: Passed on to :class:`CenterMask`; ``min_size`` is 320 and ``max_size`` 640 here by default.
    """
    backbone = mobile_backbone(width=0.5, channels=64)
    relation = RelationModel(InstanceEncoder(64, 64, 64), TransitionGNN(64, 64))
    options = {"min_size": 320, "max_size": 640} | options
    return TLTM(_center_mask(backbone, class_names, options, num_convs=2), relation)


def _published(backbone: PyramidBackbone, class_names: Sequence[str], options: dict[str, Any]) -> TLTM:
    return TLTM(_center_mask(backbone, class_names, options, num_convs=4), RelationModel())


def _center_mask(
    backbone: PyramidBackbone, class_names: Sequence[str], options: dict[str, Any], num_convs: int
) -> CenterMask:
    channels = backbone.channels
    return CenterMask(
        backbone,
        FCOSHead(len(class_names), channels, num_convs, len(backbone.strides)),
        MaskHead(len(class_names), channels, num_convs),
        fusers=[ResFuser(channels, channels) for _ in backbone.strides],
        class_names=class_names,
        **options,
    )
