import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform
from torchvision.ops import clip_boxes_to_image

from tltm_graph.association import Assignment, EdgeScores, HungarianSolver, LearnedAffinity, Solver
from tltm_graph.detectors import Detector, Segmenter
from tltm_graph.detectors.detector import expect_pair
from tltm_graph.graph import TRANSITION, frame_pair_graph
from tltm_graph.published.track_manager import PublishedTrackManager
from tltm_graph.structures import Detections, Frame
from tltm_graph.tracking.memory import Memory
from tltm_graph.tracking.track_manager import TrackManager

_USUAL_PACE = 1 / 30  # seconds from frame to frame


@runtime_checkable
class Relation(Protocol):
    """A learned judgement of transitions, such as :class:`tltm_graph.models.RelationModel`."""

    def encode(self, detections: Detections) -> Tensor:
        """Node features (N, F) of the objects of one frame."""
        ...

    def score(self, graph: HeteroData) -> Tensor:
        """Edge logits (E,) of a graph whose nodes have ``x``.

        Of its tracks ``x`` is the last observation, ``looks (M, F)`` the mean of all of them, and ``gap (M,)`` how many
        frames ago the last one was; these two are there with a :class:`TrackManager`, as :class:`Tracker` has it.
        """
        ...


@dataclass(frozen=True, eq=False)
class Transition:
    """What a step decided, and on what grounds.

    Args:
        graph: The frame pair, memory against current objects; its transitions carry ``score (E,)``.
        scores: All scores the solver saw.
        assignment: What it chose.
        previous_tracks: Track of each previous object (M,).
        current_tracks: Track of each current object (N,), -1 for none; tentative tracks included.
    """

    graph: HeteroData
    scores: EdgeScores
    assignment: Assignment
    previous_tracks: Tensor
    current_tracks: Tensor


@dataclass(frozen=True, eq=False)
class TrackerState:
    """All that a tracker carries from one frame of a video to the next; its size does not grow with the video.

    (With the one exception of :class:`PublishedTrackManager`, which remembers every track unless told to forget.)

    Args:
        memory: The tracks known.
        context: What the detector wants back with the next frame.
        frame: Index of the last frame, -1 before the first.
        size: Height and width of the video, None before the first frame.
        now: Time of the last frame, counted in frames of the video's pace: dropped frames count, too.
        pace: Seconds from frame to frame, the shortest lately; None until two frames have told.
        time: Of the last frame, in seconds.
        transition: The decision of the last step, None before the first.
        seconds: Wall-clock time of each stage of the last step.
    """

    memory: Memory
    context: Any = None
    frame: int = -1
    size: tuple[int, int] | None = None
    now: float = -1.0
    pace: float | None = None
    time: float = 0.0
    transition: Transition | None = None
    seconds: dict[str, float] = field(default_factory=dict)


class Tracker:
    """Follows the objects of a video, frame by frame.

    The tracker itself never changes: everything it learns of a video is in the state it returns, so one tracker can
    follow any number of videos in turns.

    >>> tracker = Tracker(detector)
    >>> for frame, detections in tracker.track(read_frames("video.mp4")):
    ...     detections.ids

    Args:
        detector: Finds the objects of a frame. One that draws masks in a second step
            (:class:`tltm_graph.detectors.Segmenter`) is asked for those of the objects that are shown.
        relation: Judges transitions by features; without one, motion and class decide.
        transform: Applied to each graph before it is scored, such as :class:`tltm_graph.graph.PruneCandidates`.
        affinity: Turns a graph, and the relation's logits, into scores; by default the relation's own ``affinity``, if
            it has one that learned to read it, else what was learned from simulated motion.
        solver: Picks the best transitions.
        track_manager: How tracks move, are born and forgotten.
        max_shown: At most so many objects a frame are shown, the most confident ones; None for all. Tracks go on
            unseen.
    """

    def __init__(
        self,
        detector: Detector,
        relation: Relation | None = None,
        transform: BaseTransform | None = None,
        affinity: Callable[[HeteroData, Tensor | None], EdgeScores] | None = None,
        solver: Solver | None = None,
        track_manager: TrackManager | PublishedTrackManager | None = None,
        max_shown: int | None = None,
    ) -> None:
        if max_shown is not None and max_shown < 0:
            raise ValueError(f"Expected max_shown of at least 0, got {max_shown}")
        if isinstance(detector, type) or not isinstance(detector, Detector):
            raise ValueError(
                f"Expected a detector, an object with a method 'detect' and an attribute 'class_names' (which may be "
                f"None), got {detector!r}"
            )
        if relation is not None and not isinstance(relation, Relation):
            raise ValueError(
                f"Expected a relation with the methods 'encode' and 'score', got {relation!r}: leave it out to "
                "associate by geometry and class"
            )
        if relation is not None and not getattr(relation, "is_trained", True):
            warnings.warn(
                "The relation model has random weights, so its scores mean nothing: load trained weights into it, or "
                "leave it out to associate by motion and class",
                stacklevel=2,
            )
        self.detector = detector
        self.relation = relation
        self.transform = transform
        self.affinity = affinity or getattr(relation, "affinity", None) or LearnedAffinity.from_file()
        self.solver = solver or HungarianSolver()
        self.track_manager = track_manager or TrackManager()
        self.max_shown = max_shown

    def start(self) -> TrackerState:
        """The state before the first frame of a video."""
        return TrackerState(Memory.empty())

    @torch.no_grad()
    def step(self, state: TrackerState, frame: Frame) -> tuple[TrackerState, Detections]:
        """Detects the objects of ``frame`` and finds out which they are.

        Args:
            state: From :meth:`start` or the step before. It is not changed.
            frame: The next frame of the same video.

        Returns:
            The new state, and the detector's objects, row by row, with ``ids (N,)``: -1 where an object belongs to no
            confirmed track, lies outside of the frame or is one too many. (If the detector draws masks in a second
            step, those of objects with id -1 are empty.)

        Raises:
            ValueError: If the frame is not later than the last one or differs in size, or the detector's output is not
                valid.
        """
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
        clock = _Clock()
        detections, context = self._detect(frame, state.context)
        clock.lap("detect")

        memory = state.memory
        if len(memory) == 0:  # ids go on from where they were
            memory = replace(Memory.empty(detections.boxes.device), next_id=memory.next_id)
        current = detections.replace(
            ids=None, features=None if self.relation is None else self.relation.encode(detections)
        )
        now, pace = _clock(state, frame)
        graph = frame_pair_graph(self.track_manager.predict(memory, now), current)
        graph["previous"].age = (frame.index - memory.last_seen).to(current.boxes.device)
        graph.scene = current.boxes.new_tensor([[*frame.size, pace or _USUAL_PACE]])
        self.track_manager.describe(graph, memory, now)
        if self.transform is not None:
            graph = self.transform(graph)
        clock.lap("graph")

        logits = None if self.relation is None else self.relation.score(graph)
        clock.lap("relate")

        scores = self.affinity(graph, logits)
        graph[TRANSITION].score = scores.edges
        sizes = len(memory), len(current)
        assignment = self.solver(graph[TRANSITION].edge_index, scores.edges, sizes, scores.births, scores.misses)
        clock.lap("associate")

        after, tracks, ids = self.track_manager.update(memory, current, assignment, frame.index, now, scores.objects)
        transition = Transition(graph, scores, assignment, memory.ids, tracks)
        clock.lap("remember")

        shown = self._shown(detections, ids.to(detections.boxes.device), frame.size)
        if isinstance(self.detector, Segmenter):
            shown = self._segmented(self.detector, shown, frame.size)
        clock.lap("segment")
        return TrackerState(
            after, context, frame.index, frame.size, now, pace, frame.time, transition, clock.seconds
        ), shown

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

    def _shown(self, detections: Detections, ids: Tensor, size: tuple[int, int]) -> Detections:
        clipped = clip_boxes_to_image(detections.boxes, size)
        visible = (clipped[:, 2:] > clipped[:, :2]).all(dim=1)
        ids = torch.where(visible, ids, -1)
        if self.max_shown is not None:
            order = torch.where(ids >= 0, detections.scores, -torch.inf).argsort(descending=True, stable=True)
            ids = ids.index_fill(0, order[self.max_shown :], -1)
        return detections.replace(ids=ids)

    def _segmented(self, segmenter: Segmenter, detections: Detections, size: tuple[int, int]) -> Detections:
        assert detections.ids is not None
        rows = (detections.ids >= 0).nonzero().flatten()
        segmented = segmenter.segment(detections[rows], size)
        drawn = segmented.masks if isinstance(segmented, Detections) else None
        if drawn is None or drawn.shape != (len(rows), *size):
            got = type(segmented).__name__ if drawn is None else tuple(drawn.shape)
            raise ValueError(f"Expected masks of shape {(len(rows), *size)} from {segmenter!r}, got {got}")
        boxes, masks = detections.boxes.clone(), drawn.new_zeros((len(detections), *size))
        boxes[rows], masks[rows] = segmented.boxes, drawn
        return detections.replace(boxes=boxes, masks=masks)

    def track(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Detections]]:
        """Follows the objects of one video, yielding each frame with its detections as soon as it is done."""
        state = self.start()
        for frame in frames:
            state, detections = self.step(state, frame)
            yield frame, detections

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(\n"
            f"  detector={self.detector!r},\n  relation={self.relation!r},\n  transform={self.transform!r},\n"
            f"  affinity={self.affinity!r},\n  solver={self.solver!r},\n  track_manager={self.track_manager!r},\n"
            f"  max_shown={self.max_shown},\n)"
        )


def _clock(state: TrackerState, frame: Frame) -> tuple[float, float | None]:
    """Time of ``frame`` in frames of the video's pace, and the pace in seconds."""
    frames = frame.index - state.frame
    elapsed = frame.time - state.time
    if state.frame < 0 or elapsed <= 0:  # the first frame, or a source without a clock
        return state.now + frames, state.pace
    pace = elapsed / frames if state.pace is None else min(1.01 * state.pace, elapsed / frames)  # slow to slow down
    return state.now + elapsed / pace, pace


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now
