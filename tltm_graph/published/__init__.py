"""Association rule of the released TLTM code: affinity, solver, memory, and a tracker made of them."""

from tltm_graph.published.affinity import PublishedAffinity
from tltm_graph.published.solver import ArgmaxSolver
from tltm_graph.published.track_manager import PublishedTrackManager
from tltm_graph.published.tracker import published_tracker

__all__ = ["ArgmaxSolver", "PublishedAffinity", "PublishedTrackManager", "published_tracker"]
