"""What tracks of rendered scenes are worth."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tltm_graph.metrics import Evaluation
from tltm_graph.structures import Frame, Tracks
from tltm_graph.synthetic import MovingShapes
from tltm_graph.tracking import Tracker

METRICS = ("AP", "AP50", "AR10", "HOTA", "AssA", "IDF1", "AP degraded", "AP clean")
"""What is reported, shares in [0, 1]. The last two are AP of the observations in degraded frames and in all others."""


@dataclass(frozen=True, eq=False)
class ScoredScene:
    """A scene as scoring needs it, without its pictures.

    Args:
        name: Of the scene.
        truth: Its true tracks.
        degraded: Frames in which the whole picture is degraded.
    """

    name: str
    truth: Tracks
    degraded: frozenset[int]

    @classmethod
    def of(cls, scene: MovingShapes) -> "ScoredScene":
        """Renders the truth of a scene."""
        frames = range(len(scene))
        truth = Tracks.from_stream(((i, scene.truth(i)) for i in frames), scene.size, len(scene))
        return cls(f"scene {scene.seed}", truth, frozenset(filter(scene.degraded, frames)))


@dataclass(frozen=True)
class SceneScores:
    """Scores of some scenes; NaN where there is nothing to score.

    Args:
        overall: Of all scenes together, by metric.
        scenes: Of each scene as if it were the only one, by its name.
    """

    overall: dict[str, float]
    scenes: dict[str, dict[str, float]]


def score(scenes: Sequence[ScoredScene], predicted: Sequence[Tracks], class_names: Sequence[str]) -> SceneScores:
    """Scores the tracks of each scene: video AP, HOTA and IDF1 on masks, class by class."""
    whole = Evaluation(("ap", "hota", "idf1"), class_names)
    parts = {name: Evaluation(("ap",), class_names) for name in ("degraded", "clean")}
    for number, (scene, tracks) in enumerate(zip(scenes, predicted, strict=True)):
        whole.update(scene.name, number, scene.truth, tracks)
        clean = frozenset(range(scene.truth.num_frames)) - scene.degraded
        for name, frames in (("degraded", scene.degraded), ("clean", clean)):
            parts[name].update(scene.name, number, frames_only(scene.truth, frames), frames_only(tracks, frames))
    computed, of_parts = whole.compute(), {name: part.compute() for name, part in parts.items()}

    def chosen(scores: dict[str, float], degraded: dict[str, float], clean: dict[str, float]) -> dict[str, float]:
        all_scores = scores | {"AP degraded": degraded["AP"], "AP clean": clean["AP"]}
        return {metric: all_scores.get(metric, math.nan) for metric in METRICS}

    return SceneScores(
        chosen(computed.overall, of_parts["degraded"].overall, of_parts["clean"].overall),
        {
            name: chosen(scores, of_parts["degraded"].per_video[name], of_parts["clean"].per_video[name])
            for name, scores in computed.per_video.items()
        },
    )


def frames_only(tracks: Tracks, frames: Collection[int]) -> Tracks:
    """The observations in some frames; frames keep their numbers, tracks without a observation there are gone."""
    rows = ((frame, row) for frame, seen in tracks.observations() if frame in frames for row in seen)
    return Tracks.from_observations(rows, tracks.size, tracks.num_frames)


def followed(tracker: Tracker, frames: Iterable[Frame], size: tuple[int, int], num_frames: int) -> Tracks:
    """The tracks that a tracker shows of a video."""
    stream = ((frame.index, seen) for frame, seen in tracker.track(frames))
    return Tracks.from_stream(stream, size, num_frames)
