from dataclasses import replace
from functools import cached_property

import torch

from tltm_graph.data import DetectionSequence
from tltm_graph.models import TLTM, for_inference, load_model, record
from tltm_graph.structures import Detections
from tltm_graph.training.identify import identify
from tltm_graph.training.sources import LabelledVideo, VideoDescription


class ModelDetections:
    """What a trained model finds in videos of which the true tracks are known, and how its relation judges it: for an
    association head that is to learn the errors of both.

    Args:
        videos: The videos.
        weights: Of the model, see :func:`tltm_graph.models.load_model`.
        score_threshold: Of its detector; None for its own.
        first: Number of the first video that is used.
        num_videos: How many from there on; None for all.

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
    ) -> None:
        self.videos, self.weights, self.score_threshold = videos, weights, score_threshold
        self.first, self.num_videos = first, num_videos

    @cached_property
    def _model(self) -> TLTM:
        model = load_model(self.weights)
        if not isinstance(model, TLTM):
            raise ValueError(f"Expected a model with a relation in '{self.weights}', got {model!r}")
        if self.score_threshold is not None:
            model.detector.decoder = replace(model.detector.decoder, score_threshold=self.score_threshold)
        return for_inference(model)

    @cached_property
    def _videos(self) -> list[LabelledVideo]:
        every = list(self.videos.videos(self._model.class_names or ()))[self.first :]
        return every if self.num_videos is None else every[: self.num_videos]

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, index: int) -> DetectionSequence:
        """A video, without masks; its detections have the nodes of the relation for features."""
        model, video = self._model, self._videos[index]
        seen = record(model, video.frames())
        frames: list[Detections] = []
        for objects in seen.objects:
            assert objects.features is not None
            frames.append(objects.replace(features=objects.features[:, : seen.num_channels]))
        told = list(identify(frames, video.truth()))
        return DetectionSequence(
            seen.size,
            seen.times,
            tuple(found.replace(ids=ids) for found, (ids, _) in zip(frames, told, strict=True)),
            tuple(real for _, real in told),
            torch.no_grad()(model.score),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.weights}', {len(self)} videos)"
