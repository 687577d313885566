"""The room frame_pairs."""

from tltm_graph.frame_pairs.annotated_video import AnnotatedFrames, AnnotatedVideo, StillImage, annotated_videos
from tltm_graph.frame_pairs.augmentation import CropPair, FlipPair, JitterColors, ResizePair
from tltm_graph.frame_pairs.datasets import PairSource, StillPairs, VideoPairs
from tltm_graph.frame_pairs.hallucinated_motion import HallucinatedMotion
from tltm_graph.frame_pairs.pair_report import PairReport
from tltm_graph.frame_pairs.stream import PairStream, PairTransform, group_by_repeat_factor

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
