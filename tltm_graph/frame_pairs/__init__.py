"""Frame pairs to train on: datasets, transforms of both frames, and reproducible sampling."""

from tltm_graph.frame_pairs.annotated_video import annotated_videos
from tltm_graph.frame_pairs.augmentation import CropPair, FlipPair, JitterColors, ResizePair, StretchPair
from tltm_graph.frame_pairs.datasets import PairStream, StillPairs, VideoPairs
from tltm_graph.frame_pairs.hallucinated_motion import HallucinatedMotion
from tltm_graph.frame_pairs.pair_report import PairReport

__all__ = [
    "CropPair",
    "FlipPair",
    "HallucinatedMotion",
    "JitterColors",
    "PairReport",
    "PairStream",
    "ResizePair",
    "StillPairs",
    "StretchPair",
    "VideoPairs",
    "annotated_videos",
]
