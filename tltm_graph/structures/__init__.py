"""The types that flow through the library: frames in, detections with ids, tracks out."""

from tltm_graph.structures.detections import Detections, class_name
from tltm_graph.structures.frame import Frame
from tltm_graph.structures.frame_pair import FramePair
from tltm_graph.structures.tracks import Observation, Track, Tracks, observations_of

__all__ = [
    "Detections",
    "Frame",
    "FramePair",
    "Observation",
    "Track",
    "Tracks",
    "class_name",
    "observations_of",
]
