"""The room synthetic."""

from tltm_graph.synthetic.difficulty import DIFFICULTIES, EASY, HARD, STANDARD, Difficulty
from tltm_graph.synthetic.export import write_scenes
from tltm_graph.synthetic.scene import MovingShapes
from tltm_graph.synthetic.sequence import DetectionSequence, simulate_motion
from tltm_graph.synthetic.splits import SPLITS, TEST, TRAIN, VAL, Scenes, Split, moving_shapes

__all__ = [
    "DIFFICULTIES",
    "EASY",
    "HARD",
    "SPLITS",
    "STANDARD",
    "TEST",
    "TRAIN",
    "VAL",
    "DetectionSequence",
    "Difficulty",
    "MovingShapes",
    "Scenes",
    "Split",
    "moving_shapes",
    "simulate_motion",
    "write_scenes",
]
