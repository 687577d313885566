"""Sources of detections with known identities, from which an association head learns."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from itertools import tee
from pathlib import Path
from typing import Protocol

import torch

from tltm_graph.association import GeometricAffinity
from tltm_graph.detectors import Detector, OracleDetector, PrecomputedDetector, build_detector, cache_detections
from tltm_graph.detectors.replay import DetectionCache
from tltm_graph.formats import Video, local_split, open_videos
from tltm_graph.formats.video import Part
from tltm_graph.metrics import match_to_ground_truth
from tltm_graph.models import TLTM, for_inference, load_model
from tltm_graph.models.tltm import expect_tltm
from tltm_graph.structures import Detections, Tracks
from tltm_graph.synthetic import simulate_motion
from tltm_graph.synthetic.simulated_motion import DetectionSequence
from tltm_graph.training.sources import LabelledVideo, VideoSource

_NAME = "{video}"


class DetectionSource(Protocol):
    """A list of videos of detections with known identities."""

    def __len__(self) -> int:
        """Return the number of videos."""
        ...

    def __getitem__(self, index: int) -> DetectionSequence:
        """Return a video."""
        ...


class SimulatedDetections:
    """Videos of :func:`tltm_graph.synthetic.simulate_motion`.

    Args:
        num_videos: Number of videos.
        first_seed: Seed of the first video; the others count on from it.
    """

    def __init__(self, num_videos: int = 1000, first_seed: int = 1000) -> None:
        self.num_videos = num_videos
        self.first_seed = first_seed

    def __len__(self) -> int:
        return self.num_videos

    def __getitem__(self, index: int) -> DetectionSequence:
        """Simulate the video of the seed ``first_seed + index``."""
        return simulate_motion(self.first_seed + index)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_videos} videos, seeds from {self.first_seed})"


class DetectionFiles:
    """Detections of any detector in videos with known true tracks.

    Each detection gets the identity of the true object that it matches
    (:func:`tltm_graph.metrics.match_to_ground_truth`). Pictures are read only if the detector is a model.

    Args:
        detections: Specification for :func:`tltm_graph.detectors.build_detector`, such as
            ``precomputed:detections/{video}.json.gz?score_threshold=0.2``. ``{video}`` stands for the name of the video
            and is required for files of several videos. ``oracle:FILE`` uses tracks in any format as detections;
            ``oracle`` alone uses the ground truth, with the noise of its options.
        truth: File or folder of true tracks in any format that :func:`tltm_graph.formats.open_videos` reads.
        images: Folder of the pictures, for formats that keep them elsewhere.
        format: Format of ``truth``; by default it is recognised.
        part: Part of :func:`tltm_graph.formats.local_split` to use; None for all videos.
        fps: Frames per second of videos that do not state it.
        min_iou: Smallest IoU of a detection and its object, in [0, 1].
        max_false_positive_iou: IoU with true objects below which a detection is a false positive. Use 0 if objects are
            missing in the ground truth: then there are no false positives.

    Raises:
        ValueError: If there are no videos, or several but no ``{video}``.
        OSError: If there is nothing at ``truth``.
    """

    def __init__(
        self,
        detections: str,
        truth: str,
        images: str | None = None,
        format: str | None = None,  # noqa: A002  as in open_videos
        part: Part | None = None,
        fps: float = 30.0,
        min_iou: float = 0.5,
        max_false_positive_iou: float = 0.3,
    ) -> None:
        videos = open_videos(truth, format, images)
        self.videos = videos if part is None else local_split(videos, part)
        self.detections, self.truth, self.fps = detections, truth, fps
        self.min_iou, self.max_false_positive_iou = min_iou, max_false_positive_iou
        if not self.videos:
            raise ValueError(f"Expected videos in '{truth}'{f', part {part}' if part else ''}, got none")
        if len(self.videos) > 1 and _NAME not in detections and not _fits_any_video(detections):
            raise ValueError(
                f"Expected '{_NAME}' in the name of the detections of {len(self.videos)} videos, got '{detections}'"
            )

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> DetectionSequence:
        """Detect and match the objects of a video; the result has no masks.

        Raises:
            ValueError: If a file is damaged, or detections and truth belong to different videos.
            OSError: If a file is missing.
        """
        video, truth = self.videos[index], self.videos[index].tracks()
        objects = replace(truth, tracks={i: track for i, track in truth.items() if not track.crowd})
        detector = build_detector(
            self.detections.replace(_NAME, video.name), truth=objects.at, class_names=self.videos.class_names
        )
        video = replace(
            video,
            size=video.size or truth.size or detector.size,
            num_frames=truth.num_frames if video.num_frames is None else video.num_frames,
            fps=video.fps or self.fps,
        )
        timed, unmatched = tee(_detect(detector, video))  # advance together, so that one frame's masks are in memory
        matches = match_to_ground_truth((d for _, d in unmatched), truth, self.min_iou, self.max_false_positive_iou)
        times, frames, is_object = [], [], []
        for (time, detections), (ids, labels) in zip(timed, matches, strict=True):
            times.append(time)
            frames.append(detections.replace(ids=ids, masks=None, features=None))
            is_object.append(labels)
        assert video.size is not None
        return DetectionSequence(video.size, tuple(times), tuple(frames), tuple(is_object))

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.detections}', {len(self)} videos of '{self.truth}')"


def _fits_any_video(detections: str) -> bool:
    """Check whether the specification names a model or the ground truth, not the file of one video."""
    name, colon, _ = detections.partition("?")[0].partition(":")
    return name != "precomputed" and not (name == "oracle" and colon)


def _detect(detector: Detector, video: Video) -> Iterator[tuple[float, Detections]]:
    needs_pictures = not isinstance(detector, PrecomputedDetector | OracleDetector)
    context = None
    for frame in video.frames() if needs_pictures else video.blank_frames():
        detections, context = detector.detect(frame, context)
        yield frame.time, detections


class ModelDetections:
    """Detections and appearance scores of a trained model in videos with known true tracks.

    An association head learns from them which errors detector and appearance model make.

    Args:
        videos: Source of the videos.
        weights: Weights of the model, see :func:`tltm_graph.models.load_model`.
        score_threshold: Score threshold of the detector; None for its own.
        first: Number of the first video to use.
        num_videos: Number of videos from there on; None for all.
        cache: Folder in which detections are cached for later runs: detection takes much longer than training. Use one
            folder for each ``videos``; inside it each model has a folder of its own. Sixty frames of ten objects take
            0.3 MB.
        nms_iou_across: NMS threshold between classes, see :class:`tltm_graph.detectors.centermask.Decoder`; None for
            the detector's own. More duplicates in training than in use teach a head to ignore them.

    Raises:
        ValueError: At first use, if the model has no relation model or cannot be loaded.
    """

    def __init__(
        self,
        videos: VideoSource,
        weights: str,
        score_threshold: float | None = None,
        first: int = 0,
        num_videos: int | None = None,
        cache: str | None = None,
        nms_iou_across: float | None = None,
    ) -> None:
        self.videos, self.weights = videos, weights
        self.score_threshold, self.nms_iou_across = score_threshold, nms_iou_across
        self.first, self.num_videos = first, num_videos
        self.cache = cache

    @cached_property
    def _model(self) -> TLTM:
        model = expect_tltm(load_model(self.weights))
        if self.score_threshold is not None:
            model.detector.decoder = replace(model.detector.decoder, score_threshold=self.score_threshold)
        if self.nms_iou_across is not None:
            model.detector.decoder = replace(model.detector.decoder, nms_iou_across=self.nms_iou_across)
        return for_inference(model)

    @cached_property
    def _videos(self) -> list[LabelledVideo]:
        end = None if self.num_videos is None else self.first + self.num_videos
        return list(self.videos.videos(self._model.class_names or ()))[self.first : end]

    @cached_property
    def _folder(self) -> Path | None:
        """Folder of the cached detections of this model."""
        if self.cache is None:
            return None
        detector = self._model.detector
        digest = hashlib.sha256(repr((detector.decoder, detector.min_size, detector.max_size)).encode())
        for name, value in sorted(self._model.state_dict().items()):
            digest.update(name.encode() + value.contiguous().numpy().tobytes())
        return Path(self.cache) / digest.hexdigest()[:16]

    def _cached(self, video: LabelledVideo, truth: Tracks) -> DetectionCache:
        if self._folder is None:
            return self._detect(video)
        path = self._folder / f"{video.name}.safetensors"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._detect(video).save(path)
        cached = DetectionCache.load(path)
        if len(cached) != truth.num_frames or truth.size not in (None, cached.size):
            raise ValueError(
                f"Expected {truth.num_frames} frames of {truth.size} pixels (H, W) in '{path}', got {len(cached)} of "
                f"{cached.size}: use another cache folder for these videos"
            )
        return cached

    def _detect(self, video: LabelledVideo) -> DetectionCache:
        # Embeddings are needed even if the model has an affinity that does not use its appearance model.
        encoder = GeometricAffinity(appearance=self._model)
        return cache_detections(self._model, video.frames(), encoder, masks=False)

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, index: int) -> DetectionSequence:
        """Detect and match the objects of a video; they have appearance embeddings but no masks.

        Raises:
            ValueError: If the cache is of another video.
        """
        model, video = self._model, self._videos[index]
        truth = video.truth()
        cached = self._cached(video, truth)
        matches = list(match_to_ground_truth(cached.frames, truth))
        return DetectionSequence(
            cached.size,
            cached.times,
            tuple(detections.replace(ids=ids) for detections, (ids, _) in zip(cached.frames, matches, strict=True)),
            tuple(labels for _, labels in matches),
            torch.no_grad()(model.score),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.weights}', {len(self)} videos)"
