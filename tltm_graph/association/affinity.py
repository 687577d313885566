from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.graph import TRANSITION


@dataclass(frozen=True, eq=False)
class EdgeScores:
    """What a solver maximises: the sum over chosen edges, births and misses.

    Args:
        edges: Score of each transition (E,), in the order of the graph's ``edge_index``.
        births: Score of each current object as a new one (N,).
        misses: Score of each previous object as gone (M,).
        terms: The parts that ``edges`` is the sum of, by name, each (E,).
        objects: Log-odds that each current object is one at all (N,), None if nobody judged.
    """

    edges: Tensor
    births: Tensor
    misses: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    objects: Tensor | None = None


class Affinity:
    r"""Scores transitions by where the boxes are, by class, by age and, if there is one, by a relation model.

    .. math::
        s_{ij} = IoU_{ij} + r\, (2 \sigma(\ell_{ij}) - 1) - c\, [label_i \ne label_j] - a\, (age_i - 1), \qquad
        birth_j = \tau, \quad miss_i = 0

    where both boxes are grown by a margin of :math:`b + b' \sqrt{age_i - 1}` of their size on each side: small and fast
    objects still overlap themselves, and the longer a track was not seen, the farther off it may turn up.

    :math:`\ell` are the relation model's logits: sure of a match it adds r, sure of none it takes r away, undecided it
    leaves the rest to decide. A match is worth making when :math:`s_{ij} > \tau`. Class is evidence, not a wall: an
    object whose label flips keeps its track where it overlaps well enough. A track seen longer ago gives way to a
    fresher one. All terms are in units of IoU.

    Args:
        threshold: τ, the least score of a match.
        label: c, the price of another class.
        age: a, the price of every frame a track has not been seen.
        relation: r, the weight of the relation model, if the tracker has one.
        margin: What boxes are grown by, b.
        margin_growth: How that grows with age, b′.
    """

    def __init__(
        self,
        threshold: float = 0.2,
        label: float = 0.2,
        age: float = 0.01,
        relation: float = 1.0,
        margin: float = 0.15,
        margin_growth: float = 0.05,
    ) -> None:
        self.threshold = threshold
        self.label = label
        self.age = age
        self.relation = relation
        self.margin = margin
        self.margin_growth = margin_growth

    def __call__(self, graph: HeteroData, logits: Tensor | None = None) -> EdgeScores:
        """Scores the transitions of ``graph``.

        Args:
            graph: From :func:`tltm_graph.graph.frame_pair_graph`; ``graph["previous"].age (M,)`` counts frames since
                each previous object was seen (1: in the frame before); without it all are fresh.
            logits: Edge logits (E,) of a relation model, or None.
        """
        previous, current = graph["previous"], graph["current"]
        row, column = graph[TRANSITION].edge_index
        unseen = (previous.age - 1).float() if "age" in previous else previous.boxes.new_zeros(len(previous.boxes))
        margin = (self.margin + self.margin_growth * unseen.sqrt())[row, None]  # (E, 1)
        terms = {
            "iou": _pairwise_iou(_grow(previous.boxes[row], margin), _grow(current.boxes[column], margin)),
            "label": -self.label * (previous.labels[row] != current.labels[column]).float(),
            "age": -self.age * unseen[row],
        }
        if logits is not None:
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


def _grow(boxes: Tensor, margin: Tensor) -> Tensor:
    border = margin * (boxes[:, 2:] - boxes[:, :2])
    return torch.cat([boxes[:, :2] - border, boxes[:, 2:] + border], dim=1)


def _pairwise_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU (E,) of each box with the other box in its row; 0 for two boxes without area."""
    low, high = torch.maximum(boxes[:, :2], others[:, :2]), torch.minimum(boxes[:, 2:], others[:, 2:])
    intersection = (high - low).clamp(min=0).prod(dim=1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1) + (others[:, 2:] - others[:, :2]).prod(dim=1) - intersection
    return intersection / union.clamp(min=1e-9)
