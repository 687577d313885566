"""Following objects online: what is remembered between frames, and the step from one frame to the next."""

from tltm_graph.tracking.association_graph import association_graph
from tltm_graph.tracking.diff import Choice, Difference, differences
from tltm_graph.tracking.explain import Candidate, Change, Explanation, explain
from tltm_graph.tracking.life_cycle import LifeCycle
from tltm_graph.tracking.memory import Memory
from tltm_graph.tracking.mistakes import Cause, Mistake, mistakes
from tltm_graph.tracking.motion import Motion, MotionFilters
from tltm_graph.tracking.published import PublishedLifeCycle
from tltm_graph.tracking.saved_graph import GraphWriter, SavedGraph, decision_of
from tltm_graph.tracking.solve_again import solve_again
from tltm_graph.tracking.tracker import Relation, Tracker, TrackerState, Transition

__all__ = [
    "Candidate",
    "Cause",
    "Change",
    "Choice",
    "Difference",
    "Explanation",
    "GraphWriter",
    "LifeCycle",
    "Memory",
    "Mistake",
    "Motion",
    "MotionFilters",
    "PublishedLifeCycle",
    "Relation",
    "SavedGraph",
    "Tracker",
    "TrackerState",
    "Transition",
    "association_graph",
    "decision_of",
    "differences",
    "explain",
    "mistakes",
    "solve_again",
]
