"""The room published."""

from tltm_graph.published.affinity import ArgmaxAssignment, ArgmaxSolver, PublishedAffinity
from tltm_graph.published.track_manager import PublishedTrackManager

__all__ = [
    "ArgmaxAssignment",
    "ArgmaxSolver",
    "PublishedAffinity",
    "PublishedTrackManager",
]
