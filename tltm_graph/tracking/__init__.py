"""Following objects online: what is remembered between frames, and the step from one frame to the next."""

from tltm_graph.tracking.association_graph import AssociationGraph
from tltm_graph.tracking.life_cycle import LifeCycle
from tltm_graph.tracking.memory import Memory
from tltm_graph.tracking.motion import Motion, MotionFilters
from tltm_graph.tracking.published import PublishedLifeCycle
from tltm_graph.tracking.tracker import Relation, Tracker, TrackerState, Transition

__all__ = [
    "AssociationGraph",
    "LifeCycle",
    "Memory",
    "Motion",
    "MotionFilters",
    "PublishedLifeCycle",
    "Relation",
    "Tracker",
    "TrackerState",
    "Transition",
]
