"""Parts that a run of the command line was made of, by their names."""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from tltm_graph.association import Affinity, GreedySolver, HungarianSolver, LearnedAffinity
from tltm_graph.cli.arguments import SolverName
from tltm_graph.detectors import Detector, build_detector
from tltm_graph.explanation import SavedGraph
from tltm_graph.formats import open_videos
from tltm_graph.formats.mot import read_mot
from tltm_graph.io import FrameReader, read_frames
from tltm_graph.published import published_tracker
from tltm_graph.structures import Tracks
from tltm_graph.synthetic import MovingShapes
from tltm_graph.tracking import Tracker, TrackManager

SOLVERS: tuple[str, ...] = get_args(SolverName)
"""Names of the solvers. ``argmax`` stands for the whole tracker of the released code."""

RENDERED = "shapes"
"""Name of the source that is a rendered scene. A file of this name is ``./shapes``."""


def open_source(source: str, seed: int = 0) -> FrameReader | MovingShapes:
    """Open the frames of a video.

    Args:
        source: Anything that :func:`tltm_graph.io.read_frames` opens, or the folder of a MOTChallenge sequence, with
            black frames for missing pictures; ``"shapes"`` renders a scene.
        seed: Seed of the rendered scene.
    """
    if source == RENDERED:
        return MovingShapes(seed=seed)
    if not (Path(source) / "seqinfo.ini").is_file():
        return read_frames(source)
    sequence = read_mot(source)[0]
    if sequence.images is not None:
        return sequence.frames()
    warnings.warn(f"'{source}' has no pictures: black frames are used instead", stacklevel=2)
    return sequence.blank_frames()


def expand_detector_name(description: str) -> str:
    """Replace ``tltm:…`` by the function that builds the models of this package for tracking."""
    return re.sub(r"^tltm(?=[:?]|$)", "tltm_graph.models.model_for_tracking", description)


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
    if solver not in SOLVERS:
        raise ValueError(f"Expected a solver of {sorted(SOLVERS)}, got '{solver}'")
    if solver == "argmax":
        affinity = affinity or detector.affinity()
        return published_tracker(detector, affinity.appearance if isinstance(affinity, LearnedAffinity) else None)
    chosen = GreedySolver() if solver == "greedy" else HungarianSolver()
    return Tracker(detector, affinity, chosen, TrackManager.for_detector(detector, **(manager or {})))


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
    def open(cls, path: str | Path, weights: str | None = None, with_affinity: bool = True) -> "SavedRun":
        """Read a saved graph and build the affinity that scored its edges.

        Args:
            path: ``graph.zip``, or its folder.
            weights: Detector with the appearance model, as for ``--detector``; None for that of the run.
            with_affinity: Build the affinity.

        Raises:
            ValueError: If the file is not a graph of ``tltm-graph track``, or the model cannot be built.
            OSError: If a file is missing.
        """
        graph = SavedGraph(path)
        about = graph.about
        if about.get("solver") not in SOLVERS or "detector" not in about:
            raise ValueError(
                f"Expected a graph of tltm-graph track in '{graph.path}', got one without the names of its detector "
                "and solver: call replay and explain in Python, which take the parts of your own tracker"
            )
        return cls(graph, _affinity(graph, weights) if with_affinity else None, about["solver"])

    def pictures(self, source: str | None = None) -> FrameReader | MovingShapes:
        """Open the frames of the video.

        Args:
            source: Video; None for the source of the run.

        Raises:
            ValueError: If the source is a stream, which cannot be read again.
        """
        about = self.graph.about
        source = str(source or about.get("source"))
        if source.isdigit() or source.startswith("rtsp://"):
            raise ValueError(
                f"Expected a video that can be read again, got the stream '{source}': name its recording with "
                "--source, or leave out pictures (--no-pictures)"
            )
        return open_source(source, int(about.get("seed", 0)))

    def truth(self, path: str | Path | None = None) -> Tracks:
        """Read the ground truth of the video.

        Args:
            path: Tracks in any format: the only video in it, or the one with the name of the source. None for the
                ground truth of a rendered scene.

        Raises:
            ValueError: If there is no such video, it has fewer frames, or the ground truth is not known.
            OSError: If a file is missing.
        """
        source, length = self.graph.about.get("source"), self.graph.frames[-1] + 1 if len(self.graph) else 0
        if path is None:
            scene = self.pictures() if source == RENDERED else None
            if not isinstance(scene, MovingShapes):
                raise ValueError(f"Expected the ground truth of '{source}', got none: name its file with --truth")
            return Tracks.from_stream(((index, scene.truth(index)) for index in range(length)), scene.size)
        videos = open_videos(path)
        name = Path(str(source)).stem
        video = videos[0] if len(videos) == 1 else videos.named(name) or videos.named(str(source))
        if video is None:
            raise ValueError(f"Expected a video '{name}' in '{path}', got {len(videos)} others")
        truth = video.tracks()
        if truth.num_frames < length:
            raise ValueError(
                f"Expected ground truth of at least {length} frames in '{path}', got {truth.num_frames}: it belongs to "
                "another video, or its frames are numbered differently"
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
        detector = build_detector(expand_detector_name(description), device="cpu", class_names=graph.class_names)
    except OSError as error:
        raise OSError(
            f"{error}\nExpected the weights of the appearance model of '{graph.path}', '{description}': name them with "
            "--weights"
        ) from error
    return detector.affinity()
