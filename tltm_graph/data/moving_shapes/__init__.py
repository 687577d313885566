"""A rendered world of moving shapes with exact truth: :class:`MovingShapes`, one scene, and frozen splits of them."""

from tltm_graph.data.moving_shapes.difficulty import DIFFICULTIES, EASY, HARD, STANDARD, Difficulty
from tltm_graph.data.moving_shapes.export import write_scenes
from tltm_graph.data.moving_shapes.scene import MovingShapes
from tltm_graph.data.moving_shapes.splits import SPLITS, TEST, TRAIN, VAL, Scenes, Split, moving_shapes

__all__ = [
    "DIFFICULTIES",
    "EASY",
    "HARD",
    "SPLITS",
    "STANDARD",
    "TEST",
    "TRAIN",
    "VAL",
    "Difficulty",
    "MovingShapes",
    "Scenes",
    "Split",
    "moving_shapes",
    "write_scenes",
]
