import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch_geometric.transforms import BaseTransform

from tltm_graph.association import Affinity, Decision, HungarianSolver, LearnedAffinity, Solver
from tltm_graph.detectors import Detector
from tltm_graph.detectors.detector import expect_pair
from tltm_graph.graph import TRANSITION, frame_pair_graph
from tltm_graph.structures import Detections, Frame
from tltm_graph.tracking.track_manager import TrackManagement, TrackManager

_DEFAULT_PACE = 1 / 30  # seconds from frame to frame


@dataclass(frozen=True, eq=False, repr=False)
class TrackerState:
    """State that a tracker carries from one frame of a video to the next. Its size does not grow with the video.

    Args:
        memory: Tracks known so far.
        context: Context for the detector's next call.
        frame: Index of the last frame, -1 before the first.
        size: Height and width of the video in pixels, None before the first frame.
        now: Time of the last frame, in frames of the video's pace: dropped frames count.
        pace: Seconds from frame to frame, the shortest of late; None until two frames with a clock were seen.
        time: Time of the last frame in seconds.
        decision: Record of the last step, None before the first.
        seconds: Wall-clock time of each stage of the last step.
    """

    memory: Any
    context: Any = None
    frame: int = -1
    size: tuple[int, int] | None = None
    now: float = -1.0
    pace: float | None = None
    time: float = 0.0
    decision: Decision | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(after frame {self.frame}, {self.memory!r})"


class Tracker:
    """Online tracker: detects the objects of each frame and associates them with the tracks in memory.

    A tracker is immutable. All it learns of a video is in the state it returns, so that one tracker can process any
    number of videos in turns.

    >>> tracker = Tracker(detector)
    >>> for frame, detections in tracker.track(read_frames("video.mp4")):
    ...     detections.ids

    Args:
        detector: Detector.
        affinity: Scores the frame-pair graph. By default the affinity trained for the detector
            (:meth:`tltm_graph.detectors.Detector.affinity`), else the shipped one, trained on simulated motion.
        solver: Picks the best set of edges; by default :class:`tltm_graph.association.HungarianSolver`.
        track_manager: Rules of the memory; by default :class:`TrackManager`, with the ``new_track_threshold`` of the
            detector.
        transform: Transform of each graph before it is scored, such as :class:`tltm_graph.graph.PruneCandidates`.
        max_shown: Maximum number of objects shown in a frame, those of highest score; None for all. Tracks of hidden
            objects continue.

    Raises:
        ValueError: If an argument has another type, or ``max_shown`` is negative.
    """

    def __init__(
        self,
        detector: Detector,
        affinity: Affinity | None = None,
        solver: Solver | None = None,
        track_manager: TrackManagement | None = None,
        transform: BaseTransform | None = None,
        max_shown: int | None = None,
    ) -> None:
        if max_shown is not None and max_shown < 0:
            raise ValueError(f"Expected max_shown of at least 0, got {max_shown}")
        if isinstance(detector, type) or not isinstance(detector, Detector):
            raise ValueError(
                f"Expected a detector, an object of a class that inherits from tltm_graph.Detector, got {detector!r}: "
                "inherit from it and implement 'detect'"
            )
        if affinity is not None and (isinstance(affinity, type) or not isinstance(affinity, Affinity)):
            raise ValueError(
                "Expected an affinity, an object of a class that inherits from tltm_graph.association.Affinity, got "
                f"{affinity!r}: inherit from it and implement 'score', or leave it out for the default"
            )
        self.detector = detector
        self.affinity = affinity or detector.affinity() or LearnedAffinity.from_file()
        self.solver = solver or HungarianSolver()
        self.track_manager = track_manager or TrackManager.for_detector(detector)
        self.transform = transform
        self.max_shown = max_shown

    def start(self) -> TrackerState:
        """Create the state before the first frame of a video."""
        return TrackerState(self.track_manager.start())

    @torch.no_grad()
    def step(self, state: TrackerState, frame: Frame) -> tuple[TrackerState, Detections]:
        """Process one frame.

        Args:
            state: State from :meth:`start` or the previous step. It is not modified.
            frame: Next frame of the same video.

        Returns:
            The new state, and the detections of the frame in the detector's order, with ``ids (N,)``: -1 for an object
            of no confirmed track, outside of the frame or beyond ``max_shown``. If the detector draws masks on demand,
            those of objects with id -1 are empty.

        Raises:
            ValueError: If the frame is not later than the last one or differs in size, or the detector's output is
                invalid.
        """
        _check_frame(state, frame)
        clock = _Clock()
        detections, context = self._detect(frame, state.context)
        clock.lap("detect")

        current = _on_cpu(detections)
        if current.embeddings is None:
            current = current.replace(embeddings=self.affinity.encode(detections))
        now, pace = _advance(state, frame)
        memory, probabilities = self.track_manager.calibrate(state.memory, current.scores)
        previous = self.track_manager.predict(memory, now)
        graph = frame_pair_graph(previous.replace(ids=None), current.replace(scores=probabilities))
        graph["previous"].time_since_update = waited = memory.time_since_update(now)
        graph.scene = torch.tensor([[*frame.size, pace or _DEFAULT_PACE]])
        self.track_manager.add_motion(graph, memory, now)
        if self.transform is not None:
            graph = self.transform(graph)
        clock.lap("graph")

        scores = self.affinity.score(graph)
        graph[TRANSITION].score = scores.edges
        clock.lap("score")

        edge_index, sizes = graph[TRANSITION].edge_index, (len(previous), len(current))
        assignment = self.solver(edge_index, scores.edges, sizes, scores.births, scores.misses)
        clock.lap("solve")

        after, tracks, ids = self.track_manager.update(memory, current, assignment, now, scores.objects)
        clock.lap("update")

        shown = self._shown(current, ids, frame.size)
        output = detections.replace(ids=shown.to(detections.boxes.device))
        # Last, so that masks are drawn for shown objects alone: the published system shows 15 of up to 50 detections.
        if self.detector.masks_on_demand:
            output = self._segmented(output, frame.size)
        clock.lap("segment")

        decision = Decision(
            frame=frame.index,
            time=frame.time,
            previous=previous,
            current=current.replace(ids=shown),
            time_since_update=waited,
            edge_index=edge_index,
            scores=scores,
            assignment=assignment,
            tracks=tracks,
            output=output,
            graph=graph,
        )
        state = TrackerState(after, context, frame.index, frame.size, now, pace, frame.time, decision, clock.seconds)
        return state, output

    def track(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Detections]]:
        """Track the objects of one video, yielding each frame with its detections as soon as it is processed."""
        state = self.start()
        for frame in frames:
            state, detections = self.step(state, frame)
            yield frame, detections

    def _detect(self, frame: Frame, context: Any) -> tuple[Detections, Any]:
        detections, context = expect_pair(self.detector, self.detector.detect(frame, context))
        detections.check_values()
        if detections.masks is not None and detections.masks.shape[1:] != frame.size:
            raise ValueError(
                f"Expected masks of the frame's {frame.size[0]}×{frame.size[1]} pixels (H×W), got "
                f"{detections.masks.shape[1]}×{detections.masks.shape[2]} from {self.detector!r}"
            )
        names = self.detector.class_names
        if names is not None and len(detections) and int(detections.labels.max()) >= len(names):
            raise ValueError(
                f"Expected labels below {len(names)}, the number of class names of {self.detector!r}, "
                f"got {int(detections.labels.max())}"
            )
        return detections, context

    def _shown(self, current: Detections, ids: Tensor, size: tuple[int, int]) -> Tensor:
        """Ids to show (N,): -1 for objects outside of the frame or beyond ``max_shown``."""
        x0, y0, x1, y1 = current.boxes.numpy().T
        within = (x1 > 0) & (y1 > 0) & (x0 < size[1]) & (y0 < size[0]) & (x1 > x0) & (y1 > y0)
        ids = torch.where(torch.from_numpy(within), ids, -1)
        if self.max_shown is not None:
            order = torch.where(ids >= 0, current.scores, -torch.inf).argsort(descending=True, stable=True)
            ids = ids.index_fill(0, order[self.max_shown :], -1)
        return ids

    def _segmented(self, detections: Detections, size: tuple[int, int]) -> Detections:
        assert detections.ids is not None
        rows = (detections.ids >= 0).nonzero().flatten()
        segmented = self.detector.segment(detections[rows], size)
        drawn = segmented.masks if isinstance(segmented, Detections) else None
        if drawn is None or drawn.shape != (len(rows), *size):
            got = type(segmented).__name__ if drawn is None else tuple(drawn.shape)
            raise ValueError(f"Expected masks of shape {(len(rows), *size)} from {self.detector!r}, got {got}")
        boxes, masks = detections.boxes.clone(), drawn.new_zeros((len(detections), *size))
        boxes[rows], masks[rows] = segmented.boxes, drawn
        return detections.replace(boxes=boxes, masks=masks)

    def __repr__(self) -> str:
        parts = ("detector", "affinity", "solver", "track_manager", "transform", "max_shown")
        lines = "".join(f"  {name}={getattr(self, name)!r},\n" for name in parts)
        return f"{type(self).__name__}(\n{lines})"


def _check_frame(state: TrackerState, frame: Frame) -> None:
    if not isinstance(frame, Frame):
        raise ValueError(
            f"Expected a Frame, got {type(frame).__name__}: Frame(image, index) makes one of RGB pixels (3, H, W), "
            "read_frames reads a video"
        )
    if frame.index <= state.frame:
        raise ValueError(f"Expected a frame after {state.frame}, got {frame.index}: start() a state for each video")
    if state.size is not None and frame.size != state.size:
        raise ValueError(
            f"Expected frames of {state.size[0]}×{state.size[1]} pixels (H×W) as before, got "
            f"{frame.size[0]}×{frame.size[1]} in frame {frame.index}: start() a state for each video"
        )


def _on_cpu(detections: Detections) -> Detections:
    """Detections with all that the graph reads on the CPU; embeddings, features and masks stay where they are."""
    return detections.replace(
        boxes=detections.boxes.cpu(), scores=detections.scores.cpu(), labels=detections.labels.cpu(), ids=None
    )


def _advance(state: TrackerState, frame: Frame) -> tuple[float, float | None]:
    """Time of ``frame`` in frames of the video's pace, and the pace in seconds."""
    frames = frame.index - state.frame
    elapsed = frame.time - state.time
    if state.frame < 0 or elapsed <= 0:  # the first frame, or a source without a clock
        return state.now + frames, state.pace
    # The pace may grow by 1 % a frame only, so that dropped frames do not count as a slower pace.
    pace = elapsed / frames if state.pace is None else min(1.01 * state.pace, elapsed / frames)
    return state.now + elapsed / pace, pace


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now
