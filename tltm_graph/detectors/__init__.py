"""Detectors of the objects of a frame: the protocol and its implementations."""

from tltm_graph.detectors.check import check_detector
from tltm_graph.detectors.class_filter import ClassFilter
from tltm_graph.detectors.detector import Detector
from tltm_graph.detectors.detectron2_models import Detectron2Detector
from tltm_graph.detectors.named import build_detector
from tltm_graph.detectors.oracle import OracleDetector
from tltm_graph.detectors.precomputed import PrecomputedDetector
from tltm_graph.detectors.replay import ReplayDetector, cache_detections
from tltm_graph.detectors.torchvision_models import TorchvisionDetector
from tltm_graph.detectors.transformers_models import TransformersDetector

__all__ = [
    "ClassFilter",
    "Detector",
    "Detectron2Detector",
    "OracleDetector",
    "PrecomputedDetector",
    "ReplayDetector",
    "TorchvisionDetector",
    "TransformersDetector",
    "build_detector",
    "cache_detections",
    "check_detector",
]
