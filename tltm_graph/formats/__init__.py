"""Videos of data sets and of results: read, written, converted and checked in many formats."""

from tltm_graph.formats.class_maps import COCO, YOUTUBE_VIS_2019, map_classes, read_class_map
from tltm_graph.formats.formats import FORMATS, open_videos, open_writer
from tltm_graph.formats.validate import validate
from tltm_graph.formats.video import Video, VideoSet, local_split
from tltm_graph.formats.writer import TracksWriter
from tltm_graph.formats.youtube_vis_results import TrackWriter

__all__ = [
    "COCO",
    "FORMATS",
    "YOUTUBE_VIS_2019",
    "TrackWriter",
    "TracksWriter",
    "Video",
    "VideoSet",
    "local_split",
    "map_classes",
    "open_videos",
    "open_writer",
    "read_class_map",
    "validate",
]
