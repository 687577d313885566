"""Sources of videos with truth."""

from tltm_graph.data.moving_shapes import MovingShapes

__all__ = ["MovingShapes"]
