"""Bipartite graph between the objects of two frames, and its transforms."""

from tltm_graph.graph.frame_pair import TRANSITION, frame_pair_graph
from tltm_graph.graph.transforms import AddGeometry, AddLabels, PruneCandidates

__all__ = [
    "TRANSITION",
    "AddGeometry",
    "AddLabels",
    "PruneCandidates",
    "frame_pair_graph",
]
