"""Videos with truth: rendered ones, and the formats of public data sets and of results, in and out."""

from tltm_graph.data.bdd100k import Bdd100kWriter, read_bdd100k
from tltm_graph.data.class_maps import class_map_names, map_classes, read_class_map
from tltm_graph.data.class_names import COCO, YOUTUBE_VIS_2019
from tltm_graph.data.coco import CocoWriter, read_coco
from tltm_graph.data.coco_results import CocoImageResultsWriter, CocoResultsWriter, read_coco_results
from tltm_graph.data.csv_tracks import CsvWriter, read_csv_tracks
from tltm_graph.data.davis import DavisWriter, label_maps_of, read_davis
from tltm_graph.data.disjoint import disjoint
from tltm_graph.data.formats import FORMATS, guess_format, open_videos, open_writer
from tltm_graph.data.label_maps import read_label_map, read_label_map_folders
from tltm_graph.data.local_split import local_split
from tltm_graph.data.mot import MotTruthWriter, MotWriter, read_mot
from tltm_graph.data.mots import MotsWriter, read_mots
from tltm_graph.data.mots_png import MotsPngWriter, read_mots_png
from tltm_graph.data.moving_shapes import MovingShapes
from tltm_graph.data.open_images import read_open_images, read_open_images_folder
from tltm_graph.data.pairs import (
    AnnotatedFrames,
    AnnotatedVideo,
    CropPair,
    FlipPair,
    HallucinatedMotion,
    JitterColors,
    PairReport,
    PairSource,
    PairStream,
    ResizePair,
    StillImage,
    StillPairs,
    VideoPairs,
    annotated_videos,
    group_by_repeat_factor,
)
from tltm_graph.data.runs import read_runs
from tltm_graph.data.simulated_motion import DetectionSequence, simulate_motion
from tltm_graph.data.tltm_json import TltmJsonWriter, read_tltm_json
from tltm_graph.data.validate import Problem, validate
from tltm_graph.data.video import Video, VideoSet
from tltm_graph.data.writer import TracksWriter
from tltm_graph.data.yolo import read_yolo
from tltm_graph.data.youtube_vis import YoutubeVisWriter, read_youtube_vis
from tltm_graph.data.youtube_vis_results import (
    TrackWriter,
    YoutubeVisResultsWriter,
    read_tracks,
    read_youtube_vis_results,
)

__all__ = [
    "COCO",
    "FORMATS",
    "YOUTUBE_VIS_2019",
    "AnnotatedFrames",
    "AnnotatedVideo",
    "Bdd100kWriter",
    "CocoImageResultsWriter",
    "CocoResultsWriter",
    "CocoWriter",
    "CropPair",
    "CsvWriter",
    "DavisWriter",
    "DetectionSequence",
    "FlipPair",
    "HallucinatedMotion",
    "JitterColors",
    "MotTruthWriter",
    "MotWriter",
    "MotsPngWriter",
    "MotsWriter",
    "MovingShapes",
    "PairReport",
    "PairSource",
    "PairStream",
    "Problem",
    "ResizePair",
    "StillImage",
    "StillPairs",
    "TltmJsonWriter",
    "TrackWriter",
    "TracksWriter",
    "Video",
    "VideoPairs",
    "VideoSet",
    "YoutubeVisResultsWriter",
    "YoutubeVisWriter",
    "annotated_videos",
    "class_map_names",
    "disjoint",
    "group_by_repeat_factor",
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
    "simulate_motion",
    "validate",
]
