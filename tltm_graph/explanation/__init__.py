"""The room explanation."""

from tltm_graph.explanation.association_graph import association_graph
from tltm_graph.explanation.diff import Choice, Difference, differences
from tltm_graph.explanation.explain import Candidate, Change, Explanation, explain
from tltm_graph.explanation.mistakes import Cause, Mistake, mistakes
from tltm_graph.explanation.replay import replay
from tltm_graph.explanation.saved_graph import GraphWriter, SavedGraph, decision_of

__all__ = [
    "Candidate",
    "Cause",
    "Change",
    "Choice",
    "Difference",
    "Explanation",
    "GraphWriter",
    "Mistake",
    "SavedGraph",
    "association_graph",
    "decision_of",
    "differences",
    "explain",
    "mistakes",
    "replay",
]
