import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tltm_graph.association import GreedySolver, HungarianSolver
from tltm_graph.commands.source import open_source
from tltm_graph.detectors import Detector, build_detector
from tltm_graph.explanation import SavedGraph
from tltm_graph.formats import open_videos
from tltm_graph.io import FrameReader
from tltm_graph.published import ArgmaxSolver, PublishedAffinity, PublishedTrackManager
from tltm_graph.structures import Tracks
from tltm_graph.synthetic import MovingShapes
from tltm_graph.tracking import Relation, Tracker, TrackManager

SOLVERS: dict[str, Callable[[Detector, Relation | None, float], Tracker]] = {
    "hungarian": lambda detector, relation, pixel: Tracker(detector, relation, solver=HungarianSolver()),
    "greedy": lambda detector, relation, pixel: Tracker(detector, relation, solver=GreedySolver()),
    # The published rule is all of these parts together.
    "argmax": lambda detector, relation, pixel: Tracker(
        detector,
        relation,
        affinity=PublishedAffinity(match=0.5, score=1.5, iou=2.5, pixel=pixel),
        solver=ArgmaxSolver(),
        track_manager=PublishedTrackManager(),
        max_shown=15,
    ),
}
"""A tracker for each name of a solver, of a detector, a relation, and the network's pixel in pixels of the frame."""


@dataclass(frozen=True, eq=False)
class SavedRun:
    """A run of ``tltm-graph track --save-graph``, and the parts it was made with.

    Args:
        graph: Its decisions.
        scorer: The relation model, if it had one.
        solver: The name of its solver.
    """

    graph: SavedGraph
    scorer: Relation | None
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
        return cls(graph, _scorer(graph, weights) if related else None, about["solver"])

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

    def tracker(
        self,
        detector: Detector,
        relation: Relation | None,
        solver: str | None = None,
        life: dict[str, Any] | None = None,
    ) -> Tracker:
        """A tracker as that of the run.

        Args:
            detector: Of a saved run.
            relation: The same.
            solver: Another solver.
            life: Options of :class:`tltm_graph.tracking.TrackManager` in place of those of the run.
        """
        about = self.graph.about
        tracker = SOLVERS[solver or self.solver](detector, relation, float(about.get("pixel", 1.0)))
        life = about.get("life", {}) if life is None else life
        if life:
            tracker.track_manager = TrackManager(**life)
        return tracker


def _scorer(graph: SavedGraph, weights: str | None) -> Any:
    if not graph.about.get("related"):
        return None
    description = weights or graph.about["detector"]
    try:
        return build_detector(own_models(description), device="cpu", class_names=graph.class_names)
    except OSError as error:
        raise OSError(
            f"{error}\nExpected the weights of the relation model that judged in '{graph.path}', '{description}': "
            "name them with --weights"
        ) from error


def own_models(description: str) -> str:
    """``tltm:…`` is short for the class that builds the models of this package for tracking."""
    return re.sub(r"^tltm(?=[:?]|$)", "tltm_graph.models.model_for_tracking", description)
