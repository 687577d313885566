"""Box detections of moving objects with known identities, drawn at random: :func:`simulate_motion`."""

from tltm_graph.data.simulated_motion.sequence import DetectionSequence, simulate_motion

__all__ = ["DetectionSequence", "simulate_motion"]
