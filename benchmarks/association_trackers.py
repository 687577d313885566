"""Trackers that are compared, and their settings.

Each takes the boxes and scores of a frame and returns an id for each box. The other trackers are those of the packages
``trackers`` (Apache-2.0) and ``norfair`` (BSD-3-Clause), which are imported when one of them is built.

Settings: *default* is that of the package, *tuned* the best of a grid on the sequences of MOT15, *tuned17* the best of
a smaller grid on the sequences of MOT17c. Both were tuned on the sequences that they are scored on.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Protocol

import numpy as np

from benchmarks.association_groups import Sequence
from tltm_graph import Detections, Frame, Tracker
from tltm_graph.detectors import Detector
from tltm_graph.metrics.matching import match_overlap
from tltm_graph.ops.boxes import pairwise_box_iou


class Associator(Protocol):
    """Tracker of the boxes of one video."""

    def update(self, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Process the next frame.

        Args:
            boxes: Boxes (x0, y0, x1, y1) in pixels, float64 (N, 4).
            scores: Detection scores in [0, 1], float64 (N,).

        Returns:
            Track of each box, int64 (N,), -1 for none.
        """
        ...


class StoredDetector(Detector):
    """Detector that returns the detections of a sequence."""

    def __init__(self, sequence: Sequence) -> None:
        self.sequence = sequence

    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        """Return the detections of the frame with this index."""
        return self.sequence.detections(frame.index), None


@dataclass(frozen=True, eq=False)
class Followed:
    """What a tracker made of a sequence.

    Args:
        ids: Track of each detection of each frame, -1 for none.
        milliseconds: Median time of a frame, without reading the detections.
    """

    ids: list[list[int]]
    milliseconds: float


def follow(sequence: Sequence, make: Callable[[Detector], Tracker]) -> Followed:
    """Ids that a tracker of this library gives to the detections of each frame, online."""
    tracker = make(StoredDetector(sequence))
    state, ids, seconds = tracker.start(), [], []
    for frame in map(sequence.frame, range(sequence.num_frames)):
        start = time.perf_counter()
        state, shown = tracker.step(state, frame)
        seconds.append(time.perf_counter() - start - state.seconds["detect"])
        ids.append([] if shown.ids is None else shown.ids.tolist())
    return Followed(ids, 1000 * statistics.median(seconds or [0.0]))


def associate(sequence: Sequence, make: Callable[[], Associator]) -> Followed:
    """Ids that another tracker gives to the detections of each frame; one tracker per class where there are classes."""
    labels = sorted({row.label for frame in sequence.detected for row in frame}) if sequence.by_class else [None]
    associators = [make() for _ in labels]
    result, milliseconds = [], []
    for detected in sequence.detected:
        ids, seconds = np.full(len(detected), -1), 0.0
        for number, (label, associator) in enumerate(zip(labels, associators, strict=True)):
            rows = [i for i, row in enumerate(detected) if label in (None, row.label)]
            boxes = np.array([detected[i].box for i in rows]).reshape(-1, 4)
            scores = np.array([detected[i].score for i in rows])
            start = time.perf_counter()
            assigned = associator.update(boxes, scores)
            seconds += time.perf_counter() - start
            ids[rows] = np.where(assigned >= 0, assigned * len(labels) + number, -1)
        result.append(ids.tolist())
        milliseconds.append(1000 * seconds)
    return Followed(result, statistics.median(milliseconds or [0.0]))


class IouHungarian:
    """Hungarian matching on the IoU with the last box of each track, without a motion model.

    Args:
        thr: Minimum IoU of a match.
        max_time_since_update: Number of frames in a row that a confirmed track survives without a detection.
        min_hits: Number of detections in a row that confirm a track.
        det_min: Minimum score of a detection.
    """

    def __init__(
        self, thr: float = 0.3, max_time_since_update: int = 0, min_hits: int = 1, det_min: float = 0.0
    ) -> None:
        self.thr, self.det_min = thr, det_min
        self.max_time_since_update, self.min_hits = max_time_since_update, min_hits
        self._new_ids = count(1)
        self._ids = self._hits = self._misses = np.zeros(0, dtype=np.int64)
        self._boxes = np.zeros((0, 4))

    def update(self, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Process the next frame, see :class:`Associator`."""
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
    """Tracker of the package ``trackers``, without camera motion compensation and masks.

    Args:
        kind: Name of its class.
        settings: Arguments of the class that differ from the package's defaults.
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
        """Process the next frame, see :class:`Associator`."""
        import supervision

        rows = np.arange(len(boxes))
        found = supervision.Detections(xyxy=boxes, confidence=scores, data={"row": rows})
        tracked = self._tracker.update(found)
        ids = np.full(len(boxes), -1)
        if len(tracked):
            ids[tracked.data["row"]] = tracked.tracker_id
        return ids


class Norfair:
    """Tracker of the package ``norfair`` on the IoU of boxes.

    Args:
        det_min: Minimum score of a detection.
        settings: Arguments of its class that differ from the package's defaults.
    """

    def __init__(self, det_min: float = 0.0, **settings: Any) -> None:
        import norfair

        self.det_min = det_min
        self._tracker = norfair.Tracker(distance_function="iou", **settings)

    def update(self, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Process the next frame, see :class:`Associator`."""
        import norfair

        usable = (boxes[:, :2] < boxes[:, 2:]).all(axis=1)  # it refuses boxes of zero area
        strong = np.flatnonzero(usable & (scores >= self.det_min)).tolist()
        found = [norfair.Detection(points=boxes[row].reshape(2, 2), data=row) for row in strong]
        active = self._tracker.update(found)
        ids = np.full(len(boxes), -1)
        for track in active:
            if any(track.last_detection is detection for detection in found):
                ids[track.last_detection.data] = track.id
        return ids


Settings = Mapping[str, Mapping[str, Any]]

PEERS: Mapping[str, tuple[Callable[..., Associator], Settings]] = {
    "IoU-Hungarian": (
        IouHungarian,
        {
            "default": {},
            "tuned": {"thr": 0.3, "max_time_since_update": 5, "min_hits": 1, "det_min": 0.7},
            "tuned17": {"thr": 0.3, "max_time_since_update": 15, "min_hits": 2},
        },
    ),
    "SORT": (
        partial(Roboflow, "SORTTracker"),
        {
            "default": {},
            "tuned": {
                "lost_track_buffer": 10,
                "track_activation_threshold": 0.7,
                "minimum_consecutive_frames": 3,
                "minimum_iou_threshold": 0.2,
            },
            "tuned17": {"lost_track_buffer": 16, "minimum_consecutive_frames": 2, "minimum_iou_threshold": 0.1},
        },
    ),
    "ByteTrack": (
        partial(Roboflow, "ByteTrackTracker"),
        {
            "default": {},
            "tuned": {
                "lost_track_buffer": 30,
                "track_activation_threshold": 0.5,
                "minimum_consecutive_frames": 2,
                "minimum_iou_threshold": 0.2,
                "high_conf_det_threshold": 0.6,
            },
            "tuned17": {"lost_track_buffer": 16, "minimum_consecutive_frames": 2, "minimum_iou_threshold": 0.1},
        },
    ),
    "OC-SORT": (
        partial(Roboflow, "OCSORTTracker"),
        {
            "default": {},
            "tuned": {
                "lost_track_buffer": 30,
                "minimum_consecutive_frames": 1,
                "minimum_iou_threshold": 0.3,
                "high_conf_det_threshold": 0.7,
            },
            "tuned17": {"lost_track_buffer": 16, "minimum_consecutive_frames": 1, "minimum_iou_threshold": 0.3},
        },
    ),
    "BoT-SORT (no CMC)": (
        partial(Roboflow, "BoTSORTTracker", enable_cmc=False),
        {
            "default": {},
            "tuned": {
                "lost_track_buffer": 30,
                "track_activation_threshold": 0.5,
                "minimum_consecutive_frames": 2,
                "minimum_iou_threshold_first_assoc": 0.1,
                "high_conf_det_threshold": 0.6,
            },
            "tuned17": {
                "lost_track_buffer": 16,
                "minimum_consecutive_frames": 2,
                "minimum_iou_threshold_first_assoc": 0.3,
            },
        },
    ),
    "C-BIoU": (
        partial(Roboflow, "CBIoUTracker"),
        {
            "default": {},
            "tuned": {
                "lost_track_buffer": 30,
                "track_activation_threshold": 0.7,
                "minimum_consecutive_frames": 2,
                "minimum_iou_threshold_first_assoc": 0.2,
                "buffer_ratio_first": 0.1,
                "buffer_ratio_second": 0.3,
            },
            "tuned17": {"lost_track_buffer": 16, "minimum_consecutive_frames": 2, "buffer_ratio_first": 0.1},
        },
    ),
    "McByte (no CMC, no masks)": (
        partial(Roboflow, "McByteTracker", enable_cmc=False),
        {
            "default": {},
            "tuned": {
                "lost_track_buffer": 30,
                "track_activation_threshold": 0.5,
                "minimum_consecutive_frames": 2,
                "minimum_iou_threshold_first_assoc": 0.1,
                "high_conf_det_threshold": 0.6,
            },
        },
    ),
    "norfair": (
        Norfair,
        {
            "default": {"distance_threshold": 0.7},
            "tuned": {
                "distance_threshold": 0.9,
                "hit_counter_max": 15,
                "initialization_delay": 2,
                "det_min": 0.6,
            },
            "tuned17": {"distance_threshold": 0.7, "hit_counter_max": 30, "initialization_delay": 1},
        },
    ),
}
"""Constructor and settings of each tracker."""

PACKAGE = {name: "norfair" if name == "norfair" else "trackers" for name in PEERS if name != "IoU-Hungarian"}
"""Package that each tracker needs."""
