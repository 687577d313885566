"""Parts that a run of the command line was made of, by their names."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tltm_graph.association import Affinity, GreedySolver, HungarianSolver, LearnedAffinity
from tltm_graph.cli.recorded import RENDERED as RENDERED
from tltm_graph.cli.recorded import SOLVERS, RunSettings
from tltm_graph.detectors import Detector, build_detector
from tltm_graph.explanation import SavedGraph
from tltm_graph.formats import open_videos
from tltm_graph.formats.mot import read_mot
from tltm_graph.io import FrameReader, read_frames
from tltm_graph.models import model_for_tracking
from tltm_graph.printable import one_line
from tltm_graph.published import published_tracker
from tltm_graph.structures import Detections, Tracks
from tltm_graph.synthetic import MovingShapes
from tltm_graph.tracking import Tracker, TrackManager


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
    solver: str, detector: Detector, affinity: Affinity | None = None, manager: Mapping[str, Any] | None = None
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
        settings: Checked settings of the run.
    """

    graph: SavedGraph
    affinity: Affinity | None
    settings: RunSettings

    @classmethod
    def open(cls, path: str | Path, weights: str | None = None, with_affinity: bool = True) -> "SavedRun":
        """Read a saved graph and build the affinity that scored its edges.

        Args:
            path: ``graph.zip``, or its folder.
            weights: Detector with the appearance model, as for ``--detector``, in the words of the user. None for that
                of the run, if a graph may name it: :class:`tltm_graph.cli.recorded.RecordedModel`.
            with_affinity: Build the affinity.

        Raises:
            ValueError: If the file is not a graph of ``tltm-graph track``, or the model cannot be built.
            OSError: If a file is missing.
        """
        graph = SavedGraph(path)
        settings = RunSettings.read(graph.about, graph.path)
        affinity = _affinity(graph, settings, weights) if with_affinity and settings.related else None
        return cls(graph, affinity, settings)

    def pictures(self, source: str | None = None) -> FrameReader | MovingShapes:
        """Open the frames of the video.

        Args:
            source: Video, in the words of the user. None for the source of the run, if a graph may name it:
                :class:`tltm_graph.cli.recorded.RecordedSource`.

        Raises:
            ValueError: If the source is a stream, which cannot be read again, or a graph may not name it.
            OSError: If a file is missing.
        """
        source = self.settings.source.local() if source is None else source
        if source.isdigit() or source.startswith("rtsp://"):
            raise ValueError(
                f"Expected a video that can be read again, got the stream '{source}': name its recording with "
                "--source, or leave out pictures (--no-pictures)"
            )
        return open_source(source, self.settings.seed)

    def truth(self, path: str | Path | None = None) -> Tracks:
        """Read the ground truth of the video.

        Args:
            path: Tracks in any format: the only video in it, or the one with the name of the source. None for the
                ground truth of a rendered scene.

        Raises:
            ValueError: If there is no such video, it has fewer frames, or the ground truth is not known.
            OSError: If a file is missing.
        """
        source, length = self.settings.source, self.graph.frames[-1] + 1 if len(self.graph) else 0
        if path is None:
            scene = self.pictures() if source.is_rendered else None
            if not isinstance(scene, MovingShapes):
                raise ValueError(
                    f"Expected the ground truth of '{one_line(source.named, 200)}', got none: name its file with "
                    "--truth"
                )
            if length > len(scene):
                raise ValueError(
                    f"Expected frames of a rendered scene, from 0 to {len(scene) - 1}, got frame {length - 1} in "
                    f"'{self.graph.path}': the file is damaged or made by other code"
                )
            return Tracks.from_stream(((index, scene.truth(index)) for index in range(length)), scene.size)
        videos = open_videos(path)
        video = videos[0] if len(videos) == 1 else videos.named(source.name) or videos.named(source.named or "")
        if video is None:
            raise ValueError(
                f"Expected a video '{one_line(source.name, 200)}' in '{path}', got {len(videos)} others: name a file "
                "of one"
            )
        truth = video.tracks()
        if truth.num_frames < length:
            raise ValueError(
                f"Expected ground truth of at least {length} frames in '{path}', got {truth.num_frames}: it belongs to "
                "another video, or its frames are numbered differently"
            )
        return truth

    def tracker(
        self, detector: Detector, solver: str | None = None, manager: Mapping[str, Any] | None = None
    ) -> Tracker:
        """Build a tracker like that of the run.

        Args:
            detector: Detector that replays the run.
            solver: Name of another solver; None for that of the run.
            manager: Arguments of :class:`tltm_graph.tracking.TrackManager`; None for those of the run.
        """
        manager = self.settings.manager if manager is None else manager
        return build_tracker(solver or self.settings.solver, detector, self.affinity, manager)


def _affinity(graph: SavedGraph, settings: RunSettings, weights: str | None) -> Affinity:
    """Build the affinity of the model that the user names, or else of that which the graph names."""
    if weights is not None:
        detector = build_detector(expand_detector_name(weights), device="cpu", class_names=graph.class_names)
    else:
        detector = model_for_tracking(str(settings.detector.weights()), device="cpu")
    affinity = detector.affinity()
    if affinity is None:
        raise ValueError(
            f"Expected a model with a trained appearance model, as '{graph.path}' was made with, got {detector!r}: "
            "name another with --weights"
        )
    _check_embeddings(graph, affinity)
    return affinity


def _check_embeddings(graph: SavedGraph, affinity: Affinity) -> None:
    """Refuse a graph whose embeddings are not those of the model."""
    empty = affinity.encode(Detections.empty())
    wanted = None if empty is None else empty.shape[1]
    for frame in graph.frames:
        detections = graph.detections(frame)
        if len(detections):
            got = None if detections.embeddings is None else detections.embeddings.shape[1]
            if got != wanted:
                raise ValueError(
                    f"Expected embeddings of {wanted} channels in '{graph.path}', as the appearance model makes, got "
                    f"{got}: name the model of the run with --weights"
                )
            return
