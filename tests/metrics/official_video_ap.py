"""The steps of the official average precision of YouTube-VIS, slow and plain: a reference and a baseline.

Written from the description of its behaviour. It takes annotations as its files have them: a dict for each track with
"id" (from 1: 0 means "no match" in it), "video_id", "category_id", "segmentations" (an encoding or None for each
frame), for true tracks "iscrowd" and "areas", for predicted ones "score".
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from tltm_graph import Tracks

Annotation = dict[str, Any]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
AREA_RANGES = [(0, 1e5**2), (0, 128**2), (128**2, 256**2), (256**2, 1e5**2)]
MAX_DETECTIONS = [1, 10, 100]


@dataclass
class OfficialResult:
    precision: np.ndarray  # (T, R, K, A, M), -1 where undefined
    recall: np.ndarray  # (T, K, A, M)

    def stats(self) -> list[float]:
        return [
            *(self._mean_precision(t, 0) for t in (slice(None), slice(0, 1), slice(5, 6))),
            *(self._mean_precision(slice(None), a) for a in (1, 2, 3)),
            *(self._mean_recall(0, m) for m in (0, 1, 2)),
            *(self._mean_recall(a, 2) for a in (1, 2, 3)),
        ]

    def _mean_precision(self, thresholds: slice, area: int) -> float:
        values = self.precision[thresholds][:, :, :, area, 2]
        return float(np.mean(values[values > -1])) if (values > -1).any() else -1.0

    def _mean_recall(self, area: int, most: int) -> float:
        values = self.recall[:, :, area, most]
        return float(np.mean(values[values > -1])) if (values > -1).any() else -1.0


def annotations(tracks: Tracks, video_id: int, first_id: int = 1) -> list[Annotation]:
    """Tracks with masks as the files have them, labels + 1 as categories."""
    rows = []
    for number, track in enumerate(tracks.values()):
        assert track.masks is not None
        segmentations: list[Any] = [None] * tracks.num_frames
        areas: list[Any] = [None] * tracks.num_frames
        for position, frame in enumerate(track.frames):
            mask = track.masks[position]
            segmentations[frame] = mask
            areas[frame] = int(coco_mask.area(mask)) if track.areas is None else track.areas[position]
        rows.append(
            {
                "id": first_id + number,
                "video_id": video_id,
                "category_id": track.label + 1,
                "iscrowd": int(track.crowd),
                "score": track.score,
                "segmentations": segmentations,
                "areas": areas,
            }
        )
    return rows


def load_predictions(predictions: list[Annotation]) -> None:
    """Areas and boxes of every mask, one call each, as the official reader of results adds them."""
    for number, prediction in enumerate(predictions):
        prediction["id"] = number + 1
        prediction["iscrowd"] = 0
        prediction["areas"] = [mask and int(coco_mask.area(mask)) for mask in prediction["segmentations"]]
        prediction["bboxes"] = [mask and coco_mask.toBbox(mask).tolist() for mask in prediction["segmentations"]]


def mean_area(annotation: Annotation) -> float:
    areas = [area for area in annotation["areas"] if area]
    return float(np.mean(areas)) if areas else 0.0


def sequence_iou(prediction: list[Any], truth: list[Any]) -> float:
    intersection = union = 0.0
    for d, g in zip(prediction, truth, strict=True):
        if d and g:
            intersection += int(coco_mask.area(coco_mask.merge([d, g], True)))
            union += int(coco_mask.area(coco_mask.merge([d, g], False)))
        elif d or g:
            union += int(coco_mask.area(d or g))
    return intersection / union if union > 0 else 0.0


def evaluate_video(
    truth: list[Annotation], predictions: list[Annotation], ious: np.ndarray, area_range: tuple[float, float]
) -> dict[str, np.ndarray]:
    """The matching of one video, category and range; predictions and the rows of ``ious`` are sorted already."""
    low, high = area_range
    ignore = [bool(g["iscrowd"]) or g["area"] < low or g["area"] > high for g in truth]
    order = sorted(range(len(truth)), key=lambda i: ignore[i])
    truth, ignore = [truth[i] for i in order], [ignore[i] for i in order]
    ious = ious[:, order]
    truth_match = np.zeros((len(THRESHOLDS), len(truth)))
    match = np.zeros((len(THRESHOLDS), len(predictions)))
    ignored = np.zeros((len(THRESHOLDS), len(predictions)), dtype=bool)
    for t, threshold in enumerate(THRESHOLDS):
        for d in range(len(predictions)):
            best, chosen = min(threshold, 1 - 1e-10), -1
            for g in range(len(truth)):
                if truth_match[t, g] > 0 and not truth[g]["iscrowd"]:
                    continue
                if chosen > -1 and not ignore[chosen] and ignore[g]:
                    break
                if ious[d, g] < best:
                    continue
                best, chosen = ious[d, g], g
            if chosen == -1:
                continue
            ignored[t, d] = ignore[chosen]
            match[t, d] = truth[chosen]["id"]
            truth_match[t, chosen] = predictions[d]["id"]
    outside = np.array([d["area"] < low or d["area"] > high for d in predictions], dtype=bool)
    ignored |= (match == 0) & outside
    return {
        "scores": np.array([d["score"] for d in predictions]),
        "match": match,
        "ignored": ignored,
        "truth_ignored": np.array(ignore, dtype=bool),
    }


def official_video_ap(
    video_ids: list[int], category_ids: list[int], truth: list[Annotation], predictions: list[Annotation]
) -> OfficialResult:
    """Reads, evaluates and accumulates."""
    load_predictions(predictions)
    grouped: tuple[Any, Any] = (defaultdict(list), defaultdict(list))
    for group, rows in zip(grouped, (truth, predictions), strict=True):
        for row in rows:
            row["area"] = mean_area(row)
            group[row["video_id"], row["category_id"]].append(row)
    results: dict[tuple[int, int], list[dict[str, np.ndarray]]] = defaultdict(list)
    for k, category in enumerate(sorted(category_ids)):
        for video in sorted(video_ids):
            true_rows, rows = (group[video, category] for group in grouped)
            if not true_rows and not rows:
                continue
            rows = [rows[i] for i in np.argsort([-d["score"] for d in rows], kind="mergesort")][: MAX_DETECTIONS[-1]]
            ious = np.zeros((len(rows), len(true_rows)))
            for i, d in enumerate(rows):
                for j, g in enumerate(true_rows):
                    ious[i, j] = sequence_iou(d["segmentations"], g["segmentations"])
            for a, area_range in enumerate(AREA_RANGES):
                results[k, a].append(evaluate_video(true_rows, rows, ious, area_range))
    return accumulate(results, len(category_ids))


def accumulate(results: dict[tuple[int, int], list[dict[str, np.ndarray]]], num_categories: int) -> OfficialResult:
    shape = (len(THRESHOLDS), num_categories, len(AREA_RANGES), len(MAX_DETECTIONS))
    precision = -np.ones((len(THRESHOLDS), len(RECALLS), *shape[1:]))
    recall = -np.ones(shape)
    for (k, a), videos in results.items():
        for m, most in enumerate(MAX_DETECTIONS):
            scores = np.concatenate([video["scores"][:most] for video in videos])
            order = np.argsort(-scores, kind="mergesort")
            match = np.concatenate([video["match"][:, :most] for video in videos], axis=1)[:, order]
            ignored = np.concatenate([video["ignored"][:, :most] for video in videos], axis=1)[:, order]
            positives = np.count_nonzero(~np.concatenate([video["truth_ignored"] for video in videos]))
            if positives == 0:
                continue
            hits = np.cumsum((match > 0) & ~ignored, axis=1).astype(float)
            misses = np.cumsum((match == 0) & ~ignored, axis=1).astype(float)
            for t in range(len(THRESHOLDS)):
                found = hits[t] / positives
                exact = (hits[t] / (misses[t] + hits[t] + np.spacing(1))).tolist()
                recall[t, k, a, m] = found[-1] if len(found) else 0
                for i in range(len(exact) - 1, 0, -1):
                    exact[i - 1] = max(exact[i - 1], exact[i])
                sampled = np.zeros(len(RECALLS))
                for r, place in enumerate(np.searchsorted(found, RECALLS, side="left")):
                    if place < len(exact):
                        sampled[r] = exact[place]
                precision[t, :, k, a, m] = sampled
    return OfficialResult(precision, recall)
