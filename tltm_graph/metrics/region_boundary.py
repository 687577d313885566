from collections.abc import Sequence
from math import ceil, sqrt
from typing import NamedTuple

import numpy as np

from tltm_graph.metrics.label_map import LabelMap
from tltm_graph.metrics.packed_mask import (
    PackedMask,
    boundary,
    dilate,
    num_common_pixels,
    num_paired_common_pixels,
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
    r"""J of every true with every predicted mask of a frame: intersection over union (Perazzi et al. 2016).

    .. math:: J = |A \cap B| \,/\, |A \cup B|

    Two masks without pixels have J = 1: nothing was there, and nothing was claimed.

    Args:
        truth: Masks, bool (N, H, W).
        predicted: Masks, bool (M, H, W).
        void: bool (H, W), pixels that are taken out of all masks.

    Returns:
        float64 (N, M) in [0, 1].

    Raises:
        ValueError: If an array is not bool or the pictures are of different sizes.
    """
    _check_masks(truth, predicted, void)
    return _all_pairs_j(pack_masks(truth, void, margin=0), pack_masks(predicted, void, margin=0))


def paired_region_similarity(truth: np.ndarray, predicted: np.ndarray, void: np.ndarray | None = None) -> np.ndarray:
    """J of each true mask with the predicted one at the same place, (N, H, W) each; float64 (N,).

    Otherwise like :func:`region_similarity`.
    """
    _check_masks(truth, predicted, void)
    _check_paired(truth, predicted)
    return _paired_j(pack_masks(truth, void, margin=0), pack_masks(predicted, void, margin=0))


def boundary_f(truth: np.ndarray, predicted: np.ndarray, void: np.ndarray | None = None) -> np.ndarray:
    r"""F of every true with every predicted mask of a frame: how well their boundaries match (Perazzi et al. 2016).

    .. math:: F = 2PR \,/\, (P + R)

    P is the share of the predicted boundary's pixels that have a pixel of the true boundary within
    :func:`boundary_radius`, R the share of the true boundary's with one of the predicted. Several pixels may match the
    same one. Two masks without boundary have F = 1, one without and one with have F = 0.

    A pixel is on the boundary if it differs from its right, lower or lower right neighbour, as in the official code:
    the boundary lies half a pixel up and left, and the edge of the frame is none. So a mask that fills the frame has no
    boundary, like an empty one: such a pair has J = 0 and F = 1. The boundary is taken after void pixels are taken out.

    Args:
        truth: Masks, bool (N, H, W).
        predicted: Masks, bool (M, H, W).
        void: bool (H, W), pixels that are taken out of all masks.

    Returns:
        float64 (N, M) in [0, 1]. Each mask's boundary is found and widened once, whatever the number of pairs.

    Raises:
        ValueError: If an array is not bool or the pictures are of different sizes.
    """
    _check_masks(truth, predicted, void)
    return _all_pairs_f(_mask_outlines(truth, void), _mask_outlines(predicted, void))


def paired_boundary_f(truth: np.ndarray, predicted: np.ndarray, void: np.ndarray | None = None) -> np.ndarray:
    """F of each true mask with the predicted one at the same place, (N, H, W) each; float64 (N,).

    Otherwise like :func:`boundary_f`.
    """
    _check_masks(truth, predicted, void)
    _check_paired(truth, predicted)
    return _paired_f(_mask_outlines(truth, void), _mask_outlines(predicted, void))


def label_map_scores(
    truth: LabelMap,
    truth_ids: Sequence[int],
    predicted: LabelMap,
    predicted_ids: Sequence[int],
    void: np.ndarray | None = None,
) -> RegionBoundary:
    """J and F of every true with every predicted object of a frame, each (N, M), without a mask of the whole frame.

    Args:
        truth: The true objects.
        truth_ids: Ids of the N to score; those that are not in the map have no pixels.
        predicted: The predicted objects.
        predicted_ids: Ids of the M to score.
        void: bool (H, W), pixels that are taken out of all objects.

    Raises:
        ValueError: If the pictures are of different sizes.
    """
    true, found = _packed_labels(truth, truth_ids, predicted, predicted_ids, void)
    size = truth.pixels.shape
    return RegionBoundary(_all_pairs_j(true, found), _all_pairs_f(_outlines(true, size), _outlines(found, size)))


def paired_label_map_scores(
    truth: LabelMap, predicted: LabelMap, ids: Sequence[int], void: np.ndarray | None = None
) -> RegionBoundary:
    """J and F of each true object with the predicted one of the same id, each (N,).

    Otherwise like :func:`label_map_scores`.
    """
    true, found = _packed_labels(truth, ids, predicted, ids, void)
    size = truth.pixels.shape
    return RegionBoundary(_paired_j(true, found), _paired_f(_outlines(true, size), _outlines(found, size)))


def boundary_radius(size: Sequence[int]) -> int:
    """How far apart two boundary pixels may lie to match: 0.8 % of the diagonal of a frame (H, W), rounded up."""
    height, width = size
    return ceil(0.008 * sqrt(height * height + width * width))


class _Outlines(NamedTuple):
    """Boundaries of masks, and the pixels within reach of each."""

    boundaries: list[PackedMask]
    reaches: list[PackedMask]


def _outlines(masks: list[PackedMask], size: Sequence[int]) -> _Outlines:
    boundaries = [boundary(mask, size) for mask in masks]
    return _Outlines(boundaries, [dilate(line, boundary_radius(size)) for line in boundaries])


def _mask_outlines(masks: np.ndarray, void: np.ndarray | None) -> _Outlines:
    size = masks.shape[1:]
    return _outlines(pack_masks(masks, void, margin=boundary_radius(size) + 1), size)


def _all_pairs_j(true: list[PackedMask], found: list[PackedMask]) -> np.ndarray:
    return _jaccard(num_pixels(true)[:, None], num_pixels(found), num_common_pixels(true, found))


def _paired_j(true: list[PackedMask], found: list[PackedMask]) -> np.ndarray:
    return _jaccard(num_pixels(true), num_pixels(found), num_paired_common_pixels(true, found))


def _all_pairs_f(true: _Outlines, found: _Outlines) -> np.ndarray:
    return _f_measure(
        num_pixels(true.boundaries)[:, None],
        num_pixels(found.boundaries),
        num_common_pixels(true.boundaries, found.reaches),
        num_common_pixels(true.reaches, found.boundaries),
    )


def _paired_f(true: _Outlines, found: _Outlines) -> np.ndarray:
    return _f_measure(
        num_pixels(true.boundaries),
        num_pixels(found.boundaries),
        num_paired_common_pixels(true.boundaries, found.reaches),
        num_paired_common_pixels(true.reaches, found.boundaries),
    )


def _jaccard(area: np.ndarray, other_area: np.ndarray, common: np.ndarray) -> np.ndarray:
    union = area + other_area - common
    return np.divide(common, union, out=np.ones(union.shape), where=union > 0)


def _f_measure(true: np.ndarray, found: np.ndarray, true_hit: np.ndarray, found_hit: np.ndarray) -> np.ndarray:
    """F from the lengths of boundaries and what of them is matched; int64, shapes broadcast to that of the hits."""
    shape = true_hit.shape
    neither = np.broadcast_to((true == 0) & (found == 0), shape)
    precision = np.divide(found_hit, found, out=neither.astype(float), where=np.broadcast_to(found > 0, shape))
    recall = np.divide(true_hit, true, out=neither.astype(float), where=np.broadcast_to(true > 0, shape))
    total = precision + recall
    return np.divide(2 * precision * recall, total, out=np.zeros(shape), where=total > 0)


def _check_masks(truth: np.ndarray, predicted: np.ndarray, void: np.ndarray | None) -> None:
    for side, masks in (("true", truth), ("predicted", predicted)):
        if masks.ndim != 3 or masks.dtype != bool:
            raise ValueError(f"Expected {side} masks bool (N, H, W), got {masks.dtype} of shape {masks.shape}")
    _check_sizes(truth.shape[1:], predicted.shape[1:], void)


def _packed_labels(
    truth: LabelMap,
    truth_ids: Sequence[int],
    predicted: LabelMap,
    predicted_ids: Sequence[int],
    void: np.ndarray | None,
) -> tuple[list[PackedMask], list[PackedMask]]:
    _check_sizes(truth.pixels.shape, predicted.pixels.shape, void)
    margin = boundary_radius(truth.pixels.shape) + 1
    return pack_labels(truth, truth_ids, void, margin), pack_labels(predicted, predicted_ids, void, margin)


def _check_sizes(truth: tuple[int, ...], predicted: tuple[int, ...], void: np.ndarray | None) -> None:
    if truth != predicted:
        raise ValueError(
            f"Expected true and predicted pictures of one size, got {truth[0]}×{truth[1]} and "
            f"{predicted[0]}×{predicted[1]} (H×W): scale the prediction to the size of the truth first"
        )
    if void is not None and (void.shape != truth or void.dtype != bool):
        raise ValueError(f"Expected void pixels bool ({truth[0]}, {truth[1]}), got {void.dtype} of shape {void.shape}")


def _check_paired(truth: np.ndarray, predicted: np.ndarray) -> None:
    if len(truth) != len(predicted):
        raise ValueError(
            f"Expected as many predicted as true masks, got {len(predicted)} and {len(truth)}: they are compared one "
            "by one"
        )
