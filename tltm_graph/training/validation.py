"""Validation of a model in training by tracking videos."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import networkx as nx
import torch
from torch import Tensor

from tltm_graph.association import Decision
from tltm_graph.detectors.centermask import CenterMask
from tltm_graph.explanation import association_graph
from tltm_graph.metrics import Evaluation
from tltm_graph.models import TLTM, for_inference
from tltm_graph.structures import Detections, Frame, Observation, Tracks
from tltm_graph.structures.tracks import observations_of
from tltm_graph.tracking import Tracker
from tltm_graph.training.sources import LabelledVideo, VideoSource


@dataclass(frozen=True, eq=False)
class ValidationResult:
    """Result of a validation.

    Args:
        evaluation: Counts of the metrics: merge those of all processes, then compute.
        pictures: Frames with ground truth above and predictions below (3, 2H, W), by the name of the video.
        graph: Association graph of the first video.
    """

    evaluation: Evaluation
    pictures: dict[str, Tensor]
    graph: nx.DiGraph


class TrackingValidation:
    """Tracks the objects of a few videos and computes video AP, HOTA and IDF1.

    A TLTM associates objects with its GNN, a CenterMask by geometry and class.

    Args:
        videos: Source of the videos.
        max_videos: Maximum number of videos, from the first one on.
        max_frames: Maximum number of frames of a video; None for all.
        num_pictures: Number of videos whose middle frame is drawn.
        max_shown: Maximum number of objects of a frame; the most confident ones count.

    Raises:
        ValueError: If a number is out of range.
    """

    families = ("ap", "hota", "idf1")

    def __init__(
        self,
        videos: VideoSource,
        max_videos: int = 8,
        max_frames: int | None = None,
        num_pictures: int = 4,
        max_shown: int = 15,
    ) -> None:
        for name, value, least in (
            ("max_videos", max_videos, 1),
            ("max_frames", max_frames, 1),
            ("num_pictures", num_pictures, 0),
        ):
            if value is not None and value < least:
                raise ValueError(f"Expected {name} of at least {least}, got {value}")
        self.videos = videos
        self.max_videos = max_videos
        self.max_frames = max_frames
        self.num_pictures = num_pictures
        self.max_shown = max_shown

    def open(self, class_names: Sequence[str]) -> list[LabelledVideo]:
        """Open the videos.

        Raises:
            ValueError: If there are no videos, or their classes do not fit.
            OSError: If a file is missing.
        """
        videos = list(islice(self.videos.videos(tuple(class_names)), self.max_videos))
        if not videos:
            raise ValueError("Expected at least one video to validate on, got none")
        return videos

    def __call__(
        self,
        model: TLTM | CenterMask,
        videos: Sequence[LabelledVideo],
        class_names: Sequence[str],
        rank: int = 0,
        world_size: int = 1,
    ) -> ValidationResult:
        """Validate a model.

        Args:
            model: The model, which is not changed.
            videos: Videos of :meth:`open`.
            class_names: Names of the classes.
            rank: Number of this process, which validates on every ``world_size``-th video.
            world_size: Number of processes.
        """
        fast: Any = for_inference(model)
        tracker = Tracker(fast, max_shown=self.max_shown)
        evaluation = Evaluation(self.families, class_names)
        pictures: dict[str, Tensor] = {}
        decisions: list[Decision] = []
        for number, video in islice(enumerate(videos), rank, None, world_size):
            truth = _shortened(video.truth(), self.max_frames)
            drawn = truth.num_frames // 2 if number < self.num_pictures else None
            rows: list[tuple[int, Observation]] = []
            state = tracker.start()
            for index, frame in enumerate(islice(video.frames(), truth.num_frames)):
                state, detections = tracker.step(state, frame)
                rows += [(index, row) for row in observations_of(index, detections)]
                if number == rank:
                    assert state.decision is not None
                    decisions.append(state.decision.compact())
                if index == drawn:
                    pictures[video.name] = _picture(frame, truth.at(index), detections, tuple(class_names))
            evaluation.update(video.name, number, truth, Tracks.from_observations(rows, truth.size, truth.num_frames))
        return ValidationResult(evaluation, pictures, association_graph(decisions))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.max_videos} videos)"


def _shortened(truth: Tracks, max_frames: int | None) -> Tracks:
    if max_frames is None or truth.num_frames <= max_frames:
        return truth
    rows = ((frame, row) for frame, objects in truth.observations() if frame < max_frames for row in objects)
    return Tracks.from_observations(rows, truth.size, max_frames)


def _picture(frame: Frame, truth: Detections, detections: Detections, class_names: tuple[str, ...]) -> Tensor:
    from tltm_graph.visualization import Overlay

    return torch.cat([Overlay(class_names).draw(frame, objects) for objects in (truth, detections)], dim=1)
