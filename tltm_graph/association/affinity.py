from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torchvision.ops import box_iou

from tltm_graph.graph import TRANSITION


@dataclass(frozen=True, eq=False)
class EdgeScores:
    """What a solver maximises: the sum over chosen edges, births and misses.

    Args:
        edges: Score of each transition (E,), in the order of the graph's ``edge_index``.
        births: Score of each current object as a new one (N,).
        misses: Score of each previous object as gone (M,).
        terms: The parts that ``edges`` is the sum of, by name, each (E,).
    """

    edges: Tensor
    births: Tensor
    misses: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


class Affinity:
    r"""Scores transitions by where the boxes are, by class, by age and, if there is one, by a relation model.

    .. math::
        s_{ij} = IoU_{ij} + r\, \sigma(\ell_{ij}) - c\, [label_i \ne label_j] - a\, (age_i - 1), \qquad
        birth_j = \tau, \quad miss_i = 0

    with :math:`\ell` the relation model's logits. A match is worth making when :math:`s_{ij} > \tau`. Class is evidence,
    not a wall: an object whose label flips keeps its track where it overlaps well enough. A track seen longer ago gives
    way to a fresher one. All terms are in units of IoU.

    Args:
        threshold: τ, the least score of a match.
        label: c, the price of another class.
        age: a, the price of every frame a track has not been seen.
        relation: r, the weight of the relation model, if the tracker has one.
        buffer: Boxes are grown by this fraction of their size on each side before the IoU is taken, so that small or
            fast objects still overlap themselves.
    """

    def __init__(
        self,
        threshold: float = 0.2,
        label: float = 0.2,
        age: float = 0.005,
        relation: float = 1.0,
        buffer: float = 0.15,
    ) -> None:
        self.threshold = threshold
        self.label = label
        self.age = age
        self.relation = relation
        self.buffer = buffer

    def __call__(self, graph: HeteroData, logits: Tensor | None = None) -> EdgeScores:
        """Scores the transitions of ``graph``.

        Args:
            graph: From :func:`tltm_graph.graph.frame_pair_graph`; ``graph["previous"].age (M,)`` counts frames since
                each previous object was seen (1: in the frame before); without it all are fresh.
            logits: Edge logits (E,) of a relation model, or None.
        """
        previous, current = graph["previous"], graph["current"]
        row, column = graph[TRANSITION].edge_index
        overlap = box_iou(_grow(previous.boxes, self.buffer), _grow(current.boxes, self.buffer))  # (M, N)
        terms = {
            "iou": overlap[row, column],
            "label": -self.label * (previous.labels[row] != current.labels[column]).float(),
        }
        if "age" in previous:
            terms["age"] = -self.age * (previous.age[row] - 1).float()
        if logits is not None:
            terms["relation"] = self.relation * logits.sigmoid()
        return EdgeScores(
            edges=torch.stack(list(terms.values())).sum(dim=0),  # (E,)
            births=overlap.new_full((len(current.boxes),), self.threshold),
            misses=overlap.new_zeros(len(previous.boxes)),
            terms=terms,
        )

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"


def _grow(boxes: Tensor, fraction: float) -> Tensor:
    margin = fraction * (boxes[:, 2:] - boxes[:, :2])
    return torch.cat([boxes[:, :2] - margin, boxes[:, 2:] + margin], dim=1)
