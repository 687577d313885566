"""Online tracking: memory, motion, track management, and the step from one frame to the next."""

from tltm_graph.tracking.memory import Memory
from tltm_graph.tracking.motion import MotionFilters
from tltm_graph.tracking.score_curve import ScoreCurve
from tltm_graph.tracking.track_manager import TrackManager
from tltm_graph.tracking.tracker import Tracker, TrackerState

__all__ = ["Memory", "MotionFilters", "ScoreCurve", "TrackManager", "Tracker", "TrackerState"]
