"""What the command line runs, one typed function a command."""

from tltm_graph.commands.track import SOLVERS, track

__all__ = ["SOLVERS", "track"]
