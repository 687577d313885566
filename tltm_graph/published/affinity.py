from collections.abc import Callable

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.association import Affinity, AppearanceModel, EdgeScores
from tltm_graph.association.affinity import on_device_of_embeddings
from tltm_graph.graph import TRANSITION
from tltm_graph.structures import Detections


class PublishedAffinity(Affinity):
    r"""Score matrix of the released code, after MaskTrack R-CNN (arXiv 1905.04804, section 4.2).

    .. math::
        s_{ij} &= c_0 \log \frac{e^{p_{ij}}}{1 + \sum_k e^{p_{kj}}} + c_1 \log score_j + c_2\, g(IoU_{ij})
                  + c_3\, [label_i = label_j] \\
        birth_j &= c_0 \log \frac{1}{1 + \sum_k e^{p_{kj}}} + c_1 \log score_j + c_3

    with :math:`p = \sigma(\text{logits})`, or 0 without an appearance model, and :math:`g(x) = x` for
    :math:`x \ge` ``iou_gate``, else -10000. Widths count pixels, both ends included. It follows that an overlapping
    track of the same class always beats a birth, and a track of another class never does. The graph must be complete,
    since the softmax runs over all previous objects.

    Args:
        match: c₀, weight of the appearance model.
        score: c₁, weight of the detection score; scores must be above 0.
        iou: c₂, weight of the overlap.
        label: c₃, weight of the class.
        iou_gate: Minimum overlap of a match, or None for no gate (the paper mentions none).
        scale: Ratio of the network's input size to a frame of size (H, W), such as a detector's ``scale``. The released
            code compares boxes in the network's input, whose pixels are 1 / scale pixels of the frame. None for 1.
        appearance: Appearance model; None to score without one.
    """

    def __init__(
        self,
        match: float = 1.0,
        score: float = 1.0,
        iou: float = 2.0,
        label: float = 10.0,
        iou_gate: float | None = 0.3,
        scale: Callable[[tuple[int, int]], float] | None = None,
        appearance: AppearanceModel | None = None,
    ) -> None:
        self.weights = {"match": match, "score": score, "iou": iou, "label": label}
        self.iou_gate = iou_gate
        self.scale = scale
        self.appearance = appearance

    def encode(self, detections: Detections) -> Tensor | None:
        """Compute appearance embeddings (N, F); None without an appearance model."""
        return None if self.appearance is None else self.appearance.encode(detections)

    def score(self, graph: HeteroData) -> EdgeScores:
        """Score a graph by the formula of the class.

        Raises:
            ValueError: If the graph is not complete or a detection score is not above 0.
        """
        weights, previous, current = self.weights, graph["previous"], graph["current"]
        row, column = graph[TRANSITION].edge_index
        sizes = len(previous.boxes), len(current.boxes)
        if row.numel() != sizes[0] * sizes[1]:
            raise ValueError(f"Expected all {sizes[0]} × {sizes[1]} edges, got {row.numel()}: do not prune them")

        if (current.scores <= 0).any():
            raise ValueError(f"Expected detection scores above 0, got {current.scores.min()}: their logarithm is taken")
        probability = current.boxes.new_zeros(sizes)
        if self.appearance is not None:
            probability[row, column] = self.appearance.score(on_device_of_embeddings(graph)).sigmoid().to(probability)
        with_new = torch.cat([probability.new_zeros((1, sizes[1])), probability])  # (M + 1, N)
        log_match = with_new.log_softmax(dim=0)

        overlap = _inclusive_iou(previous.boxes, current.boxes, self._pixel(graph))  # (M, N)
        if self.iou_gate is not None:
            overlap = torch.where(overlap < self.iou_gate, -10000.0, overlap)
        same = (previous.labels[:, None] == current.labels[None, :]).float()
        log_score = current.scores.log()
        terms = {
            "match": weights["match"] * log_match[1:],
            "score": (weights["score"] * log_score).expand(sizes),
            "iou": weights["iou"] * overlap,
            "label": weights["label"] * same,
        }
        terms = {name: term[row, column] for name, term in terms.items()}
        return EdgeScores(
            edges=torch.stack(list(terms.values())).sum(dim=0),
            births=weights["match"] * log_match[0] + weights["score"] * log_score + weights["label"],
            misses=overlap.new_zeros(sizes[0]),
            terms=terms,
        )

    def _pixel(self, graph: HeteroData) -> float:
        """Side of the network's pixels, in pixels of the frame."""
        if self.scale is None:
            return 1.0
        height, width = graph.scene[0, :2].tolist()
        return 1 / self.scale((int(height), int(width)))

    def __repr__(self) -> str:
        weights = ", ".join(f"{name}={value}" for name, value in self.weights.items())
        return f"{type(self).__name__}({weights}, iou_gate={self.iou_gate}, appearance={self.appearance!r})"


def _inclusive_iou(boxes: Tensor, others: Tensor, pixel: float) -> Tensor:
    """IoU (N, M) of boxes whose corners are pixels that belong to them: width = x1 - x0 + pixel."""
    area, other_area = (((b[:, 2:] - b[:, :2]) + pixel).prod(dim=1) for b in (boxes, others))
    low = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    intersection = (high - low + pixel).clamp(min=0).prod(dim=2)
    return intersection / (area[:, None] + other_area[None, :] - intersection)
