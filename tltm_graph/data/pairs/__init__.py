"""Pairs of frames to learn from: out of videos and still images, changed alike, in an order that can be resumed."""

from tltm_graph.data.pairs.annotated_video import AnnotatedFrames, AnnotatedVideo, StillImage, annotated_videos
from tltm_graph.data.pairs.crop_pair import CropPair
from tltm_graph.data.pairs.flip_pair import FlipPair
from tltm_graph.data.pairs.hallucinated_motion import HallucinatedMotion
from tltm_graph.data.pairs.jitter_colors import JitterColors
from tltm_graph.data.pairs.pair_report import PairReport
from tltm_graph.data.pairs.pair_source import PairSource
from tltm_graph.data.pairs.pair_stream import PairStream, PairTransform
from tltm_graph.data.pairs.repeat_factors import group_by_repeat_factor
from tltm_graph.data.pairs.resize_pair import ResizePair
from tltm_graph.data.pairs.still_pairs import StillPairs
from tltm_graph.data.pairs.video_pairs import VideoPairs

__all__ = [
    "AnnotatedFrames",
    "AnnotatedVideo",
    "CropPair",
    "FlipPair",
    "HallucinatedMotion",
    "JitterColors",
    "PairReport",
    "PairSource",
    "PairStream",
    "PairTransform",
    "ResizePair",
    "StillImage",
    "StillPairs",
    "VideoPairs",
    "annotated_videos",
    "group_by_repeat_factor",
]
