"""The types that flow through the library: frames in, detections with ids, tracks out."""

from tltm_graph.structures.class_name import class_name
from tltm_graph.structures.detections import Detections
from tltm_graph.structures.frame import Frame
from tltm_graph.structures.frame_pair import FramePair
from tltm_graph.structures.tracks import Sighting, Track, Tracks, sightings_of

__all__ = ["Detections", "Frame", "FramePair", "Sighting", "Track", "Tracks", "class_name", "sightings_of"]
