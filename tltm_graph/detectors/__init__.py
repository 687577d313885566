"""Anything that finds objects in a frame."""

from tltm_graph.detectors.detector import Detector
from tltm_graph.detectors.named import build_detector
from tltm_graph.detectors.oracle import OracleDetector
from tltm_graph.detectors.precomputed import PrecomputedDetector
from tltm_graph.detectors.torchvision_models import TorchvisionDetector

__all__ = ["Detector", "OracleDetector", "PrecomputedDetector", "TorchvisionDetector", "build_detector"]
