import hashlib
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch

from tltm_graph.association import GeometricAffinity
from tltm_graph.detectors.replay import DetectionCache, cache_detections
from tltm_graph.metrics.matching import match_to_ground_truth
from tltm_graph.models import TLTM, for_inference, load_model
from tltm_graph.models.tltm import expect_tltm
from tltm_graph.structures import Tracks
from tltm_graph.synthetic import DetectionSequence
from tltm_graph.training.sources import LabelledVideo, VideoDescription


class ModelDetections:
    """What a trained model finds in videos of which the true tracks are known, and how its relation judges it: for an
    association head that is to learn the errors of both.

    Args:
        videos: The videos.
        weights: Of the model, see :func:`tltm_graph.models.load_model`.
        score_threshold: Of its detector; None for its own.
        nms_iou_across: Of its detector, see :class:`tltm_graph.detectors.centermask.Decoder`; None for its own. A head
            that meets more duplicates in training than in use knows better what to leave alone.
        first: Number of the first video that is used.
        num_videos: How many from there on; None for all.
        keep: A folder in which what was found is kept, to be read by later runs: to look at a video takes much longer
            than to learn from it. One for each ``videos``; by weights it is kept apart. 0.3 MB for 60 frames of ten
            objects.

    Raises:
        ValueError: If the model has no relation. (When it is first used; so are the errors of ``load_model``.)
    """

    def __init__(
        self,
        videos: VideoDescription,
        weights: str,
        score_threshold: float | None = None,
        first: int = 0,
        num_videos: int | None = None,
        keep: str | None = None,
        nms_iou_across: float | None = None,
    ) -> None:
        self.videos, self.weights = videos, weights
        self.score_threshold, self.nms_iou_across = score_threshold, nms_iou_across
        self.first, self.num_videos = first, num_videos
        self.keep = keep

    @cached_property
    def _model(self) -> TLTM:
        model = load_model(self.weights)
        model = expect_tltm(model)
        own = model.detector.decoder
        model.detector.decoder = replace(
            own,
            score_threshold=own.score_threshold if self.score_threshold is None else self.score_threshold,
            nms_iou_across=own.nms_iou_across if self.nms_iou_across is None else self.nms_iou_across,
        )
        return for_inference(model)

    @cached_property
    def _videos(self) -> list[LabelledVideo]:
        every = list(self.videos.videos(self._model.class_names or ()))[self.first :]
        return every if self.num_videos is None else every[: self.num_videos]

    @cached_property
    def _kept(self) -> Path | None:
        """Where what this model sees is kept."""
        if self.keep is None:
            return None
        detector = self._model.detector
        told = hashlib.sha256(repr((detector.decoder, detector.min_size, detector.max_size)).encode())
        for name, value in sorted(self._model.state_dict().items()):
            told.update(name.encode() + value.contiguous().numpy().tobytes())
        return Path(self.keep) / told.hexdigest()[:16]

    def _cached(self, video: LabelledVideo, truth: Tracks) -> DetectionCache:
        if self._kept is None:
            return self._detect(video)
        path = self._kept / f"{video.name}.safetensors"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._detect(video).save(path)
        seen = DetectionCache.load(path)
        if len(seen) != truth.num_frames or truth.size not in (None, seen.size):
            raise ValueError(
                f"Expected {truth.num_frames} frames of {truth.size} pixels (H, W) in '{path}', got {len(seen)} of "
                f"{seen.size}: name another folder to keep these videos"
            )
        return seen

    def _detect(self, video: LabelledVideo) -> DetectionCache:
        # The encoder of the relation is wanted, whether or not an affinity was trained for it.
        encoder = GeometricAffinity(appearance=self._model)
        return cache_detections(self._model, video.frames(), encoder, masks=False)

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, index: int) -> DetectionSequence:
        """A video, without masks; its detections have the nodes of the relation for features.

        Raises:
            ValueError: If what was kept is of another video.
        """
        model, video = self._model, self._videos[index]
        truth = video.truth()
        seen = self._cached(video, truth)
        told = list(match_to_ground_truth(seen.frames, truth))
        return DetectionSequence(
            seen.size,
            seen.times,
            tuple(found.replace(ids=ids) for found, (ids, _) in zip(seen.frames, told, strict=True)),
            tuple(real for _, real in told),
            torch.no_grad()(model.score),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.weights}', {len(self)} videos)"
