"""Videos with truth: rendered ones, and the formats of public data sets and of results, in and out."""

from tltm_graph.data.class_maps import class_map_names, map_classes, read_class_map
from tltm_graph.data.class_names import COCO, YOUTUBE_VIS_2019
from tltm_graph.data.moving_shapes import MovingShapes
from tltm_graph.data.tltm_json import TltmJsonWriter, read_tltm_json
from tltm_graph.data.video import Video, VideoSet
from tltm_graph.data.writer import TracksWriter
from tltm_graph.data.youtube_vis import (
    TrackWriter,
    YoutubeVisResultsWriter,
    YoutubeVisWriter,
    read_tracks,
    read_youtube_vis,
    read_youtube_vis_results,
)

__all__ = [
    "COCO",
    "YOUTUBE_VIS_2019",
    "MovingShapes",
    "TltmJsonWriter",
    "TrackWriter",
    "TracksWriter",
    "Video",
    "VideoSet",
    "YoutubeVisResultsWriter",
    "YoutubeVisWriter",
    "class_map_names",
    "map_classes",
    "read_class_map",
    "read_tltm_json",
    "read_tracks",
    "read_youtube_vis",
    "read_youtube_vis_results",
]
