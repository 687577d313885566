import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tltm_graph.association import Affinity, GreedySolver, HungarianSolver, LearnedAffinity
from tltm_graph.commands.source import open_source
from tltm_graph.detectors import Detector, build_detector
from tltm_graph.explanation import SavedGraph
from tltm_graph.formats import open_videos
from tltm_graph.io import FrameReader
from tltm_graph.published import published_tracker
from tltm_graph.structures import Tracks
from tltm_graph.synthetic import MovingShapes
from tltm_graph.tracking import Tracker, TrackManager

SOLVERS = ("hungarian", "greedy", "argmax")
"""Names of the solvers. ``argmax`` stands for the whole tracker of the released code."""


def build_tracker(
    solver: str, detector: Detector, affinity: Affinity | None = None, manager: dict[str, Any] | None = None
) -> Tracker:
    """Build the tracker for the name of a solver.

    Args:
        solver: One of :data:`SOLVERS`.
        detector: Detector.
        affinity: Affinity; None for the detector's own or the default. ``argmax`` takes its appearance model alone.
        manager: Arguments of :class:`tltm_graph.tracking.TrackManager` that differ from its defaults.
    """
    if solver == "argmax":
        affinity = affinity or detector.affinity()
        return published_tracker(detector, affinity.appearance if isinstance(affinity, LearnedAffinity) else None)
    chosen = GreedySolver() if solver == "greedy" else HungarianSolver()
    return Tracker(detector, affinity, chosen, TrackManager(**(manager or {})))


@dataclass(frozen=True, eq=False)
class SavedRun:
    """A run of ``tltm-graph track --save-graph``, and the parts it was made with.

    Args:
        graph: Decisions of the run.
        affinity: Affinity with the appearance model of the run; None if it had none.
        solver: Name of the solver.
    """

    graph: SavedGraph
    affinity: Affinity | None
    solver: str

    @classmethod
    def open(cls, path: str | Path, weights: str | None = None, related: bool = True) -> "SavedRun":
        """Reads a graph, and builds the relation model that judged in it.

        Args:
            path: The file, or the folder it is in.
            weights: The detector that brings the relation, if it is not where it was: as ``--detector``.
            related: Whether the relation is needed.

        Raises:
            ValueError: If it is no graph of ``tltm-graph track``, or the relation cannot be built.
            OSError: If a file is missing.
        """
        graph = SavedGraph(path)
        about = graph.about
        if about.get("solver") not in SOLVERS or "detector" not in about:
            raise ValueError(
                f"Expected a graph of tltm-graph track in '{graph.path}', got one that does not say which detector and "
                "solver it had: replay and explain take the parts of your own tracker, in Python"
            )
        return cls(graph, _affinity(graph, weights) if related else None, about["solver"])

    def pictures(self, source: str | None = None) -> FrameReader | MovingShapes:
        """The frames of its video.

        Args:
            source: Where they are, if not where they were.

        Raises:
            ValueError: If the video was a stream, which is over.
        """
        about = self.graph.about
        source = source or about.get("source")
        if source is not None and (source.isdigit() or source.startswith("rtsp://")):
            raise ValueError(
                f"Expected a video that can be read again, got the stream '{source}': name its recording with "
                "--source, or do without pictures (--no-pictures)"
            )
        return open_source(source, int(about.get("seed", 0)), demo=about.get("scene") == "demo")

    def truth(self, path: str | Path | None = None) -> Tracks:
        """The true tracks of its video.

        Args:
            path: Where they are, in any format: the only video in it, or the one of the name of the source. None for a
                rendered scene, whose truth is known.

        Raises:
            ValueError: If there is no such video, it has another length, or no truth is known.
            OSError: If a file is missing.
        """
        source, length = self.graph.about.get("source"), self.graph.frames[-1] + 1 if len(self.graph) else 0
        if path is None:
            scene = self.pictures() if source is None else None
            if not isinstance(scene, MovingShapes):
                raise ValueError(f"Expected the true tracks of '{source}', got none: name their file with --truth")
            return Tracks.from_stream(((index, scene.truth(index)) for index in range(length)), scene.size)
        videos = open_videos(path)
        name = Path(str(source)).stem
        video = videos[0] if len(videos) == 1 else videos.named(name) or videos.named(str(source))
        if video is None:
            raise ValueError(f"Expected a video '{name}' in '{path}', got {len(videos)} others")
        truth = video.tracks()
        if truth.num_frames < length:
            raise ValueError(
                f"Expected the truth of {length} frames or more in '{path}', got {truth.num_frames}: it is of another "
                "video, or counts frames otherwise"
            )
        return truth

    def tracker(self, detector: Detector, solver: str | None = None, manager: dict[str, Any] | None = None) -> Tracker:
        """Build a tracker like that of the run.

        Args:
            detector: Detector that replays the run.
            solver: Name of another solver; None for that of the run.
            manager: Arguments of :class:`tltm_graph.tracking.TrackManager`; None for those of the run.
        """
        manager = self.graph.about.get("manager", {}) if manager is None else manager
        return build_tracker(solver or self.solver, detector, self.affinity, manager)


def _affinity(graph: SavedGraph, weights: str | None) -> Affinity | None:
    if not graph.about.get("related"):
        return None
    description = weights or graph.about["detector"]
    try:
        detector = build_detector(own_models(description), device="cpu", class_names=graph.class_names)
    except OSError as error:
        raise OSError(
            f"{error}\nExpected the weights of the appearance model of '{graph.path}', '{description}': name them with "
            "--weights"
        ) from error
    return detector.affinity()


def own_models(description: str) -> str:
    """``tltm:…`` is short for the class that builds the models of this package for tracking."""
    return re.sub(r"^tltm(?=[:?]|$)", "tltm_graph.models.model_for_tracking", description)
