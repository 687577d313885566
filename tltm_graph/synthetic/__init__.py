"""Rendered scenes with exact ground truth, and simulated detections with known identities."""

from tltm_graph.synthetic.difficulty import EASY, HARD, STANDARD
from tltm_graph.synthetic.scenes import TEST, TRAIN, VAL, MovingShapes, moving_shapes
from tltm_graph.synthetic.simulated_motion import simulate_motion

__all__ = ["EASY", "HARD", "STANDARD", "TEST", "TRAIN", "VAL", "MovingShapes", "moving_shapes", "simulate_motion"]
