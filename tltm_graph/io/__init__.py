"""Reading and writing of videos, texts and weights."""

from tltm_graph.io.output import output_folder, write_atomically, write_folder_atomically
from tltm_graph.io.pictures import write_pictures
from tltm_graph.io.text import read_json, read_text
from tltm_graph.io.video import FrameReader, VideoWriter, read_frames
from tltm_graph.io.weights import read_weights

__all__ = [
    "FrameReader",
    "VideoWriter",
    "output_folder",
    "read_frames",
    "read_json",
    "read_text",
    "read_weights",
    "write_atomically",
    "write_folder_atomically",
    "write_pictures",
]
