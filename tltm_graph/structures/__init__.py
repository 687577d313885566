"""Data types of the library: frames, detections and tracks."""

from tltm_graph.structures.detections import Detections
from tltm_graph.structures.frame import Frame, FramePair
from tltm_graph.structures.tracks import Observation, Track, Tracks

__all__ = ["Detections", "Frame", "FramePair", "Observation", "Track", "Tracks"]
