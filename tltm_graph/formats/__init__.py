"""Videos of data sets and of results: read, written, converted and checked in many formats."""

from tltm_graph.formats.class_maps import COCO, YOUTUBE_VIS_2019, class_map_names, map_classes, read_class_map
from tltm_graph.formats.formats import FORMATS, guess_format, open_videos, open_writer
from tltm_graph.formats.validate import Problem, validate
from tltm_graph.formats.video import Video, VideoSet, local_split
from tltm_graph.formats.writer import TracksWriter
from tltm_graph.formats.youtube_vis_results import TrackWriter, read_tracks

__all__ = [
    "COCO",
    "FORMATS",
    "YOUTUBE_VIS_2019",
    "Problem",
    "TrackWriter",
    "TracksWriter",
    "Video",
    "VideoSet",
    "class_map_names",
    "guess_format",
    "local_split",
    "map_classes",
    "open_videos",
    "open_writer",
    "read_class_map",
    "read_tracks",
    "validate",
]
