import math
from collections.abc import Collection, Iterator, Mapping

import numpy as np

from tltm_graph.metrics.clear import ClearBdd100kScores
from tltm_graph.metrics.identity import IdentityF1Scores
from tltm_graph.metrics.matching import EPS, match_overlap, match_pairs
from tltm_graph.metrics.overlap import FrameOverlap, On, ids_of, paired_observations, pairwise_iou, share_within
from tltm_graph.ops.rle import merge_rles
from tltm_graph.structures import Observation, Tracks

PEDESTRIAN = 0
"""Label of class 1 of MOTChallenge. Labels count from 0, the classes in its files from 1."""
MOT17_DISTRACTORS = frozenset({1, 6, 7, 11})
"""Labels of person on vehicle, static person, distractor and reflection. A prediction on one of them is no error."""
MOT20_DISTRACTORS = MOT17_DISTRACTORS | {5}
"""Labels of the distractors of MOT20: those of MOT17 and non-motorised vehicle."""


def mot_challenge_frames(
    truth: Tracks, predicted: Tracks, distractors: Collection[int] = MOT17_DISTRACTORS
) -> Iterator[FrameOverlap]:
    """Yield the overlaps of a MOT15, MOT16, MOT17 or MOT20 video as TrackEval scores it.

    In each frame all true boxes of any class are matched to the predicted ones, for the greatest sum of IoU, of at
    least 0.5 each. Predictions matched to a distractor are removed. Then true boxes are removed that have score 0 or
    are not pedestrians. Predictions on cars and the like stay, as false positives.

    Args:
        truth: True boxes with score 1, or 0 if the file marks them as not scored. Labels are the classes of the file
            minus 1.
        predicted: Predicted boxes of pedestrians.
        distractors: Labels of the distractors, :data:`MOT20_DISTRACTORS` for MOT20.

    Raises:
        ValueError: If predictions exist after the end of the true video or are not of pedestrians, or if a true label
            is not one of the 13 classes of MOTChallenge.
    """
    for frame, true_rows, predicted_rows in paired_observations(truth, predicted):
        other = next((row for row in predicted_rows if row.label > PEDESTRIAN), None)
        if other is not None:
            raise ValueError(
                f"Expected pedestrians (label 0) only, got label {other.label} of track {other.id} in frame {frame} "
                "(counted from 0): leave other classes out of the results"
            )
        unknown = next((row for row in true_rows if not 0 <= row.label < 13), None)
        if unknown is not None:
            raise ValueError(
                f"Expected true labels from 0 to 12, got {unknown.label} of object {unknown.id} in frame {frame} "
                "(counted from 0): give boxes of MOT15, which has no classes, the label 0"
            )
        iou = pairwise_iou(true_rows, predicted_rows, "boxes")
        is_distractor = np.array([row.label in distractors for row in true_rows], dtype=bool)
        rows, columns = match_overlap(iou)
        kept = np.ones(len(predicted_rows), dtype=bool)
        kept[columns[is_distractor[rows]]] = False
        scored = np.array([row.score != 0 and row.label == PEDESTRIAN for row in true_rows], dtype=bool)
        yield FrameOverlap(ids_of(true_rows)[scored], ids_of(predicted_rows)[kept], iou[np.ix_(scored, kept)])


def mots_frames(truth: Tracks, predicted: Tracks, label: int | None = None) -> Iterator[FrameOverlap]:
    """Yield the overlaps of a MOTS or KITTI-MOTS video as TrackEval scores it.

    Predictions and true objects are matched for the most pairs with an IoU of at least 0.5. Unmatched predictions are
    removed if more than half of their pixels lie on the union of the ignore regions of the frame.

    Args:
        truth: True tracks with masks. Those with ``crowd`` are ignore regions, for all classes.
        predicted: Predicted tracks with masks.
        label: Class to keep on both sides; None for all.

    Raises:
        ValueError: If predictions exist after the end of the true video, or an object has no mask.
    """
    for objects, regions, predicted_rows in _objects_and_regions(truth, predicted, label):
        union = [_union(regions)] if regions else []
        ignored = share_within(predicted_rows, union, "masks").max(axis=1, initial=0) > 0.5 + EPS
        yield _without_ignored(objects, predicted_rows, ignored, "masks")


def bdd100k_frames(truth: Tracks, predicted: Tracks, on: On, label: int | None = None) -> Iterator[FrameOverlap]:
    """Yield the overlaps of a BDD100K video as its toolkit (scalabel) scores it, one class at a time.

    Predictions and true objects are matched for the most pairs with an IoU of at least 0.5. Unmatched predictions are
    removed if more than half of them lies on a single ignore region.

    Args:
        truth: True tracks. Those with ``crowd`` are ignore regions, for all classes. The toolkit makes regions of
            objects marked as crowd or ignored, and of objects of classes that are not scored.
        predicted: Tracks to evaluate.
        on: Compare masks (segmentation tracking) or boxes (box tracking).
        label: Class to keep on both sides; None for all.

    Raises:
        ValueError: If predictions exist after the end of the true video, or ``on`` is "masks" and an object has none.
    """
    for objects, regions, predicted_rows in _objects_and_regions(truth, predicted, label):
        ignored = share_within(predicted_rows, regions, on).max(axis=1, initial=0) > 0.5
        yield _without_ignored(objects, predicted_rows, ignored, on)


def summarise_bdd100k(
    clear: Mapping[str, ClearBdd100kScores], identity: Mapping[str, IdentityF1Scores]
) -> dict[str, float]:
    """Return the line that BDD100K's toolkit prints, by official name, shares in [0, 1].

    Counts are added over the classes. mIDF1, mMOTA and mMOTP are means of the classes' scores. As in the official code,
    a class without a score, because it has no true object or no match, counts as 0 in the means. That lowers mIDF1 and
    mMOTP, but keeps the -inf of a class with false positives alone out of mMOTA.

    Args:
        clear: Scores of each class of the data set, including those that do not occur.
        identity: Identity F1 of the same classes.

    Raises:
        ValueError: If there is no class, or the two have different ones.
    """
    if not clear or clear.keys() != identity.keys():
        raise ValueError(f"Expected both scores of every class, got classes {list(clear)} and {list(identity)}")
    first, *others = clear
    total, total_identity = clear[first], identity[first]
    for name in others:
        total, total_identity = total + clear[name], total_identity + identity[name]
    return {
        "IDF1": total_identity.idf1,
        **total.named(),
        "mIDF1": _mean([scores.idf1 for scores in identity.values()]),
        "mMOTA": _mean([scores.mota for scores in clear.values()]),
        "mMOTP": _mean([scores.motp for scores in clear.values()]),
    }


def _mean(values: list[float]) -> float:
    return sum(value for value in values if math.isfinite(value)) / len(values)


def _objects_and_regions(
    truth: Tracks, predicted: Tracks, label: int | None
) -> Iterator[tuple[list[Observation], list[Observation], list[Observation]]]:
    """Yield the true objects of a class, the ignore regions of all classes, and the predictions of the class."""
    for _, true_rows, predicted_rows in paired_observations(truth, predicted):
        objects = [row for row in true_rows if not row.crowd and label in (None, row.label)]
        regions = [row for row in true_rows if row.crowd]
        yield objects, regions, [row for row in predicted_rows if label in (None, row.label)]


def _without_ignored(
    objects: list[Observation], predicted_rows: list[Observation], ignored: np.ndarray, on: On
) -> FrameOverlap:
    """Remove the predictions that are ``ignored``, bool (P,), and not matched to an object."""
    iou = pairwise_iou(objects, predicted_rows, on)
    kept = ~ignored
    kept[match_pairs(iou)[1]] = True
    return FrameOverlap(ids_of(objects), ids_of(predicted_rows)[kept], iou[:, kept])


def _union(regions: list[Observation]) -> Observation:
    """Merge the masks of several regions into one."""
    return regions[0]._replace(mask=merge_rles([region.mask for region in regions if region.mask is not None]))
