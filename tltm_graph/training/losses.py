"""Loss functions."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from tltm_graph.detectors.centermask.fcos import DenseOutput, DenseTargets


def fcos_losses(outputs: Sequence[DenseOutput], targets: DenseTargets) -> dict[str, Tensor]:
    r"""Compute the losses of FCOS (arXiv 1904.01355) over the cells :math:`P` with an object of centerness :math:`c`.

    .. math::
        L_{cls} = \frac{1}{|P|} \sum_{cells, classes} \mathrm{focal}(\alpha = 0.25, \gamma = 2), \quad
        L_{loc} = \frac{\sum_P c \, (1 - GIoU)}{\sum_P c}, \quad
        L_{ctr} = \frac{1}{|P|} \sum_P \mathrm{BCE}

    Denominators are averaged over the processes of a distributed run, and are at least 1 (10⁻⁶ for the sum of c).

    Args:
        outputs: Outputs of each level, finest first.
        targets: Targets of the same cells.

    Returns:
        ``"fcos_cls"``, ``"fcos_loc"`` and ``"fcos_ctr"``; without objects the latter two are 0.

    Raises:
        ValueError: If the head has no centerness.
    """
    if any(level.centerness is None for level in outputs):
        raise ValueError(
            "Expected a head with centerness to train a detector, got one without, such as PicoHead: train the mask "
            "head alone, with MaskObjective"
        )
    logits, distances, centerness = (
        torch.cat([getattr(level, name).permute(0, 2, 3, 1).flatten(1, 2) for level in outputs], dim=1).float()
        for name in ("logits", "distances", "centerness")
    )  # (B, L, C), (B, L, 4), (B, L, 1)
    positive = targets.labels >= 0
    num_positive = _world_mean(positive.sum().float()).clamp(min=1)
    one_hot = torch.zeros_like(logits)
    one_hot[positive] = F.one_hot(targets.labels[positive], logits.shape[2]).to(one_hot)
    true_centerness = targets.centerness[positive]  # (P,)
    weight = _world_mean(true_centerness.sum()).clamp(min=1e-6)
    giou = smoothed_giou(distances[positive], targets.distances[positive])
    return {
        "fcos_cls": sigmoid_focal_loss(logits, one_hot, alpha=0.25, gamma=2, reduction="sum") / num_positive,
        "fcos_loc": (true_centerness * (1 - giou)).sum() / weight,
        "fcos_ctr": F.binary_cross_entropy_with_logits(centerness[positive, 0], true_centerness, reduction="sum")
        / num_positive,
    }


def smoothed_giou(distances: Tensor, others: Tensor) -> Tensor:
    r"""Compute the generalised IoU (arXiv 1902.09630) of boxes around one point, smoothed as in FCOS:

    .. math:: \frac{I + 1}{U + 1} - \frac{C - U}{C}

    for intersection I, union U and the area C of the box around both.

    Args:
        distances: Distances from the point to the left, top, right and bottom side (N, 4), ≥ 0.
        others: Distances of the other boxes (N, 4).

    Returns:
        GIoU (N,), at most 1.
    """
    low, high = torch.minimum(distances, others), torch.maximum(distances, others)
    area, other_area, intersection, hull = (
        (d[:, 0] + d[:, 2]) * (d[:, 1] + d[:, 3]) for d in (distances, others, low, high)
    )
    union = area + other_area - intersection
    return (intersection + 1) / (union + 1) - (hull - union) / hull


def mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute the mean binary cross-entropy of mask logits and targets (N, R, R); 0 without masks."""
    return F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="sum") / max(1, logits.numel())


def edge_loss(logits: Tensor, labels: Tensor, known: Tensor | None = None) -> Tensor:
    """Compute the mean binary cross-entropy of all edges of a batch; 0 without edges.

    Args:
        logits: Edge logits (E,).
        labels: 1 where both ends are the same object (E,).
        known: Mask of the edges to use, bool (E,); None for all.
    """
    if known is not None:
        logits, labels = logits[known], labels[known]
    return F.binary_cross_entropy_with_logits(logits.float(), labels, reduction="sum") / max(1, logits.numel())


def transition_loss(predicted: Tensor, observed: Tensor) -> Tensor:
    r"""Compute the error of predicted appearance transitions (equation 3 of arXiv 2210.16795).

    .. math:: \frac{1}{NF} \sum \lVert z_t + \Delta z_t - z_{t+1} \rVert^2

    Args:
        predicted: Prediction :math:`z_t + \Delta z_t` for objects in both frames (N, F).
        observed: Embeddings :math:`z_{t+1}` of the same objects (N, F).
    """
    return (predicted - observed).float().square().sum() / max(1, predicted.numel())


def _world_mean(value: Tensor) -> Tensor:
    if not (dist.is_available() and dist.is_initialized()):
        return value
    value = value.clone()
    dist.all_reduce(value)
    return value / dist.get_world_size()
