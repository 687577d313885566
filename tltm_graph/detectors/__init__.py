"""Anything that finds objects in a frame."""

from tltm_graph.detectors.check import check_detector
from tltm_graph.detectors.detector import Detector, Segmenter
from tltm_graph.detectors.detectron2_models import Detectron2Detector
from tltm_graph.detectors.named import build_detector
from tltm_graph.detectors.oracle import OracleDetector
from tltm_graph.detectors.precomputed import PrecomputedDetector
from tltm_graph.detectors.torchvision_models import TorchvisionDetector
from tltm_graph.detectors.transformers_models import TransformersDetector

__all__ = [
    "Detector",
    "Detectron2Detector",
    "OracleDetector",
    "PrecomputedDetector",
    "Segmenter",
    "TorchvisionDetector",
    "TransformersDetector",
    "build_detector",
    "check_detector",
]
