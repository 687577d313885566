import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch_geometric.data import HeteroData
from torchvision.models.resnet import Bottleneck
from torchvision.ops import FrozenBatchNorm2d

from tltm_graph.association import AppearanceModel, LearnedAffinity
from tltm_graph.detectors import Detector
from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.detectors.centermask.model import PreviousFrame, Pyramid
from tltm_graph.graph import TRANSITION
from tltm_graph.nn import FoldedTransitionGNN, InstanceEncoder, TransitionGNN
from tltm_graph.nn.appearance_encoder import edge_cosine_similarity
from tltm_graph.structures import Detections, Frame


class RelationModel(nn.Module, AppearanceModel):
    """Appearance model of an encoder and a GNN: from a detector's features to edge logits.

    Args:
        encoder: Encoder of the features of objects as embeddings (N, channels); None for the published one.
        gnn: GNN that scores the edges between objects; None for the published one. A folded one is for inference only.
        groups: If above 0, the GNN reads edge features (E, 2 groups + 1): the cosine similarity of both ends by groups
            of channels, scaled to ±4, for the last and for the mean embedding of the track; and the log of the time
            since update, minus 1.

    Raises:
        ValueError: If the GNN takes other edge features than these.
    """

    is_trained: Tensor

    def __init__(
        self,
        encoder: nn.Module | None = None,
        gnn: TransitionGNN | FoldedTransitionGNN | None = None,
        groups: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder or InstanceEncoder()
        self.gnn = gnn or TransitionGNN()
        self.groups = groups
        if groups and self.gnn.edge_dim != 2 * groups + 1:
            raise ValueError(
                f"Expected a GNN with {2 * groups + 1} edge features for {groups} groups, "
                f"got one with {self.gnn.edge_dim}"
            )
        # Saved with the weights and set by training, so that random weights are never used for association.
        self.register_buffer("is_trained", torch.tensor(False))

    def encode(self, detections: Detections) -> Tensor:
        """Compute the embeddings (N, channels) of the objects of one frame.

        Raises:
            ValueError: If the detections have no features.
        """
        if detections.features is None:
            if len(detections) == 0:
                return detections.boxes.new_zeros((0, self.gnn.channels))
            raise ValueError(
                f"Expected detections with features, got {detections!r}: this detector cannot feed a relation model"
            )
        return self.encoder(detections.features)

    def embed(self, pyramid: Pyramid, image: Tensor, boxes: Tensor, shapes: Tensor) -> Tensor | None:
        """Compute the embeddings (N, F) when the objects are detected; None if :meth:`encode` reads their features.

        Args:
            pyramid: Feature maps of the frame.
            image: Input of the network, RGB (3, H, W), uint8.
            boxes: Boxes xyxy in pixels of the image (N, 4).
            shapes: Mask probabilities in the boxes (N, 28, 28).
        """
        return None

    def score(self, graph: HeteroData) -> Tensor:
        """Compute the edge logits (E,) of a graph whose nodes have ``x``; :meth:`edge_features` reads more fields."""
        x = graph["previous"].x, graph["current"].x
        return self.gnn(x, graph[TRANSITION].edge_index, self.edge_features(graph))

    def edge_features(self, graph: HeteroData) -> Tensor | None:
        """Compute the edge features of the GNN (E, D): those of the class with ``groups``, else ``edge_attr`` or None.

        The graph may have ``graph["previous"].time_since_update (M,)`` in frames and the mean embedding over all
        observations, ``graph["previous"].mean_x (M, channels)``, as :class:`tltm_graph.tracking.Tracker` sets them.
        Without them, every object was observed once, in the frame before.
        """
        store, previous = graph[TRANSITION], graph["previous"]
        if not self.groups:
            return store.edge_attr if "edge_attr" in store else None
        mean_x = previous.mean_x if "mean_x" in previous else previous.x
        similarity = torch.cat(
            [
                edge_cosine_similarity((x, graph["current"].x), store.edge_index, self.groups)
                for x in (previous.x, mean_x)
            ],
            dim=1,
        )
        if "time_since_update" in previous:
            time_since_update = previous.time_since_update.to(similarity)
        else:
            time_since_update = similarity.new_ones(len(previous.x))
        log_time = time_since_update.clamp(min=1).log()[store.edge_index[0], None] - 1
        return torch.cat([4 * similarity, log_time], dim=1)  # (E, 2 groups + 1)


class TLTM(nn.Module, Detector, AppearanceModel):
    """Two-level temporal relation model (arXiv 2210.16795), trained end to end.

    It has a CenterMask, whose pyramid is fused with that of the previous frame, and a GNN, which scores the edges
    between the objects of both frames. It is a detector with its own affinity:

    >>> tracker = Tracker(model)

    Args:
        detector: Detector of objects, their features and masks.
        relation: Appearance model that encodes the features and scores the edges.
    """

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
    def masks_on_demand(self) -> bool:  # type: ignore[override]
        """True if :meth:`detect` returns no masks: that of the detector."""
        return self.detector.masks_on_demand

    @property
    def new_track_threshold(self) -> float | None:  # type: ignore[override]
        """Minimum score that should start a track: that of the detector."""
        return self.detector.new_track_threshold

    @property
    def is_trained(self) -> Tensor:
        """True, as a bool tensor, if the relation has trained weights."""
        return self.relation.is_trained

    def detect(self, frame: Frame, context: PreviousFrame | None = None) -> tuple[Detections, PreviousFrame]:
        """Detect the objects of a frame: :meth:`CenterMask.detect`.

        If the relation is trained and reads pixels, the objects have its embeddings.
        """
        detected = self.detector.look(frame, context)
        objects = detected.objects
        if self.is_trained and detected.shapes is not None:
            with torch.no_grad():
                embeddings = self.relation.embed(detected.pyramid, detected.image, detected.boxes, detected.shapes)
            # Rounded, because saved graphs contain them and compress well then.
            objects = objects.replace(embeddings=None if embeddings is None else embeddings.half().float())
        return objects, detected.context

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

    def evidence(self, graph: HeteroData) -> dict[str, Tensor]:
        """Decompose the edge logits: :meth:`RelationModel.evidence`."""
        return self.relation.evidence(graph)

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


Model = TypeVar("Model", bound=TLTM | CenterMask)


def for_inference(model: Model) -> Model:
    """Copy a model for faster inference. The copy can be neither trained nor saved.

    Frozen norms are multiplied into the convolutions before them, adjacent linear maps of the GNN into each other, and
    convolutions read channels last. Outputs differ only by rounding.

    Args:
        model: Model to copy.
    """
    fast = copy.deepcopy(model, {id(detector_of(model).backend): None})  # compiled networks cannot be copied
    fast.eval().requires_grad_(False)
    fast.config = None
    _fold_norms(detector_of(fast).backbone)
    if isinstance(fast, TLTM):
        gnn = fast.relation.gnn
        if isinstance(gnn, TransitionGNN) and gnn.aggr in ("sum", "add", "mean"):
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
        elif {"conv1", "bn1", "layer1"} <= dict(module.named_children()).keys():  # the stem of a ResNet
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
