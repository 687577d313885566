"""Videos with truth: rendered ones, and the formats of public data sets and of results, in and out."""

from tltm_graph.formats.bdd100k import Bdd100kWriter, read_bdd100k
from tltm_graph.formats.class_maps import COCO, YOUTUBE_VIS_2019, class_map_names, map_classes, read_class_map
from tltm_graph.formats.coco import CocoWriter, read_coco
from tltm_graph.formats.coco_results import CocoImageResultsWriter, CocoResultsWriter, read_coco_results
from tltm_graph.formats.csv_tracks import CsvWriter, read_csv_tracks
from tltm_graph.formats.davis import DavisWriter, label_maps_of, read_davis
from tltm_graph.formats.disjoint import disjoint
from tltm_graph.formats.formats import FORMATS, guess_format, open_videos, open_writer
from tltm_graph.formats.label_maps import read_label_map, read_label_map_folders
from tltm_graph.formats.mot import MotTruthWriter, MotWriter, read_mot
from tltm_graph.formats.mots import MotsWriter, read_mots
from tltm_graph.formats.mots_png import MotsPngWriter, read_mots_png
from tltm_graph.formats.open_images import read_open_images, read_open_images_folder
from tltm_graph.formats.runs import read_runs
from tltm_graph.formats.tltm_json import TltmJsonWriter, read_tltm_json
from tltm_graph.formats.validate import Problem, validate
from tltm_graph.formats.video import Video, VideoSet, local_split
from tltm_graph.formats.writer import TracksWriter
from tltm_graph.formats.yolo import read_yolo
from tltm_graph.formats.youtube_vis import YoutubeVisWriter, read_youtube_vis
from tltm_graph.formats.youtube_vis_results import (
    TrackWriter,
    YoutubeVisResultsWriter,
    read_tracks,
    read_youtube_vis_results,
)

__all__ = [
    "COCO",
    "FORMATS",
    "YOUTUBE_VIS_2019",
    "Bdd100kWriter",
    "CocoImageResultsWriter",
    "CocoResultsWriter",
    "CocoWriter",
    "CsvWriter",
    "DavisWriter",
    "MotTruthWriter",
    "MotWriter",
    "MotsPngWriter",
    "MotsWriter",
    "Problem",
    "TltmJsonWriter",
    "TrackWriter",
    "TracksWriter",
    "Video",
    "VideoSet",
    "YoutubeVisResultsWriter",
    "YoutubeVisWriter",
    "class_map_names",
    "disjoint",
    "guess_format",
    "label_maps_of",
    "local_split",
    "map_classes",
    "open_videos",
    "open_writer",
    "read_bdd100k",
    "read_class_map",
    "read_coco",
    "read_coco_results",
    "read_csv_tracks",
    "read_davis",
    "read_label_map",
    "read_label_map_folders",
    "read_mot",
    "read_mots",
    "read_mots_png",
    "read_open_images",
    "read_open_images_folder",
    "read_runs",
    "read_tltm_json",
    "read_tracks",
    "read_yolo",
    "read_youtube_vis",
    "read_youtube_vis_results",
    "validate",
]
