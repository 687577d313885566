"""Tracks of rendered scenes and their scores."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tltm_graph.metrics import Evaluation
from tltm_graph.structures import Frame, Tracks
from tltm_graph.synthetic import MovingShapes
from tltm_graph.tracking import Tracker

METRICS = ("AP", "AP50", "AR10", "HOTA", "AssA", "IDF1", "AP degraded", "AP clean")
"""Reported metrics, in [0, 1]. The last two are AP on the degraded frames alone and on all other frames alone."""


@dataclass(frozen=True, eq=False)
class ScoredScene:
    """Ground truth of a scene, without its pictures.

    Args:
        name: Name of the scene.
        truth: True tracks.
        degraded: Indices of the frames whose whole picture is degraded.
    """

    name: str
    truth: Tracks
    degraded: frozenset[int]

    @classmethod
    def of(cls, scene: MovingShapes) -> "ScoredScene":
        """Render the ground truth of a scene."""
        frames = range(len(scene))
        truth = Tracks.from_stream(((i, scene.truth(i)) for i in frames), scene.size, len(scene))
        return cls(f"scene {scene.seed}", truth, frozenset(filter(scene.degraded, frames)))


@dataclass(frozen=True)
class SceneScores:
    """Scores of several scenes; NaN where there is nothing to score.

    Args:
        overall: Scores of all scenes together, by metric.
        scenes: Scores of each scene alone, by its name.
    """

    overall: dict[str, float]
    scenes: dict[str, dict[str, float]]


def score(scenes: Sequence[ScoredScene], predicted: Sequence[Tracks], class_names: Sequence[str]) -> SceneScores:
    """Score the tracks of each scene: video AP, HOTA and IDF1 on masks, class by class."""
    everything = Evaluation(("ap", "hota", "idf1"), class_names)
    parts = {name: Evaluation(("ap",), class_names) for name in ("degraded", "clean")}
    for number, (scene, tracks) in enumerate(zip(scenes, predicted, strict=True)):
        everything.update(scene.name, number, scene.truth, tracks)
        clean = frozenset(range(scene.truth.num_frames)) - scene.degraded
        for name, frames in (("degraded", scene.degraded), ("clean", clean)):
            parts[name].update(scene.name, number, frames_only(scene.truth, frames), frames_only(tracks, frames))
    total, degraded, clean_frames = everything.compute(), parts["degraded"].compute(), parts["clean"].compute()

    def reported(*scores: dict[str, float]) -> dict[str, float]:
        named = scores[0] | {"AP degraded": scores[1]["AP"], "AP clean": scores[2]["AP"]}
        return {metric: named.get(metric, math.nan) for metric in METRICS}

    return SceneScores(
        reported(total.overall, degraded.overall, clean_frames.overall),
        {
            name: reported(scores, degraded.per_video[name], clean_frames.per_video[name])
            for name, scores in total.per_video.items()
        },
    )


def frames_only(tracks: Tracks, frames: Collection[int]) -> Tracks:
    """Keep the observations in some frames. Frames keep their numbers; tracks without observations are removed."""
    rows = ((frame, row) for frame, observed in tracks.observations() if frame in frames for row in observed)
    return Tracks.from_observations(rows, tracks.size, tracks.num_frames)


def followed(tracker: Tracker, frames: Iterable[Frame], size: tuple[int, int], num_frames: int) -> Tracks:
    """Collect the tracks that a tracker shows of a video of ``num_frames`` frames of ``size`` (H, W) pixels."""
    stream = ((frame.index, detections) for frame, detections in tracker.track(frames))
    return Tracks.from_stream(stream, size, num_frames)
