from collections.abc import Collection, Iterator

import numpy as np
from pycocotools import mask as coco_mask

from tltm_graph.metrics.matching import EPS, match_overlap, match_pairs
from tltm_graph.metrics.overlap import FrameOverlap, On, check_same_video, ids, mask_overlap, overlap, padded
from tltm_graph.ops.rle import Rle, to_coco
from tltm_graph.structures import Observation, Tracks

PEDESTRIAN = 0
"""Label of class 1 of MOTChallenge: labels count from 0, the files from 1."""
MOT17_DISTRACTORS = frozenset({1, 6, 7, 11})
"""Labels of person on vehicle, static person, distractor and reflection: a prediction on one of them is no error."""
MOT20_DISTRACTORS = MOT17_DISTRACTORS | {5}
"""The same for MOT20, which counts non-motorised vehicles among them."""


def mot_challenge_frames(
    truth: Tracks, predicted: Tracks, distractors: Collection[int] = MOT17_DISTRACTORS
) -> Iterator[FrameOverlap]:
    """Frames of a MOT15, MOT16 or MOT17 video, or with :data:`MOT20_DISTRACTORS` of a MOT20 one, as TrackEval has them.

    In each frame all true boxes of whatever class are matched to the predicted ones, for the greatest sum of IoU with
    at least 0.5 each. Predictions that get a distractor leave. Then true boxes leave that are marked 0 or not of a
    pedestrian. Predictions on cars and the like stay, and are false.

    Args:
        truth: Boxes with score 1, or 0 where the file says that they are not to be scored, and the file's class less 1
            as their label.
        predicted: Boxes, all of pedestrians.
        distractors: Labels of true boxes on which a prediction is no error.

    Raises:
        ValueError: If the predictions go on after the end of the true video or are not of pedestrians, or a true label
            is not one of the 13 classes of MOTChallenge.
    """
    for frame, true_rows, predicted_rows in _pedestrians(truth, predicted):
        unknown = next((row for row in true_rows if not 0 <= row.label < 13), None)
        if unknown is not None:
            raise ValueError(
                f"Expected true labels from 0 to 12, got {unknown.label} of object {unknown.id} in frame {frame} "
                "(counted from 0): boxes of MOT15, which has no classes, are of label 0"
            )
        iou = overlap(true_rows, predicted_rows, "boxes")
        distracting = np.array([row.label in distractors for row in true_rows], dtype=bool)
        rows, columns = match_overlap(iou)
        scored = np.ones(len(predicted_rows), dtype=bool)
        scored[columns[distracting[rows]]] = False
        considered = np.array([row.score != 0 and row.label == PEDESTRIAN for row in true_rows], dtype=bool)
        yield FrameOverlap(ids(true_rows)[considered], ids(predicted_rows)[scored], iou[np.ix_(considered, scored)])


def mots_frames(truth: Tracks, predicted: Tracks, label: int | None = None) -> Iterator[FrameOverlap]:
    """Frames of a MOTS or KITTI-MOTS video as TrackEval scores them.

    Predictions that get no true object, in the matching of the most pairs with an IoU of at least 0.5, leave if more
    than half of their pixels lie on the ignore regions of the frame, taken together.

    Args:
        truth: Masks; tracks that are ``crowd`` are ignore regions, for every class.
        predicted: Masks.
        label: Only this class, on both sides; None for all.

    Raises:
        ValueError: If the predictions go on after the end of the true video, or an object has no mask.
    """
    for _, true_rows, predicted_rows, regions in _with_regions(truth, predicted, label):
        iou = overlap(true_rows, predicted_rows, "masks")
        union = [_union(regions)] if regions else []
        within = _share_within(predicted_rows, union, "masks")
        yield _without(iou, true_rows, predicted_rows, match_pairs(iou)[1], within.max(axis=1, initial=0) > 0.5 + EPS)


def bdd100k_frames(truth: Tracks, predicted: Tracks, on: On, label: int | None = None) -> Iterator[FrameOverlap]:
    """Frames of a BDD100K video as its toolkit (scalabel) scores them, one class at a time.

    Predictions that get no true object, in the matching of the most pairs with an IoU of at least 0.5, leave if more
    than half of them lies on a single ignore region, of whatever class.

    Args:
        truth: Tracks; those that are ``crowd`` are ignore regions. The toolkit makes them of objects marked as crowd or
            as ignored, to which classes belong that are not scored.
        predicted: Tracks.
        on: Masks for segmentation tracking, boxes for box tracking.
        label: Only this class, on both sides; None to compare without classes.

    Raises:
        ValueError: If the predictions go on after the end of the true video, or masks are asked for and not there.
    """
    for _, true_rows, predicted_rows, regions in _with_regions(truth, predicted, label):
        iou = overlap(true_rows, predicted_rows, on)
        within = _share_within(predicted_rows, regions, on)
        yield _without(iou, true_rows, predicted_rows, match_pairs(iou)[1], within.max(axis=1, initial=0) > 0.5)


def _frames(truth: Tracks, predicted: Tracks) -> Iterator[tuple[int, list[Observation], list[Observation]]]:
    check_same_video(truth, predicted)
    pairs = zip(truth.observations(), padded(predicted, truth.num_frames), strict=True)
    for (frame, true_rows), (_, predicted_rows) in pairs:
        yield frame, true_rows, predicted_rows


def _pedestrians(truth: Tracks, predicted: Tracks) -> Iterator[tuple[int, list[Observation], list[Observation]]]:
    for frame, true_rows, predicted_rows in _frames(truth, predicted):
        other = next((row for row in predicted_rows if row.label > PEDESTRIAN), None)
        if other is not None:
            raise ValueError(
                f"Expected pedestrians (label 0) only, got label {other.label} of track {other.id} in frame {frame} "
                "(counted from 0): leave other classes out of the results"
            )
        yield frame, true_rows, predicted_rows


def _with_regions(
    truth: Tracks, predicted: Tracks, label: int | None
) -> Iterator[tuple[int, list[Observation], list[Observation], list[Observation]]]:
    """Frames with the true and the predicted objects of a class, and the ignore regions of all."""
    for frame, true_rows, predicted_rows in _frames(truth, predicted):
        objects = [row for row in true_rows if not row.crowd and label in (None, row.label)]
        regions = [row for row in true_rows if row.crowd]
        yield frame, objects, [row for row in predicted_rows if label in (None, row.label)], regions


def _without(
    iou: np.ndarray,
    true_rows: list[Observation],
    predicted_rows: list[Observation],
    matched: np.ndarray,
    ignorable: np.ndarray,
) -> FrameOverlap:
    """The frame without the predictions that are ignorable and not matched."""
    ignorable = ignorable.copy()
    ignorable[matched] = False
    return FrameOverlap(ids(true_rows), ids(predicted_rows)[~ignorable], iou[:, ~ignorable])


def _share_within(rows: list[Observation], regions: list[Observation], on: On) -> np.ndarray:
    """The share of each row that lies on each region, float64 (N, M); 0 of a row without area."""
    if not rows or not regions:
        return np.zeros((len(rows), len(regions)))
    if on == "masks":
        return mask_overlap(rows, regions, crowd=True)
    boxes, others = (np.array([row.box for row in side], dtype=np.float64) for side in (rows, regions))
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    intersection = np.maximum(high - low, 0).prod(axis=2)
    area = np.broadcast_to((boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None], intersection.shape)
    return np.divide(intersection, area, out=np.zeros_like(intersection), where=area > 0)


def _union(regions: list[Observation]) -> Observation:
    """One region of all the pixels of several."""
    merged = coco_mask.merge(to_coco([region.mask for region in regions if region.mask is not None]), intersect=False)
    mask = Rle(size=list(merged["size"]), counts=merged["counts"].decode("ascii"))
    return regions[0]._replace(mask=mask)
