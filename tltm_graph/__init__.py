"""Online video instance segmentation with a learned association graph, for any detector.

The names below are loaded when first used, so that ``import tltm_graph`` costs nothing.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Affinity": "association",
    "ArgmaxSolver": "association",
    "AssociationGraph": "tracking",
    "Detections": "structures",
    "Detector": "detectors",
    "Detectron2Detector": "detectors",
    "FoldedTransitionGNN": "nn",
    "Frame": "structures",
    "GreedySolver": "association",
    "HungarianSolver": "association",
    "InstanceEncoder": "nn",
    "LifeCycle": "tracking",
    "MovingShapes": "data",
    "OracleDetector": "detectors",
    "PrecomputedDetector": "detectors",
    "RelationModel": "models",
    "ResFuser": "nn",
    "TorchvisionDetector": "detectors",
    "Tracker": "tracking",
    "Tracks": "structures",
    "TransformersDetector": "detectors",
    "TransitionGNN": "nn",
    "frame_pair_graph": "graph",
    "read_frames": "io",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"tltm_graph.{_HOME[name]}"), name)
    raise AttributeError(f"module 'tltm_graph' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
