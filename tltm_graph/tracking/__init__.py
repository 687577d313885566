"""Following objects online: what is remembered between frames, and the step from one frame to the next."""

from tltm_graph.tracking.memory import Memory
from tltm_graph.tracking.motion import Motion, MotionFilters
from tltm_graph.tracking.track_manager import TrackManager
from tltm_graph.tracking.tracker import Relation, Tracker, TrackerState, Transition

__all__ = [
    "Memory",
    "Motion",
    "MotionFilters",
    "Relation",
    "TrackManager",
    "Tracker",
    "TrackerState",
    "Transition",
]
