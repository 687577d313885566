import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tltm_graph.metrics.average_precision import AREAS, PrecisionRecall

ALL, SMALL, MEDIUM, LARGE = range(len(AREAS))
HALF, THREE_QUARTERS = 0, 5
"""Which of the thresholds are 0.5 and 0.75."""


@dataclass(frozen=True)
class ClassAP:
    """Average precision and recall of one class, in [0, 1]; NaN where the class has no true object.

    Args:
        AP: Mean over the IoU thresholds 0.5, 0.55, …, 0.95.
        AP50: At IoU 0.5.
        AP75: At IoU 0.75.
        AR1: Recall of the best prediction of each video, mean over the thresholds.
        AR10: That of the best 10.
        AR100: That of the best 100.
        truths: True objects, without crowds.
        predictions: All predictions, also those beyond the best 100 of a video.
    """

    AP: float
    AP50: float
    AP75: float
    AR1: float
    AR10: float
    AR100: float
    truths: int
    predictions: int


@dataclass(frozen=True)
class VideoAPScores:
    """The twelve numbers of YouTube-VIS, means over the classes that have a true object; in [0, 1], NaN for none.

    Args:
        AP: Average precision, mean over the IoU thresholds 0.5, 0.55, …, 0.95.
        AP50: At IoU 0.5.
        AP75: At IoU 0.75.
        APs: Of small objects: a mean area up to 128² pixels.
        APm: Of medium ones, 128² to 256².
        APl: Of large ones, from 256² on.
        AR1: Recall with the best prediction of each video and class, mean over the thresholds.
        AR10: With the best 10.
        AR100: With the best 100, as all of AP.
        ARs: AR100 of small objects.
        ARm: Of medium ones.
        ARl: Of large ones.
        per_class: Scores of each class by label, also of those without a true object.
        ignored_classes: Predictions by label that is none of the classes; nothing else counts them.
    """

    AP: float
    AP50: float
    AP75: float
    APs: float
    APm: float
    APl: float
    AR1: float
    AR10: float
    AR100: float
    ARs: float
    ARm: float
    ARl: float
    per_class: dict[int, ClassAP]
    ignored_classes: dict[int, int]

    def stats(self) -> np.ndarray:
        """The twelve numbers in the order above, float64 (12,), -1 for NaN, as the official code gives them."""
        numbers = np.array([getattr(self, name) for name in list(self.__dataclass_fields__)[:12]])
        return np.where(np.isnan(numbers), -1.0, numbers)


def video_ap_scores(
    curves: PrecisionRecall, truths: Mapping[int, int], predictions: Mapping[int, int]
) -> VideoAPScores:
    """The scores that belong to curves of precision and recall.

    Args:
        curves: Of every class.
        truths: True objects by label, without crowds; labels without any may be missing.
        predictions: The same for all predictions, also of labels that are none of the classes.
    """
    precision, recall = curves.precision, curves.recall
    classes = range(precision.shape[2])
    return VideoAPScores(
        AP=_mean(precision[..., ALL]),
        AP50=_mean(precision[HALF, ..., ALL]),
        AP75=_mean(precision[THREE_QUARTERS, ..., ALL]),
        APs=_mean(precision[..., SMALL]),
        APm=_mean(precision[..., MEDIUM]),
        APl=_mean(precision[..., LARGE]),
        AR1=_mean(recall[:, :, ALL, 0]),
        AR10=_mean(recall[:, :, ALL, 1]),
        AR100=_mean(recall[:, :, ALL, 2]),
        ARs=_mean(recall[:, :, SMALL, 2]),
        ARm=_mean(recall[:, :, MEDIUM, 2]),
        ARl=_mean(recall[:, :, LARGE, 2]),
        per_class={
            label: ClassAP(
                AP=_mean(precision[:, :, label, ALL]),
                AP50=_mean(precision[HALF, :, label, ALL]),
                AP75=_mean(precision[THREE_QUARTERS, :, label, ALL]),
                AR1=_mean(recall[:, label, ALL, 0]),
                AR10=_mean(recall[:, label, ALL, 1]),
                AR100=_mean(recall[:, label, ALL, 2]),
                truths=truths.get(label, 0),
                predictions=predictions.get(label, 0),
            )
            for label in classes
        },
        ignored_classes={label: n for label, n in sorted(predictions.items()) if label not in classes},
    )


def _mean(values: np.ndarray) -> float:
    values = values[values > -1]
    return float(values.mean()) if values.size else math.nan
