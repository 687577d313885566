from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pycocotools import mask as coco_mask

from tltm_graph.ops.rle import to_coco
from tltm_graph.structures import Observation, Tracks

On = Literal["masks", "boxes"]
"""What an overlap is measured on."""


@dataclass(frozen=True, eq=False)
class FrameOverlap:
    """The true and the predicted objects of one frame: all that metrics of identity look at.

    Args:
        truth_ids: Ids of the true objects, int64 (G,), at least 0, each once.
        predicted_ids: Ids of the predicted objects, int64 (P,), at least 0, each once.
        iou: Intersection over union of every true with every predicted object, float64 (G, P), in [0, 1].

    Raises:
        ValueError: If the shapes disagree, an id is below 0 or there twice, or an overlap is no number from 0 to 1.
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
        for side, numbers in (("true", self.truth_ids.tolist()), ("predicted", self.predicted_ids.tolist())):
            if len(set(numbers)) < len(numbers):
                twice = next(number for i, number in enumerate(numbers) if number in numbers[:i])
                raise ValueError(f"Expected each {side} id once in a frame, got {twice} twice")
            if min(numbers, default=0) < 0:
                raise ValueError(f"Expected {side} ids of at least 0, got {min(numbers)}: leave out what has no track")
        if self.iou.size and not (self.iou.min() >= 0 and self.iou.max() <= 1 + 1e-9):  # the rounding of box areas
            raise ValueError(f"Expected overlaps from 0 to 1, got {self.iou.min()} to {self.iou.max()}")


def frame_overlaps(
    truth: Tracks, predicted: Tracks, on: On, truth_label: int | None = None, predicted_label: int | None = None
) -> Iterator[FrameOverlap]:
    """Every frame of a video with the overlaps in it, one at a time.

    Args:
        truth: The true tracks; those that are ``crowd`` are left out.
        predicted: The tracks to judge.
        on: Overlap of masks or of boxes.
        truth_label: Only observations of this class; None for all.
        predicted_label: The same for the predicted tracks.

    Raises:
        ValueError: If the predicted video is longer than the true one, or masks are asked for and not there.
    """
    check_same_video(truth, predicted)
    for (_, true_rows), (_, predicted_rows) in zip(
        truth.observations(), padded(predicted, truth.num_frames), strict=True
    ):
        true_rows = [r for r in true_rows if not r.crowd and truth_label in (None, r.label)]
        predicted_rows = [r for r in predicted_rows if predicted_label in (None, r.label)]
        yield FrameOverlap(ids(true_rows), ids(predicted_rows), overlap(true_rows, predicted_rows, on))


def check_same_video(truth: Tracks, predicted: Tracks) -> None:
    """Raises ValueError if the predictions go on after the end of the true video."""
    last = max((track.frames[-1] for track in predicted.values()), default=-1)
    if last >= truth.num_frames:
        raise ValueError(
            f"Expected predictions for the {truth.num_frames} frames of the true video, got some for frame {last} "
            "(counted from 0): they belong to another video, or count frames otherwise"
        )


def padded(tracks: Tracks, num_frames: int) -> Iterator[tuple[int, list[Observation]]]:
    """The observations of frames 0 to ``num_frames`` - 1, whatever length the tracks say they have."""
    return Tracks(tracks.tracks, tracks.size, num_frames).observations()


def ids(rows: list[Observation]) -> np.ndarray:
    """Ids of the rows, int64."""
    return np.array([row.id for row in rows], dtype=np.int64)


def overlap(rows: list[Observation], others: list[Observation], on: On) -> np.ndarray:
    """IoU of every row with every other, float64 (N, M).

    Boxes without area overlap nothing; two empty masks have IoU 0.

    Raises:
        ValueError: If masks are asked for and a row has none, or they are of different sizes.
    """
    if not rows or not others:
        return np.zeros((len(rows), len(others)))
    if on == "boxes":
        first, second = (np.array([row.box for row in side], dtype=np.float64) for side in (rows, others))
        return box_overlap(first, second)
    return mask_overlap(rows, others, crowd=False)


def box_overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of boxes (x0, y0, x1, y1), (N, 4) against (M, 4), float64 (N, M); no pixel is added to widths."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    intersection = np.maximum(high - low, 0).prod(axis=2)
    area, other_area = ((b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (boxes, others))
    union = area[:, None] + other_area[None] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def mask_overlap(rows: list[Observation], others: list[Observation], crowd: bool) -> np.ndarray:
    """IoU of masks, float64 (N, M); with ``crowd`` the share of each row that lies on the other."""
    first, second = _masks(rows), _masks(others)
    if not rows or not others:
        return np.zeros((len(rows), len(others)))
    size = first[0]["size"]
    other = next((mask["size"] for mask in (*first, *second) if mask["size"] != size), None)
    if other is not None:
        raise ValueError(
            f"Expected true and predicted masks of one size, got {size} and {other} (H, W): "
            "scale one to the other first"
        )
    return np.asarray(coco_mask.iou(first, second, [int(crowd)] * len(second))).reshape(len(rows), len(others))


def _masks(rows: list[Observation]) -> list[dict]:
    missing = next((row.id for row in rows if row.mask is None), None)
    if missing is not None:
        raise ValueError(f"Expected masks on both sides, got none for object {missing}: score on boxes instead")
    return to_coco([row.mask for row in rows if row.mask is not None])
