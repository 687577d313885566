from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pycocotools import mask as coco_mask

from tltm_graph.ops.boxes import box_intersections, pairwise_box_iou
from tltm_graph.ops.rle import to_coco
from tltm_graph.structures import Observation, Tracks

On = Literal["masks", "boxes"]
"""Shapes that are compared."""


@dataclass(frozen=True, eq=False)
class FrameOverlap:
    """Ids and overlap of the true and the predicted objects of one frame: the input of the tracking metrics.

    Args:
        truth_ids: Ids of the true objects, int64 (G,), unique and at least 0.
        predicted_ids: Ids of the predicted objects, int64 (P,), unique and at least 0.
        iou: Intersection over union of each true with each predicted object, float64 (G, P), in [0, 1].

    Raises:
        ValueError: If the shapes disagree, an id is negative or repeated, or an IoU is outside [0, 1] or NaN.
    """

    truth_ids: np.ndarray
    predicted_ids: np.ndarray
    iou: np.ndarray

    def __post_init__(self) -> None:
        if self.iou.shape != (len(self.truth_ids), len(self.predicted_ids)):
            raise ValueError(
                f"Expected overlaps of {len(self.truth_ids)} true with {len(self.predicted_ids)} predicted objects, "
                f"got shape {self.iou.shape}"
            )
        for side, ids in (("true", self.truth_ids.tolist()), ("predicted", self.predicted_ids.tolist())):
            if len(set(ids)) < len(ids):
                repeated = next(number for i, number in enumerate(ids) if number in ids[:i])
                raise ValueError(f"Expected each {side} id once in a frame, got {repeated} twice")
            if min(ids, default=0) < 0:
                raise ValueError(
                    f"Expected {side} ids of at least 0, got {min(ids)}: leave out objects without a track"
                )
        if self.iou.size and not (self.iou.min() >= 0 and self.iou.max() <= 1 + 1e-9):  # the rounding of box areas
            raise ValueError(f"Expected overlaps from 0 to 1, got {self.iou.min()} to {self.iou.max()}")


def frame_overlaps(truth: Tracks, predicted: Tracks, on: On, label: int | None = None) -> Iterator[FrameOverlap]:
    """Yield the overlaps of each frame of a video, without the rules of any benchmark.

    Args:
        truth: True tracks. Those with ``crowd`` are left out.
        predicted: Tracks to evaluate.
        on: Compare masks or boxes.
        label: Class to keep on both sides; None for all.

    Raises:
        ValueError: If the predicted video is longer than the true one, or ``on`` is "masks" and an object has none.
    """
    for _, true_rows, predicted_rows in paired_observations(truth, predicted):
        true_rows = [row for row in true_rows if not row.crowd and label in (None, row.label)]
        predicted_rows = [row for row in predicted_rows if label in (None, row.label)]
        yield FrameOverlap(ids_of(true_rows), ids_of(predicted_rows), pairwise_iou(true_rows, predicted_rows, on))


def check_same_video(truth: Tracks, predicted: Tracks) -> None:
    """Raise ValueError if predictions exist after the end of the true video."""
    last = max((track.frames[-1] for track in predicted.values()), default=-1)
    if last >= truth.num_frames:
        raise ValueError(
            f"Expected predictions for the {truth.num_frames} frames of the true video, got some for frame {last} "
            "(counted from 0): check that both are of the same video and count frames alike"
        )


def paired_observations(truth: Tracks, predicted: Tracks) -> Iterator[tuple[int, list[Observation], list[Observation]]]:
    """Yield the index, the true and the predicted observations of each frame of the true video.

    Raises:
        ValueError: If predictions exist after the end of the true video.
    """
    check_same_video(truth, predicted)
    same_length = Tracks(predicted.tracks, predicted.size, truth.num_frames)
    for (frame, true_rows), (_, predicted_rows) in zip(truth.observations(), same_length.observations(), strict=True):
        yield frame, true_rows, predicted_rows


def ids_of(rows: list[Observation]) -> np.ndarray:
    """Return the ids of observations, int64 (N,)."""
    return np.array([row.id for row in rows], dtype=np.int64)


def pairwise_iou(rows: list[Observation], others: list[Observation], on: On) -> np.ndarray:
    """Compute the IoU of each row with each other one, float64 (N, M).

    Boxes without area have IoU 0 with everything, and so have two empty masks.

    Raises:
        ValueError: If ``on`` is "masks" and a row has none, or masks differ in size.
    """
    if on == "masks":
        return _pairwise_masks(rows, others, crowd=False)
    return pairwise_box_iou(_boxes_of(rows), _boxes_of(others))


def share_within(rows: list[Observation], regions: list[Observation], on: On) -> np.ndarray:
    """Compute the share of each row that lies on each region, float64 (N, M); 0 for rows without area.

    Raises:
        ValueError: If ``on`` is "masks" and a row has none, or masks differ in size.
    """
    if on == "masks":
        return _pairwise_masks(rows, regions, crowd=True)
    boxes = _boxes_of(rows)
    intersection = box_intersections(boxes, _boxes_of(regions))
    area = np.broadcast_to((boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None], intersection.shape)
    return np.divide(intersection, area, out=np.zeros_like(intersection), where=area > 0)


def _boxes_of(rows: list[Observation]) -> np.ndarray:
    return np.array([row.box for row in rows], dtype=np.float64).reshape(-1, 4)


def _pairwise_masks(rows: list[Observation], others: list[Observation], crowd: bool) -> np.ndarray:
    """Compute the IoU of masks, float64 (N, M); with ``crowd`` the share of each row that lies on the other."""
    if not rows or not others:
        return np.zeros((len(rows), len(others)))
    masks, other_masks = _masks_of(rows), _masks_of(others)
    size = masks[0]["size"]
    different = next((mask["size"] for mask in (*masks, *other_masks) if mask["size"] != size), None)
    if different is not None:
        raise ValueError(
            f"Expected true and predicted masks of one size, got {size} and {different} (H, W): "
            "scale the predictions to the size of the truth first"
        )
    iou = np.asarray(coco_mask.iou(masks, other_masks, [int(crowd)] * len(other_masks)))
    return iou.reshape(len(rows), len(others))


def _masks_of(rows: list[Observation]) -> list[dict]:
    missing = next((row.id for row in rows if row.mask is None), None)
    if missing is not None:
        raise ValueError(f"Expected masks on both sides, got none for object {missing}: score on boxes instead")
    return to_coco([row.mask for row in rows if row.mask is not None])
