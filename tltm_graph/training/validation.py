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
from tltm_graph.structures import Detections, Frame, Observation, Tracks, observations_of
from tltm_graph.tracking import Tracker
from tltm_graph.training.sources import LabelledVideo, VideoDescription


@dataclass(frozen=True, eq=False)
class Validated:
    """How a model does on videos.

    Args:
        evaluation: All that was counted; merge those of several processes, then compute.
        pictures: Frames with the truth drawn in above and the predictions below (3, 2H, W), by the name of the video.
        graph: The association graph of the first video.
    """

    evaluation: Evaluation
    pictures: dict[str, Tensor]
    graph: nx.DiGraph


class TrackingValidation:
    """Follows the objects of a few videos with the library's own tracker and scores the tracks against the truth.

    Scores are video AP, HOTA and IDF1. A TLTM relates objects with its GNN, a CenterMask by geometry and class.

    Args:
        videos: The videos.
        max_videos: Only so many, the first ones.
        max_frames: Only so many frames of each; None for all.
        num_pictures: Of so many videos the middle frame is drawn.
        max_shown: At most so many objects a frame count, the most confident ones.

    Raises:
        ValueError: If a number is out of range.
    """

    families = ("ap", "hota", "idf1")

    def __init__(
        self,
        videos: VideoDescription,
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
        """Finds the videos.

        Raises:
            ValueError: If there are none, or they are of other classes.
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
    ) -> Validated:
        """Scores a model.

        Args:
            model: The model, which is not changed.
            videos: Of :meth:`open`.
            class_names: Names of the classes.
            rank: Number of this process: it takes every ``world_size``-th video.
            world_size: Number of processes.
        """
        fast: Any = for_inference(model)
        tracker = Tracker(fast, max_shown=self.max_shown)
        evaluation = Evaluation(self.families, class_names)
        pictures: dict[str, Tensor] = {}
        decisions: list[Decision] = []
        for number, video in islice(enumerate(videos), rank, None, world_size):
            truth = _cut(video.truth(), self.max_frames)
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
        return Validated(evaluation, pictures, association_graph(decisions))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.max_videos} videos)"


def _cut(truth: Tracks, max_frames: int | None) -> Tracks:
    if max_frames is None or truth.num_frames <= max_frames:
        return truth
    rows = ((frame, row) for frame, seen in truth.observations() if frame < max_frames for row in seen)
    return Tracks.from_observations(rows, truth.size, max_frames)


def _picture(frame: Frame, truth: Detections, detections: Detections, class_names: tuple[str, ...]) -> Tensor:
    from tltm_graph.visualization import Overlay

    return torch.cat([Overlay(class_names).draw(frame, objects) for objects in (truth, detections)], dim=1)
