"""Reading and writing of videos, texts and weights."""

from tltm_graph.io.video import FrameReader, VideoWriter, read_frames
from tltm_graph.io.weights import read_weights

__all__ = ["FrameReader", "VideoWriter", "read_frames", "read_weights"]
