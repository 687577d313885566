"""The trackers that are compared: one call a frame, boxes and scores in, an id for each box out.

Others come from the packages ``trackers`` (Apache-2.0) and ``norfair`` (BSD-3-Clause), which are imported when one of
theirs is made.
"""

from collections.abc import Callable
from itertools import count
from typing import Any, Protocol

import numpy as np

from benchmarks.association_sequences import Sequence
from tltm_graph import Detections, Frame, Tracker
from tltm_graph.detectors import Detector
from tltm_graph.metrics.matching import match_overlap
from tltm_graph.metrics.overlap import pairwise_box_iou


class Associator(Protocol):
    """Follows boxes through one video."""

    def update(self, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Takes in the next frame.

        Args:
            boxes: (x0, y0, x1, y1) in pixels, float64 (N, 4).
            scores: Confidence, float64 (N,).

        Returns:
            The track of each box, int64 (N,), -1 for none.
        """
        ...


class StoredDetector(Detector):
    """The detections of a sequence, for a tracker that asks a detector."""

    class_names: tuple[str, ...] | None = None

    def __init__(self, sequence: Sequence) -> None:
        self.sequence = sequence

    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        """See :class:`tltm_graph.detectors.Detector`."""
        return self.sequence.detections(frame.index), None


def follow(sequence: Sequence, make: Callable[[Detector], Tracker]) -> list[list[int]]:
    """The ids that a tracker of this library gives to the detections of each frame, as soon as it sees them."""
    tracker = make(StoredDetector(sequence))
    frames = map(sequence.frame, range(sequence.num_frames))
    return [[] if seen.ids is None else seen.ids.tolist() for _, seen in tracker.track(frames)]


def associate(sequence: Sequence, make: Callable[[], Associator]) -> list[list[int]]:
    """The ids that an associator gives them; one for each class where objects have classes."""
    labels = sorted({row.label for frame in sequence.found for row in frame}) if sequence.by_class else [None]
    associators = [make() for _ in labels]
    result = []
    for found in sequence.found:
        ids = np.full(len(found), -1)
        for number, (label, associator) in enumerate(zip(labels, associators, strict=True)):
            rows = [i for i, row in enumerate(found) if label in (None, row.label)]
            boxes = np.array([found[i].box for i in rows]).reshape(-1, 4)
            given = associator.update(boxes, np.array([found[i].score for i in rows]))
            ids[rows] = np.where(given >= 0, given * len(labels) + number, -1)
        result.append(ids.tolist())
    return result


class IouHungarian:
    """Hungarian matching on the IoU with the box of a track's last observation: no motion, only memory.

    Args:
        thr: Least IoU of a match.
        max_time_since_update: Frames in a row that a track with an id survives unseen.
        min_hits: Observations in a row that give a track its id.
        det_min: Detections with a lower score are left out.
    """

    def __init__(
        self, thr: float = 0.3, max_time_since_update: int = 0, min_hits: int = 1, det_min: float = 0.0
    ) -> None:
        self.thr, self.max_time_since_update, self.min_hits, self.det_min = (
            thr,
            max_time_since_update,
            min_hits,
            det_min,
        )
        self._new_ids = count(1)
        self._ids = self._hits = self._misses = np.zeros(0, dtype=np.int64)
        self._boxes = np.zeros((0, 4))

    def update(self, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """See :class:`Associator`."""
        ids = np.full(len(boxes), -1)
        strong = np.flatnonzero(scores >= self.det_min)
        tracks, matched = match_overlap(pairwise_box_iou(self._boxes, boxes[strong]), self.thr)
        rows = strong[matched]
        self._misses += 1
        self._boxes[tracks], self._misses[tracks] = boxes[rows], 0
        self._hits[tracks] += 1
        ids[rows] = np.where(self._hits[tracks] >= self.min_hits, self._ids[tracks], -1)

        born = np.setdiff1d(strong, rows)
        new = np.fromiter(self._new_ids, dtype=np.int64, count=len(born))
        if self.min_hits <= 1:
            ids[born] = new
        kept = (self._misses == 0) | (self._misses <= self.max_time_since_update) & (self._hits >= self.min_hits)
        self._ids = np.concatenate([self._ids[kept], new])
        self._hits = np.concatenate([self._hits[kept], np.ones(len(born), dtype=np.int64)])
        self._misses = np.concatenate([self._misses[kept], np.zeros(len(born), dtype=np.int64)])
        self._boxes = np.concatenate([self._boxes[kept], boxes[born]])
        return ids


class Roboflow:
    """A tracker of the package ``trackers``, without camera motion and masks.

    Args:
        kind: Name of its class.
        settings: Of the class; all others are the package's.
    """

    def __init__(self, kind: str, **settings: Any) -> None:
        import trackers

        if not hasattr(trackers, kind):
            raise ImportError(
                f"Expected the package 'trackers' from version 2.6.1 on, got one without {kind}: installed together "
                "with 'norfair' it gets an old version, install both with pip install --no-deps"
            )
        self._tracker = getattr(trackers, kind)(**settings)

    def update(self, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """See :class:`Associator`."""
        import supervision

        rows = np.arange(len(boxes))
        found = supervision.Detections(xyxy=boxes, confidence=scores, data={"row": rows})
        tracked = self._tracker.update(found)
        ids = np.full(len(boxes), -1)
        if len(tracked):
            ids[tracked.data["row"]] = tracked.tracker_id
        return ids


class Norfair:
    """The tracker of the package ``norfair`` on the IoU of boxes.

    Args:
        det_min: Detections with a lower score are left out.
        settings: Of its class; all others are the package's.
    """

    def __init__(self, det_min: float = 0.0, **settings: Any) -> None:
        import norfair

        self.det_min = det_min
        self._tracker = norfair.Tracker(distance_function="iou", **settings)

    def update(self, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """See :class:`Associator`."""
        import norfair

        strong = np.flatnonzero(scores >= self.det_min).tolist()
        found = [norfair.Detection(points=boxes[row].reshape(2, 2), data=row) for row in strong]
        active = self._tracker.update(found)
        ids = np.full(len(boxes), -1)
        for track in active:
            if any(track.last_detection is detection for detection in found):
                ids[track.last_detection.data] = track.id
        return ids
