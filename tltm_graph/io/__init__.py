"""Videos and results, in and out."""

from tltm_graph.io.atomic import write_atomically, write_folder_atomically
from tltm_graph.io.json_list import JsonListWriter
from tltm_graph.io.json_parts import JsonParts
from tltm_graph.io.natural_order import natural_order
from tltm_graph.io.output_folder import output_folder
from tltm_graph.io.pictures import write_pictures
from tltm_graph.io.spool import Spool
from tltm_graph.io.text import read_json, read_text
from tltm_graph.io.video import FrameReader, VideoWriter, read_frames
from tltm_graph.io.weights import read_weights

__all__ = [
    "FrameReader",
    "JsonListWriter",
    "JsonParts",
    "Spool",
    "VideoWriter",
    "natural_order",
    "output_folder",
    "read_frames",
    "read_json",
    "read_text",
    "read_weights",
    "write_atomically",
    "write_folder_atomically",
    "write_pictures",
]
