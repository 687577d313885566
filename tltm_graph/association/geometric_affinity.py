import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.association.affinity import Affinity, AppearanceModel, EdgeScores, on_device_of_embeddings
from tltm_graph.graph import TRANSITION
from tltm_graph.structures import Detections


class GeometricAffinity(Affinity):
    r"""Hand-made affinity of box overlap, class, time since update and, optionally, appearance.

    .. math::
        s_{ij} = IoU_{ij} + r\, (2 \sigma(\ell_{ij}) - 1) - c\, [label_i \ne label_j] - a\, (t_i - 1), \qquad
        birth_j = \tau, \quad miss_i = 0

    with :math:`t_i` the time since update, in frames. Both boxes are enlarged by a margin of
    :math:`b + b' \sqrt{t_i - 1}` of their size on each side: small and fast objects still overlap themselves, and the
    position of a track is less certain the longer it is lost.

    :math:`\ell` are the logits of the appearance model: a certain match adds r, a certain non-match subtracts r, an
    undecided one adds nothing. A match pays off if :math:`s_{ij} > \tau`. The class is evidence, not a gate: an object
    whose label changes keeps its track if it overlaps enough. All terms are in units of IoU.

    Args:
        threshold: τ, minimum score of a match.
        label: c, penalty for different classes.
        age: a, penalty for every frame since the last update.
        relation: r, weight of the appearance model.
        margin: b, margin around boxes, in units of their size.
        margin_growth: b′, growth of the margin with the time since update.
        appearance: Appearance model; None to score by geometry and class alone.
    """

    def __init__(
        self,
        threshold: float = 0.2,
        label: float = 0.2,
        age: float = 0.01,
        relation: float = 1.0,
        margin: float = 0.15,
        margin_growth: float = 0.05,
        appearance: AppearanceModel | None = None,
    ) -> None:
        self.threshold = threshold
        self.label = label
        self.age = age
        self.relation = relation
        self.margin = margin
        self.margin_growth = margin_growth
        self.appearance = appearance

    def encode(self, detections: Detections) -> Tensor | None:
        """Compute appearance embeddings (N, F); None without an appearance model."""
        return None if self.appearance is None else self.appearance.encode(detections)

    def score(self, graph: HeteroData) -> EdgeScores:
        """Score a graph by the formula of the class.

        Args:
            graph: From :func:`tltm_graph.graph.frame_pair_graph`. ``graph["previous"].time_since_update (M,)`` counts
                frames (1: seen in the frame before); without it all objects are from the frame before.
        """
        previous, current = graph["previous"], graph["current"]
        row, column = graph[TRANSITION].edge_index
        if "time_since_update" in previous:
            # Whole frames: the rounding error of a clock would grow under the square root.
            waited = previous.time_since_update.round() - 1
        else:
            waited = previous.boxes.new_zeros(len(previous.boxes))
        margin = (self.margin + self.margin_growth * waited.sqrt())[row, None]  # (E, 1)
        terms = {
            "iou": _pairwise_iou(_enlarge(previous.boxes[row], margin), _enlarge(current.boxes[column], margin)),
            "label": -self.label * (previous.labels[row] != current.labels[column]).float(),
            "age": -self.age * waited[row],
        }
        if self.appearance is not None:
            logits = self.appearance.score(on_device_of_embeddings(graph)).to(terms["iou"])
            terms["relation"] = self.relation * (2 * logits.sigmoid() - 1)
        return EdgeScores(
            edges=torch.stack(list(terms.values())).sum(dim=0),  # (E,)
            births=previous.boxes.new_full((len(current.boxes),), self.threshold),
            misses=previous.boxes.new_zeros(len(previous.boxes)),
            terms=terms,
        )

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"


def _enlarge(boxes: Tensor, margin: Tensor) -> Tensor:
    border = margin * (boxes[:, 2:] - boxes[:, :2])
    return torch.cat([boxes[:, :2] - border, boxes[:, 2:] + border], dim=1)


def _pairwise_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU (E,) of boxes row by row; 0 for two boxes without area."""
    low, high = torch.maximum(boxes[:, :2], others[:, :2]), torch.minimum(boxes[:, 2:], others[:, 2:])
    intersection = (high - low).clamp(min=0).prod(dim=1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1) + (others[:, 2:] - others[:, :2]).prod(dim=1) - intersection
    return intersection / union.clamp(min=1e-9)
