import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tltm_graph.metrics.average_precision import (
    AREAS,
    MAX_PREDICTIONS,
    THRESHOLDS,
    PrecisionRecall,
    VideoAPScores,
    VideoMatches,
    in_range,
    match_predictions,
    precision_recall,
    video_ap_scores,
)
from tltm_graph.metrics.metric import VideoMetric
from tltm_graph.metrics.overlap import On
from tltm_graph.metrics.track_iou import check_extents, frame_areas, iou_of_areas
from tltm_graph.structures import Track, Tracks


class _Video(NamedTuple):
    matches: VideoMatches
    truths: Counter[int]  # number of true objects by label, without crowds
    predictions: Counter[int]  # number of predictions by label, of any rank


class VideoAP(VideoMetric[_Video]):
    """Average precision of tracks as in YouTube-VIS: that of COCO, with :func:`track_iou` as the overlap.

    After "Video Instance Segmentation" <https://arxiv.org/abs/1905.04804>; the numbers equal those of its official code
    to the last digit. In particular:

    - The class of a track is its most frequent one, its score the mean, its area the mean over the frames with a pixel.
    - The area of a true track is that of its ``areas`` if it has them, otherwise that of its masks.
    - A true track without a pixel is always missed. A predicted one is a false positive among all and small tracks.
    - A prediction that overlaps a true ``crowd`` (by ordinary IoU) and matches no other object is ignored.
    - Predictions in a video without a true object of the class are false positives. Classes without any true object are
      left out of the mean, with their predictions.
    - Predictions with equal scores are ordered by the id of the video, then by their order in ``Tracks``.

    Where the number of the official code is meaningless, this class raises: for frames after the end of the true video
    (there cut off), masks of different sizes (there no influence) and scores that are not finite (there last). Ids of
    tracks have no influence (there id 0 is never matched), and an empty prediction scores 0 (there an error).

    Args:
        num_classes: Number of classes, at least 1. Labels are below it.
        on: Compare masks or boxes, and use their areas.

    Raises:
        ValueError: If ``num_classes`` is below 1.
    """

    def __init__(self, num_classes: int, on: On = "masks") -> None:
        if num_classes < 1:
            raise ValueError(f"Expected at least one class, got {num_classes}")
        super().__init__()
        self.num_classes = num_classes
        self.on = on

    def update(self, video_id: int, truth: Tracks, predicted: Tracks) -> None:
        """Add one video.

        Args:
            video_id: Number of the video. With equal scores, videos with smaller numbers come first.
            truth: True tracks.
            predicted: Tracks to evaluate. Their order decides between equal scores.

        Raises:
            ValueError: If the metric has the video already, a true label is not below ``num_classes``, a score or an
                area is not finite, a track exceeds the true video, or masks are missing or of different sizes. Nothing
                of the video is kept then.
        """
        self._expect_new([video_id])
        self._check(video_id, truth, predicted)
        self._videos[video_id] = _Video(
            self._match(truth, predicted),
            Counter(track.label for track in truth.values() if not track.crowd),
            Counter(track.label for track in predicted.values()),
        )

    def compute(self) -> VideoAPScores:
        """Compute the scores of all videos so far."""
        return _scores([self._videos[i] for i in sorted(self._videos)], self.num_classes)

    @property
    def num_cut_off(self) -> int:
        """Number of predictions beyond the best 100 of their video and class, which are not scored."""
        numbers = (n for video in self._videos.values() for n in video.predictions.values())
        return sum(max(0, n - MAX_PREDICTIONS[-1]) for n in numbers)

    def per_video(self) -> dict[int, VideoAPScores]:
        """Return the scores of each video alone, by id."""
        return {i: _scores([self._videos[i]], self.num_classes) for i in sorted(self._videos)}

    def curves(self) -> PrecisionRecall:
        """Return precision and recall of each class, range of area and threshold, of which the scores are means."""
        return precision_recall([self._videos[i].matches for i in sorted(self._videos)], self.num_classes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_classes} classes, on {self.on})"

    def _check(self, video_id: int, truth: Tracks, predicted: Tracks) -> None:
        true_tracks = {f"true track {i} of video {video_id}": track for i, track in truth.items()}
        predicted_tracks = {f"predicted track {i} of video {video_id}": track for i, track in predicted.items()}
        for name, track in true_tracks.items():
            if not 0 <= track.label < self.num_classes:
                raise ValueError(f"Expected labels below {self.num_classes}, got {track.label} for {name}")
            if not all(math.isfinite(area) and area >= 0 for area in track.areas or ()):
                raise ValueError(f"Expected areas of at least 0, got {min(track.areas or ())} for {name}")
        for name, track in predicted_tracks.items():
            if not math.isfinite(sum(track.scores)):
                raise ValueError(f"Expected finite scores, got {track.score} for {name}")
        for name, track in {**true_tracks, **predicted_tracks}.items():
            if track.frames[0] < 0 or track.frames[-1] >= truth.num_frames:
                raise ValueError(
                    f"Expected frames 0 to {truth.num_frames - 1} of the true video, got frame "
                    f"{track.frames[0] if track.frames[0] < 0 else track.frames[-1]} in {name}: check that both are of "
                    "the same video and count frames alike"
                )
        check_extents({**true_tracks, **predicted_tracks}, self.on)

    def _match(self, truth: Tracks, predicted: Tracks) -> VideoMatches:
        by_label: dict[int, list[Track]] = {label: [] for label in range(self.num_classes)}
        for track in sorted(predicted.values(), key=lambda track: -track.score):  # stable
            by_label.get(track.label, []).append(track)
        by_label = {label: tracks[: MAX_PREDICTIONS[-1]] for label, tracks in by_label.items()}
        rows = [track for tracks in by_label.values() for track in tracks]
        columns = sorted(truth.values(), key=lambda track: track.label)
        row_labels = np.repeat(np.array(list(by_label), np.int64), [len(tracks) for tracks in by_label.values()])
        column_labels = np.array([track.label for track in columns], dtype=np.int64)
        areas, true_areas = frame_areas(rows, self.on), frame_areas(columns, self.on)
        stated_areas = (
            area if track.areas is None else np.asarray(track.areas, np.float64)
            for track, area in zip(columns, true_areas, strict=True)
        )
        crowd = np.array([track.crowd for track in columns], dtype=bool)
        scored = in_range(_mean_areas(list(stated_areas))) & ~crowd[:, None]
        shape = (len(rows), len(AREAS), len(THRESHOLDS))
        matched, matched_scored = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        for label in np.intersect1d(row_labels, column_labels):
            here, there = (slice(*np.searchsorted(side, [label, label + 1])) for side in (row_labels, column_labels))
            iou = iou_of_areas(rows[here], columns[there], areas[here], true_areas[there], self.on)
            matched[here], matched_scored[here] = match_predictions(iou, scored[there], crowd[there])
        return VideoMatches(
            labels=row_labels,
            scores=np.array([track.score for track in rows], dtype=np.float64),
            ranks=np.arange(len(rows)) - np.searchsorted(row_labels, row_labels),
            true_positive=matched_scored,
            false_positive=~matched & in_range(_mean_areas(areas))[:, :, None],
            truth_labels=column_labels,
            truth_scored=scored,
        )


def _scores(videos: Sequence[_Video], num_classes: int) -> VideoAPScores:
    curves = precision_recall([video.matches for video in videos], num_classes)
    truths = sum((video.truths for video in videos), Counter[int]())
    predictions = sum((video.predictions for video in videos), Counter[int]())
    return video_ap_scores(curves, truths, predictions)


def class_agnostic(tracks: Tracks) -> Tracks:
    """Set all labels to 0, to score true and predicted tracks without classes by ``VideoAP(1)``.

    Tracks are sorted by their former labels, as in the official code without classes. That decides between equal
    scores. Tracks with labels outside the classes are included.
    """
    order = sorted(tracks.items(), key=lambda item: item[1].label)  # stable
    return replace(tracks, tracks={i: replace(track, labels=(0,) * len(track)) for i, track in order})


def _mean_areas(areas: Sequence[np.ndarray]) -> np.ndarray:
    """Average the areas of each track over its frames with an area, float64 (N,); 0 without any."""
    return np.array([area[area > 0].mean() if area.any() else 0.0 for area in areas], dtype=np.float64)
