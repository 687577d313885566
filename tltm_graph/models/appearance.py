"""Appearance model whose evidence is colour histograms, a learned embedding, and the comparison with rivals."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.utils import scatter
from torchvision.ops import roi_align

from tltm_graph.graph import TRANSITION
from tltm_graph.models.tltm import RelationModel
from tltm_graph.nn import TransitionGNN
from tltm_graph.nn.appearance_evidence import (
    COLOUR_BINS,
    EvidenceEncoder,
    MonotoneEvidence,
    colour_histogram,
    pool_levels,
    rival_margins,
)
from tltm_graph.structures import Detections

KINDS = ("colour", "equalized colour", "embedding")
"""Kinds of evidence, in the order of their parts of a node feature."""

_STRIDES, _CHANNELS = (4, 8, 8, 16, 32), (24, 96, 96, 96, 96)  # maps that are pooled: the stem at half its size first
_RESOLUTION, _FINE_RESOLUTION = 7, 28  # of pooled maps, and of pixels and masks
_HISTOGRAM_SIZE = math.prod(COLOUR_BINS)


class AppearanceEvidence(RelationModel):
    r"""Appearance model that adds several kinds of evidence in log-odds, and lets a GNN compare rivals.

    .. math::
        s_{ij} = \frac{1}{T} \left( \sum_k f_k(d_{ijk}, \bar d_{ijk}) + g_{ij} \right) + b - \log \max(M, N), \qquad
        d = \sqrt{1 - \cos}

    Kinds k are a colour histogram within the mask, the same of the equalised frame, which other light changes less,
    and an embedding of pooled feature maps. Distances :math:`d` are to the last observation of the track,
    :math:`\bar d` to the mean of all. The functions :math:`f_k` are monotone; :math:`g` is a :class:`TransitionGNN`
    that reads all distances, the margins over the best rivals, and how similar the frames are as a whole. The last
    term is the log-odds of a guess; :math:`T` and :math:`b` calibrate the sum on real video.

    Args:
        channels: Size of the embedding.
        node_channels: Size of the GNN's node features.
        hidden_channels: Size of its hidden layers.
    """

    temperature: Tensor
    bias: Tensor

    def __init__(self, channels: int = 64, node_channels: int = 16, hidden_channels: int = 48) -> None:
        encoder = EvidenceEncoder(sum(_CHANNELS) + 6, 2 * _HISTOGRAM_SIZE, channels, resolution=_RESOLUTION)
        kinds = len(KINDS)
        edge_dim = 2 * kinds + 2 * (kinds + 1) + 1 + kinds
        gnn = TransitionGNN(node_channels, hidden_channels, edge_dim=edge_dim, aggr="mean")
        for parameter in gnn.edge_predictor[-1].parameters():
            nn.init.zeros_(parameter)  # the model starts as the sum of the evidence
        super().__init__(encoder, gnn)
        self.channels = channels
        self.node = nn.Linear(channels, node_channels)
        self.maps = nn.ModuleList([MonotoneEvidence(2) for _ in KINDS])
        self.register_buffer("temperature", torch.tensor(1.0))
        self.register_buffer("bias", torch.tensor(0.0))

    def embed(self, pyramid: Sequence[Tensor], image: Tensor, boxes: Tensor, shapes: Tensor) -> Tensor:
        """Compute the embeddings (N, F) of the objects of one frame, float32: :func:`pool_evidence`, encoded."""
        return self.encoder(pool_evidence(pyramid, image, boxes, shapes)).float()

    def encode(self, detections: Detections) -> Tensor:
        """Return the embeddings (N, F) that :meth:`embed` computed when the objects were detected.

        Raises:
            ValueError: If the detections have no embeddings.
        """
        if detections.embeddings is None:
            if len(detections) == 0:
                return detections.boxes.new_zeros((0, 2 * _HISTOGRAM_SIZE + self.channels))
            raise ValueError(
                f"Expected detections with embeddings, got {detections!r}: detect them with the model of this "
                "appearance model"
            )
        return detections.embeddings

    def score(self, graph: HeteroData) -> Tensor:
        """Compute the calibrated edge logits (E,) of a graph whose nodes have ``x``: the sum of :meth:`evidence`."""
        return torch.stack(list(self.evidence(graph).values())).sum(dim=0)

    def evidence(self, graph: HeteroData) -> dict[str, Tensor]:
        """Compute the summands of :meth:`score`, in log-odds (E,).

        The graph may have ``graph["previous"].mean_x (M, F)``, the mean embedding over all observations.

        Returns:
            One summand for each of :data:`KINDS`; ``"rivals"``, of the GNN; and ``"prior"``, that of a guess.
        """
        similarity = self._similarity(graph)
        terms = self._terms(similarity)
        terms["rivals"] = self._rivals(graph, similarity, torch.stack(list(terms.values())).sum(dim=0))
        terms = {name: term / self.temperature for name, term in terms.items()}
        terms["prior"] = self.bias - self._log_guess(graph)
        return terms

    def edge_features(self, graph: HeteroData) -> Tensor:
        """Compute the edge features of the GNN (E, D)."""
        similarity = self._similarity(graph)
        return self._edge_features(graph, similarity, torch.stack(list(self._terms(similarity).values())).sum(dim=0))

    def _similarity(self, graph: HeteroData) -> Tensor:
        """Cosines of each kind, of the last and the mean embedding of the track (E, K, 2)."""
        previous, current = graph["previous"], graph["current"]
        row, column = graph[TRANSITION].edge_index
        means = previous.mean_x if "mean_x" in previous else previous.x
        sizes = [_HISTOGRAM_SIZE, _HISTOGRAM_SIZE, self.channels]
        cosines = [
            torch.stack([(F.normalize(x, dim=1)[row] * now).sum(dim=1) for x in (last, mean)], dim=1)
            for last, mean, now in (
                (last, mean, F.normalize(now, dim=1)[column])
                for last, mean, now in zip(
                    *(x.float().split(sizes, dim=1) for x in (previous.x, means, current.x)), strict=True
                )
            )
        ]
        return torch.stack(cosines, dim=1)

    def _terms(self, similarity: Tensor) -> dict[str, Tensor]:
        distance = _distance(similarity)
        return {name: function(distance[:, k]) for k, (name, function) in enumerate(zip(KINDS, self.maps, strict=True))}

    def _rivals(self, graph: HeteroData, similarity: Tensor, total: Tensor) -> Tensor:
        x = tuple(self.node(graph[side].x.float()[:, -self.channels :]) for side in ("previous", "current"))
        return self.gnn(x, graph[TRANSITION].edge_index, self._edge_features(graph, similarity, total))

    def _edge_features(self, graph: HeteroData, similarity: Tensor, total: Tensor) -> Tensor:
        previous, current = graph["previous"], graph["current"]
        edge_index = graph[TRANSITION].edge_index
        sizes = len(previous.x), len(current.x)
        total = total[:, None] / 8
        values = torch.cat([similarity.mean(dim=2), total], dim=1)  # (E, K + 1)
        margins = rival_margins(values, edge_index, sizes)
        best = scatter(similarity.mean(dim=2), edge_index[1], dim_size=sizes[1], reduce="max")  # (N, K)
        group = current.batch if "batch" in current else torch.zeros_like(current.labels)
        frame = scatter(best, group, reduce="mean")[group][edge_index[1]]  # (E, K)
        return torch.cat([_distance(similarity).flatten(1), 4 * margins.clamp(-1, 1), total, frame], dim=1)

    def _log_guess(self, graph: HeteroData) -> Tensor:
        """Logarithm of the number of objects of the larger side of each edge's graph (E,)."""
        row, column = graph[TRANSITION].edge_index
        counts = []
        for side, index in (("previous", row), ("current", column)):
            nodes = graph[side]
            group = nodes.batch if "batch" in nodes else torch.zeros_like(nodes.labels)
            counts.append(torch.bincount(group, minlength=1)[group][index])
        return torch.maximum(*counts).log()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.encoder!r}, {self.gnn!r})"


def pool_evidence(pyramid: Sequence[Tensor], image: Tensor, boxes: Tensor, shapes: Tensor) -> Tensor:
    """Pool the evidence of the objects of one frame, the input of the encoder of :class:`AppearanceEvidence`.

    Args:
        pyramid: Maps of strides 2, 8, 8, 16, 32 and 64 of :class:`ShuffleBackbone` for one image, finest first.
        image: RGB pixels of the network's input (3, H, W), uint8.
        boxes: Corners xyxy in pixels of the image (N, 4).
        shapes: Mask probabilities within the boxes (N, 28, 28).

    Returns:
        Pooled maps, pixels, equalised pixels, mask, and the histograms of both (N, P), float32.

    Raises:
        ValueError: If the pyramid has other maps.
    """
    channels = tuple(level.shape[1] for level in pyramid[: len(_CHANNELS)])
    if channels != _CHANNELS:
        raise ValueError(
            f"Expected a pyramid of maps with {_CHANNELS} channels, got {channels}: use the detector 'centermask-pico'"
        )
    boxes, shapes = boxes.float(), shapes.float()
    half = F.interpolate(pyramid[0].float(), scale_factor=0.5, mode="bilinear")  # the mean of 2×2, four times as fast
    levels = [half, *pyramid[1 : len(_CHANNELS)]]
    maps = pool_levels(levels, _STRIDES, boxes, _RESOLUTION)  # (N, 408, 7, 7)
    image = image.contiguous()
    both = torch.cat([image, equalize(image)])[None].to(boxes)
    pixels = roi_align(both, [boxes], _FINE_RESOLUTION, sampling_ratio=1, aligned=True) / 255  # (N, 6, 28, 28)
    histograms = [colour_histogram(part, shapes) for part in pixels.split(3, dim=1)]
    fine = torch.cat([pixels, shapes[:, None]], dim=1)
    coarse = fine.unflatten(3, (_RESOLUTION, -1)).unflatten(2, (_RESOLUTION, -1)).mean(dim=(3, 5))  # (N, 7, 7, 7)
    return torch.cat([maps.flatten(1), coarse.flatten(1), *histograms], dim=1)


def equalize(image: Tensor) -> Tensor:
    """Equalise the histogram of each channel of an image (C, H, W), uint8."""
    channels = np.ascontiguousarray(image.cpu().numpy())
    return torch.from_numpy(np.stack([cv2.equalizeHist(channel) for channel in channels])).to(image.device)


def _distance(similarity: Tensor) -> Tensor:
    return (1 - similarity).clamp(min=1e-4).sqrt()  # the gradient at 0 would be infinite
