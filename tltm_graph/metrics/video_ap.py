import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import numpy as np

from tltm_graph.metrics.average_precision import (
    AREAS,
    MAX_PREDICTIONS,
    THRESHOLDS,
    Judgement,
    PrecisionRecall,
    accumulate,
    in_range,
    match,
)
from tltm_graph.metrics.metric import Metric
from tltm_graph.metrics.overlap import On
from tltm_graph.metrics.track_iou import check_extents, frame_areas, iou_of_areas
from tltm_graph.metrics.video_ap_scores import VideoAPScores, video_ap_scores
from tltm_graph.structures import Track, Tracks


class VideoAP(Metric):
    """Average precision of tracks as YouTube-VIS counts it: COCO's, with :func:`track_iou` for the overlap.

    After "Video Instance Segmentation" <https://arxiv.org/abs/1905.04804>; the numbers are those of its official code,
    to the last digit. In particular

    - the class of a track is the one seen most often, its score the mean, its area the mean of the frames with a pixel;
    - a true track's area is that of its ``areas`` where it has them, else that of its masks;
    - a true track without a pixel can only be missed, a predicted one is wrong among all and small;
    - what overlaps a true ``crowd`` (by ordinary IoU) and nothing better is ignored;
    - predictions in a video without a true object of the class are wrong, those of a class that has none anywhere are
      not counted: the class is left out of the mean;
    - of predictions with equal scores, that of the video with the smaller id comes first, then the earlier in its
      ``Tracks``.

    Where the official code gives a number that means nothing, this raises: frames beyond the end of the true video
    (cut off there), masks of different sizes (there without influence), scores that are not finite (sorted last).
    Ids of tracks mean nothing (id 0 is never found there), and no predictions at all score 0 (an error there).

    Args:
        num_classes: Labels of classes are below it.
        on: Overlap and area of masks or of boxes.
    """

    def __init__(self, num_classes: int, on: On = "masks") -> None:
        if num_classes < 1:
            raise ValueError(f"Expected at least one class, got {num_classes}")
        self.num_classes = num_classes
        self.on = on
        self.reset()

    def reset(self) -> None:
        self._videos: dict[int, Judgement] = {}
        self._predictions: dict[int, Counter[int]] = {}  # video -> label -> how many, whatever their rank and class
        self._truths: dict[int, Counter[int]] = {}

    def update(self, video_id: int, truth: Tracks, predicted: Tracks) -> None:
        """Takes in one video.

        Args:
            video_id: Its number; with equal scores, videos with smaller numbers come first.
            truth: Its true tracks.
            predicted: The tracks to judge; their order decides between equal scores.

        Raises:
            ValueError: If the video was there before, a true label is not below ``num_classes``, a score or an area is
                not a number, a track goes on after the end of the true video, or masks are missing or of different
                sizes. Nothing of the video is kept then.
        """
        if video_id in self._videos:
            raise ValueError(f"Expected each video once, got video {video_id} twice")
        self._check(video_id, truth, predicted)
        labels = {track_id: track.label for track_id, track in predicted.items()}
        true_labels = {track_id: track.label for track_id, track in truth.items()}
        self._videos[video_id] = self._judge(truth, predicted, true_labels, labels)
        self._predictions[video_id] = Counter(labels.values())
        self._truths[video_id] = Counter(label for i, label in true_labels.items() if not truth[i].crowd)

    def merge(self, other: Self) -> None:
        if (other.num_classes, other.on) != (self.num_classes, self.on):
            raise ValueError(
                f"Expected the same settings, got {self.num_classes} classes on {self.on} and {other.num_classes} "
                f"on {other.on}"
            )
        twice = self._videos.keys() & other._videos.keys()
        if twice:
            raise ValueError(f"Expected each video once, got video {min(twice)} in both: give every process its own")
        self._videos |= other._videos
        self._predictions |= other._predictions
        self._truths |= other._truths

    def compute(self) -> VideoAPScores:
        """The scores of all videos so far."""
        return self._scores(sorted(self._videos))

    @property
    def num_cut_off(self) -> int:
        """Predictions beyond the best 100 of their video and class, which do not count."""
        most = MAX_PREDICTIONS[-1]
        return sum(max(0, n - most) for counts in self._predictions.values() for n in counts.values())

    def per_video(self) -> dict[int, VideoAPScores]:
        """The scores of each video as if it were the only one, by its id."""
        return {video_id: self._scores([video_id]) for video_id in sorted(self._videos)}

    def curves(self) -> PrecisionRecall:
        """Precision and recall of each class, range of area and threshold: what the scores are the means of."""
        return self._curves(sorted(self._videos))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_classes} classes, on {self.on}, {len(self._videos)} videos)"

    def _check(self, video_id: int, truth: Tracks, predicted: Tracks) -> None:
        for track_id, track in truth.items():
            where = f"true track {track_id} of video {video_id}"
            if not 0 <= track.label < self.num_classes:
                raise ValueError(f"Expected labels below {self.num_classes}, got {track.label} for {where}")
            if not all(math.isfinite(area) and area >= 0 for area in track.areas or ()):
                raise ValueError(f"Expected areas of at least 0, got {min(track.areas or ())} for {where}")
        for track_id, track in predicted.items():
            if not math.isfinite(sum(track.scores)):
                raise ValueError(f"Expected finite scores, got {track.score} for track {track_id} of video {video_id}")
        size: tuple[int, int] | None = None
        for kind, tracks in (("true", truth), ("predicted", predicted)):
            ids = list(tracks)
            for track_id, track in tracks.items():
                if track.frames[0] < 0 or track.frames[-1] >= truth.num_frames:
                    raise ValueError(
                        f"Expected frames 0 to {truth.num_frames - 1} of the true video, got frame "
                        f"{track.frames[0] if track.frames[0] < 0 else track.frames[-1]} in {kind} track {track_id} of "
                        f"video {video_id}: it belongs to another video, or frames are counted otherwise"
                    )
            size = check_extents(
                list(tracks.values()),
                self.on,
                size,
                lambda i, kind=kind, ids=ids: f"{kind} track {ids[i]} of video {video_id}",  # type: ignore[misc]
            )

    def _judge(
        self, truth: Tracks, predicted: Tracks, true_labels: dict[int, int], labels: dict[int, int]
    ) -> Judgement:
        of_label: dict[int, list[Track]] = {}
        for track_id, track in predicted.items():
            if 0 <= labels[track_id] < self.num_classes:
                of_label.setdefault(labels[track_id], []).append(track)
        for label, tracks in of_label.items():
            of_label[label] = sorted(tracks, key=lambda track: -track.score)[: MAX_PREDICTIONS[-1]]  # stable
        rows = [track for label in sorted(of_label) for track in of_label[label]]
        columns = sorted(truth.values(), key=lambda track: track.label)
        areas, true_areas = frame_areas(rows, self.on), frame_areas(columns, self.on)
        inside = in_range(_mean_areas(areas))
        given = (
            track.areas if track.areas is not None else area for track, area in zip(columns, true_areas, strict=True)
        )
        crowd = np.array([track.crowd for track in columns], dtype=bool)
        counts = in_range(_mean_areas([np.asarray(area, np.float64) for area in given])) & ~crowd[:, None]
        row_labels = np.repeat(np.array(sorted(of_label), np.int64), [len(of_label[k]) for k in sorted(of_label)])
        column_labels = np.array(sorted(true_labels.values()), dtype=np.int64)
        shape = (len(rows), len(AREAS), len(THRESHOLDS))
        taken, counted = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        for label in np.intersect1d(row_labels, column_labels):
            here, there = (slice(*np.searchsorted(side, [label, label + 1])) for side in (row_labels, column_labels))
            iou = iou_of_areas(rows[here], columns[there], areas[here], true_areas[there], self.on)
            taken[here], counted[here] = match(iou, counts[there], crowd[there])
        return Judgement(
            labels=row_labels,
            scores=np.array([track.score for track in rows], dtype=np.float64),
            ranks=np.arange(len(rows)) - np.searchsorted(row_labels, row_labels),
            found=counted,
            wrong=~taken & inside[:, :, None],
            truth_labels=column_labels,
            truth_counts=counts,
        )

    def _curves(self, video_ids: Sequence[int]) -> PrecisionRecall:
        return accumulate([self._videos[video_id] for video_id in video_ids], self.num_classes)

    def _scores(self, video_ids: Sequence[int]) -> VideoAPScores:
        predictions = sum((self._predictions[i] for i in video_ids), Counter[int]())
        truths = sum((self._truths[i] for i in video_ids), Counter[int]())
        return video_ap_scores(self._curves(video_ids), truths, predictions)


def class_agnostic(tracks: Tracks) -> Tracks:
    """The same tracks, all with label 0, to score without classes: give true and predicted ones to ``VideoAP(1)``.

    They are sorted by their former labels, as the official code does without classes; that decides between equal
    scores. Tracks of labels that are no class count here as any other.
    """
    order = sorted(tracks.items(), key=lambda item: item[1].label)  # stable
    return replace(tracks, tracks={i: replace(track, labels=(0,) * len(track)) for i, track in order})


def _mean_areas(areas: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of each track over the frames in which it has an area, 0 if it has none; float64 (N,)."""
    return np.array([area[area > 0].mean() if area.any() else 0.0 for area in areas], dtype=np.float64)
