from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import NamedTuple

import numpy as np

from tltm_graph.metrics.packed_mask import (
    LabelMap,
    PackedMask,
    boundary,
    dilate,
    num_common_pixels,
    num_pixels,
    pack_labels,
    pack_masks,
)


class RegionBoundary(NamedTuple):
    """J and F of the same pairs.

    Args:
        region: J, float64 in [0, 1].
        boundary: F, float64 in [0, 1], of the same shape.
    """

    region: np.ndarray
    boundary: np.ndarray


def region_similarity(truth: np.ndarray, predicted: np.ndarray, void: np.ndarray | None = None) -> np.ndarray:
    r"""Compute J, the intersection over union, of each true with each predicted mask of a frame (Perazzi et al. 2016).

    .. math:: J = |A \cap B| \,/\, |A \cup B|

    Two masks without pixels have J = 1.

    Args:
        truth: True masks, bool (N, H, W).
        predicted: Predicted masks, bool (M, H, W).
        void: Pixels to remove from all masks, bool (H, W); None for none.

    Returns:
        float64 (N, M) in [0, 1].

    Raises:
        ValueError: If an array is not bool or the masks differ in size.
    """
    _check_masks(truth, predicted, void)
    return _j(pack_masks(truth, void, margin=0), pack_masks(predicted, void, margin=0))


def boundary_f(truth: np.ndarray, predicted: np.ndarray, void: np.ndarray | None = None) -> np.ndarray:
    r"""Compute F, the agreement of boundaries, of each true with each predicted mask of a frame (Perazzi et al. 2016).

    .. math:: F = 2PR \,/\, (P + R)

    P is the share of the predicted boundary pixels with a true boundary pixel within :func:`boundary_radius`, R the
    share of the true boundary pixels with a predicted one. Several pixels may match the same one. Two masks without
    boundary have F = 1; if only one has none, F = 0.

    A pixel is on the boundary if it differs from its right, lower or lower right neighbour, as in the official code.
    The edge of the frame is no boundary. A mask that fills the frame therefore has none, like an empty mask: this pair
    has J = 0 and F = 1. Void pixels are removed before the boundary is found.

    Args:
        truth: True masks, bool (N, H, W).
        predicted: Predicted masks, bool (M, H, W).
        void: Pixels to remove from all masks, bool (H, W); None for none.

    Returns:
        float64 (N, M) in [0, 1]. The boundary of each mask is found and dilated once, whatever the number of pairs.

    Raises:
        ValueError: If an array is not bool or the masks differ in size.
    """
    _check_masks(truth, predicted, void)
    size = truth.shape[1:]
    margin = boundary_radius(size) + 1
    true, found = (_outlines(pack_masks(masks, void, margin), size) for masks in (truth, predicted))
    return _f(true, found)


def label_map_scores(
    truth: LabelMap,
    truth_ids: Sequence[int],
    predicted: LabelMap,
    predicted_ids: Sequence[int],
    void: np.ndarray | None = None,
) -> RegionBoundary:
    """Compute J and F of each true with each predicted object of a frame, (N, M) each, without full-size masks.

    Args:
        truth: Label map of the true objects.
        truth_ids: Ids of the N true objects to score. Those not in the map have no pixels.
        predicted: Label map of the predicted objects.
        predicted_ids: Ids of the M predicted objects to score. Those not in the map have no pixels.
        void: Pixels to remove from all objects, bool (H, W); None for none.

    Raises:
        ValueError: If the label maps differ in size.
    """
    size = truth.pixels.shape
    _check_sizes(size, predicted.pixels.shape, void)
    margin = boundary_radius(size) + 1
    true, found = pack_labels(truth, truth_ids, void, margin), pack_labels(predicted, predicted_ids, void, margin)
    return RegionBoundary(_j(true, found), _f(_outlines(true, size), _outlines(found, size)))


def boundary_radius(size: Sequence[int]) -> int:
    """Return the largest distance of matching boundary pixels: 0.8 % of the diagonal of a frame (H, W), rounded up."""
    height, width = size
    return ceil(0.008 * sqrt(height * height + width * width))


_Outlines = tuple[list[PackedMask], list[PackedMask]]  # boundaries of masks, and the same dilated


def _outlines(masks: list[PackedMask], size: Sequence[int]) -> _Outlines:
    boundaries = [boundary(mask, size) for mask in masks]
    return boundaries, [dilate(line, boundary_radius(size)) for line in boundaries]


def _j(true: list[PackedMask], found: list[PackedMask]) -> np.ndarray:
    common = num_common_pixels(true, found)
    union = num_pixels(true)[:, None] + num_pixels(found) - common
    return np.divide(common, union, out=np.ones(union.shape), where=union > 0)


def _f(true: _Outlines, found: _Outlines) -> np.ndarray:
    (true_boundaries, true_dilated), (found_boundaries, found_dilated) = true, found
    true_hits = num_common_pixels(true_boundaries, found_dilated)
    found_hits = num_common_pixels(true_dilated, found_boundaries)
    shape = true_hits.shape  # (N, M)
    true_length = np.broadcast_to(num_pixels(true_boundaries)[:, None], shape)
    found_length = np.broadcast_to(num_pixels(found_boundaries), shape)
    neither = ((true_length == 0) & (found_length == 0)).astype(float)
    precision = np.divide(found_hits, found_length, out=neither.copy(), where=found_length > 0)
    recall = np.divide(true_hits, true_length, out=neither.copy(), where=true_length > 0)
    total = precision + recall
    return np.divide(2 * precision * recall, total, out=np.zeros(shape), where=total > 0)


def _check_masks(truth: np.ndarray, predicted: np.ndarray, void: np.ndarray | None) -> None:
    for side, masks in (("true", truth), ("predicted", predicted)):
        if masks.ndim != 3 or masks.dtype != bool:
            raise ValueError(f"Expected {side} masks bool (N, H, W), got {masks.dtype} of shape {masks.shape}")
    _check_sizes(truth.shape[1:], predicted.shape[1:], void)


def _check_sizes(truth: tuple[int, ...], predicted: tuple[int, ...], void: np.ndarray | None) -> None:
    if truth != predicted:
        raise ValueError(
            f"Expected true and predicted masks of one size, got {truth[0]}×{truth[1]} and "
            f"{predicted[0]}×{predicted[1]} (H×W): scale the predictions to the size of the truth first"
        )
    if void is not None and (void.shape != truth or void.dtype != bool):
        raise ValueError(f"Expected void pixels bool ({truth[0]}, {truth[1]}), got {void.dtype} of shape {void.shape}")


def frame_statistics(values: np.ndarray) -> tuple[float, float, float]:
    """Compute mean, recall and decay of the values (T,) of an object in the frames of a video, like the official code.

    Recall is the share of the values above 0.5. Decay is the mean of the first quarter minus that of the last, negative
    if values increase. The quarters are divided at round(linspace(1, T, 5)) - 1, halves rounded up. A limit belongs to
    the quarters on both sides. Values that are nan count as not above 0.5, and are left out of means. Without frames
    all three are nan. The official code stores limits in 8 bits, so its decay is wrong from 257 frames on; here it is
    right.

    Source: "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation" (Perazzi et al. 2016) and its
    code for DAVIS 2017.
    """
    if len(values) == 0:
        return np.nan, np.nan, np.nan
    limits = (np.round(np.linspace(1, len(values), 5) + 1e-10) - 1).astype(np.int64)  # 1e-10: round is half to even
    first, last = values[: limits[1] + 1], values[limits[3] :]
    return _finite_mean(values), float(np.mean(values > 0.5)), _finite_mean(first) - _finite_mean(last)


def _finite_mean(values: np.ndarray) -> float:
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) else np.nan


@dataclass(frozen=True)
class RegionBoundaryScores:
    """The six numbers of a DAVIS table and their summary; nan where nothing was scored.

    Args:
        J_mean: Region similarity, in [0, 1].
        J_recall: Share of the frames with J above 0.5.
        J_decay: Loss of J from the first to the last quarter of a video.
        F_mean: Boundary measure, in [0, 1].
        F_recall: Share of the frames with F above 0.5.
        F_decay: Loss of F from the first to the last quarter of a video.

    Attributes:
        JF_mean: Mean of ``J_mean`` and ``F_mean``, by which methods are ranked ("J&F").
    """

    J_mean: float
    J_recall: float
    J_decay: float
    F_mean: float
    F_recall: float
    F_decay: float
    JF_mean: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "JF_mean", (self.J_mean + self.F_mean) / 2)


def mean_scores(scores: Iterable[RegionBoundaryScores]) -> tuple[float, float, float, float, float, float]:
    """Return the means of the six numbers, in the order of :class:`RegionBoundaryScores`; nan without scores."""
    rows = [(s.J_mean, s.J_recall, s.J_decay, s.F_mean, s.F_recall, s.F_decay) for s in scores]
    if not rows:
        return (np.nan,) * 6
    j_mean, j_recall, j_decay, f_mean, f_recall, f_decay = np.mean(rows, axis=0).tolist()
    return j_mean, j_recall, j_decay, f_mean, f_recall, f_decay
