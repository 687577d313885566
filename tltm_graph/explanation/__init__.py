"""Saved decisions of a run: read, replay, explain, compare, and find mistakes."""

from tltm_graph.explanation.association_graph import association_graph
from tltm_graph.explanation.diff import differences
from tltm_graph.explanation.explain import Explanation, explain
from tltm_graph.explanation.mistakes import mistakes
from tltm_graph.explanation.replay import replay
from tltm_graph.explanation.saved_graph import GraphWriter, SavedGraph

__all__ = [
    "Explanation",
    "GraphWriter",
    "SavedGraph",
    "association_graph",
    "differences",
    "explain",
    "mistakes",
    "replay",
]
