"""Videos and results, in and out."""

from tltm_graph.io.atomic import write_atomically
from tltm_graph.io.results import TrackWriter, read_tracks
from tltm_graph.io.video import FrameReader, VideoWriter, read_frames

__all__ = ["FrameReader", "TrackWriter", "VideoWriter", "read_frames", "read_tracks", "write_atomically"]
