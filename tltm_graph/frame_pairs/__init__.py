"""Frame pairs to train on: datasets, transforms of both frames, and reproducible sampling."""

from tltm_graph.frame_pairs.annotated_video import AnnotatedFrames, AnnotatedVideo, annotated_videos
from tltm_graph.frame_pairs.augmentation import CropPair, FlipPair, JitterColors, ResizePair
from tltm_graph.frame_pairs.datasets import PairStream, StillPairs, VideoPairs
from tltm_graph.frame_pairs.hallucinated_motion import HallucinatedMotion
from tltm_graph.frame_pairs.pair_report import PairReport
from tltm_graph.frame_pairs.sampling import group_by_repeat_factor

__all__ = [
    "AnnotatedFrames",
    "AnnotatedVideo",
    "CropPair",
    "FlipPair",
    "HallucinatedMotion",
    "JitterColors",
    "PairReport",
    "PairStream",
    "ResizePair",
    "StillPairs",
    "VideoPairs",
    "annotated_videos",
    "group_by_repeat_factor",
]
