"""The association rule of the released TLTM code, kept apart from ours: see docs/fidelity.md."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from tltm_graph.association.affinity import EdgeScores
from tltm_graph.association.assignment import Assignment
from tltm_graph.association.solvers import check_finite
from tltm_graph.graph import TRANSITION


class PublishedAffinity:
    r"""The score matrix of the released code, after MaskTrack R-CNN (arXiv 1905.04804, section 4.2).

    .. math::
        s_{ij} &= c_0 \log \frac{e^{p_{ij}}}{1 + \sum_k e^{p_{kj}}} + c_1 \log score_j + c_2\, g(IoU_{ij})
                  + c_3\, [label_i = label_j] \\
        birth_j &= c_0 \log \frac{1}{1 + \sum_k e^{p_{kj}}} + c_1 \log score_j + c_3

    with :math:`p = \sigma(\text{logits})`, or 0 without a relation model, and :math:`g(x) = x` for
    :math:`x \ge` ``iou_gate``, else -10000. Widths count pixels, both ends included. Note what follows: an overlapping
    track of the same class always beats a birth, and a track of another class never does.

    Args:
        match: c₀, weight of the relation model.
        score: c₁, weight of the detection score; scores must be above 0.
        iou: c₂, weight of the overlap.
        label: c₃, weight of the class.
        iou_gate: Least overlap of a match, or None for no gate (the paper mentions none).
        pixel: Side of the pixels that widths count, in pixels of the frame. The released code compares boxes in the
            image that the network sees: for a frame resized by a factor s, its pixel is 1 / s.

    The graph must be complete: the softmax runs over all previous objects.
    """

    def __init__(
        self,
        match: float = 1.0,
        score: float = 1.0,
        iou: float = 2.0,
        label: float = 10.0,
        iou_gate: float | None = 0.3,
        pixel: float = 1.0,
    ) -> None:
        self.match = match
        self.score = score
        self.iou = iou
        self.label = label
        self.iou_gate = iou_gate
        self.pixel = pixel

    def __call__(self, graph: HeteroData, logits: Tensor | None = None) -> EdgeScores:
        """Scores the transitions of ``graph``; see the class.

        Raises:
            ValueError: If the graph is not complete or a detection score is not above 0.
        """
        previous, current = graph["previous"], graph["current"]
        row, column = graph[TRANSITION].edge_index
        sizes = len(previous.boxes), len(current.boxes)
        if row.numel() != sizes[0] * sizes[1]:
            raise ValueError(f"Expected all {sizes[0]} × {sizes[1]} transitions, got {row.numel()}: do not prune them")

        if (current.scores <= 0).any():
            raise ValueError(f"Expected detection scores above 0 to take logarithms of, got {current.scores.min()}")
        probability = current.boxes.new_zeros(sizes)
        if logits is not None:
            probability[row, column] = logits.sigmoid().to(probability)
        with_new = torch.cat([probability.new_zeros((1, sizes[1])), probability])  # (M + 1, N)
        log_match = with_new.log_softmax(dim=0)

        overlap = _inclusive_iou(previous.boxes, current.boxes, self.pixel)  # (M, N)
        if self.iou_gate is not None:
            overlap = torch.where(overlap < self.iou_gate, -10000.0, overlap)
        same = (previous.labels[:, None] == current.labels[None, :]).float()
        log_score = current.scores.log()
        terms = {
            "match": self.match * log_match[1:],
            "score": (self.score * log_score).expand(sizes),
            "iou": self.iou * overlap,
            "label": self.label * same,
        }
        terms = {name: term[row, column] for name, term in terms.items()}
        return EdgeScores(
            edges=torch.stack(list(terms.values())).sum(dim=0),
            births=self.match * log_match[0] + self.score * log_score + self.label,
            misses=overlap.new_zeros(sizes[0]),
            terms=terms,
        )

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"


@dataclass(frozen=True, eq=False)
class ArgmaxAssignment(Assignment):
    """An assignment in which a match may have been won from others.

    Args:
        claims: How often each match changed hands (K,): 1, plus 1 for every earlier claim of the same frame that was
            overruled. The released code counts hits so.
    """

    claims: Tensor


class ArgmaxSolver:
    """The rule of the released code: every current object takes its best column, the best claim on a track wins.

    Current objects choose between all previous ones and a birth, each for itself. Of those that choose the same
    previous object the one with the highest score gets it — the first of equals; the others are rejected: neither their
    second choice nor a birth. A claim must score above -100. ``misses`` are ignored.
    """

    def __call__(
        self, edge_index: Tensor, score: Tensor, sizes: tuple[int, int], births: Tensor, misses: Tensor
    ) -> ArgmaxAssignment:
        """See :class:`tltm_graph.association.Solver`."""
        check_finite(score)
        row, column = edge_index.cpu().numpy()
        table = np.full((sizes[1], sizes[0] + 1), -np.inf, dtype=np.float32)
        table[:, 0] = births.detach().cpu().numpy()
        table[column, row + 1] = score.detach().cpu().numpy()
        choice = table.argmax(axis=1)  # (N,), 0 for a birth; the first of equals
        best = table[np.arange(sizes[1]), choice]

        winner = np.full(sizes[0], -1)
        held = np.full(sizes[0], -100.0, dtype=np.float32)
        claims = np.zeros(sizes[0], dtype=np.int64)
        for current in np.flatnonzero(choice > 0):
            previous = choice[current] - 1
            if best[current] > held[previous]:
                winner[previous], held[previous] = current, best[current]
                claims[previous] += 1
        matched = np.flatnonzero(winner >= 0)
        order = matched[np.argsort(winner[matched])]
        return ArgmaxAssignment(
            previous=torch.from_numpy(order),
            current=torch.from_numpy(winner[order]),
            births=torch.from_numpy(np.flatnonzero(choice == 0)),
            misses=torch.from_numpy(np.flatnonzero(winner < 0)),
            claims=torch.from_numpy(claims[order]),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _inclusive_iou(boxes: Tensor, others: Tensor, pixel: float) -> Tensor:
    """IoU (N, M) of boxes whose corners are pixels that belong to them: width = x1 - x0 + pixel."""
    area, other_area = (((b[:, 2:] - b[:, :2]) + pixel).prod(dim=1) for b in (boxes, others))
    low = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    intersection = (high - low + pixel).clamp(min=0).prod(dim=2)
    return intersection / (area[:, None] + other_area[None, :] - intersection)
