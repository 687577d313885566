"""Online video instance segmentation with a learned association graph, for any detector.

The names below are loaded when first used, so that ``import tltm_graph`` costs nothing.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "GeometricAffinity": "association",
    "ArgmaxSolver": "published",
    "CenterMask": "detectors.centermask",
    "Decision": "association",
    "Detections": "structures",
    "Detector": "detectors",
    "Detectron2Detector": "detectors",
    "FoldedTransitionGNN": "nn",
    "Frame": "structures",
    "FramePair": "structures",
    "GraphWriter": "explanation",
    "GreedySolver": "association",
    "HungarianSolver": "association",
    "InstanceEncoder": "nn",
    "TrackManager": "tracking",
    "MovingShapes": "synthetic",
    "OracleDetector": "detectors",
    "PrecomputedDetector": "detectors",
    "RelationModel": "models",
    "ResFuser": "nn",
    "SavedGraph": "explanation",
    "TLTM": "models",
    "TorchvisionDetector": "detectors",
    "Tracker": "tracking",
    "Tracks": "structures",
    "TransformersDetector": "detectors",
    "TransitionGNN": "nn",
    "association_graph": "explanation",
    "centermask_r50": "models",
    "centermask_r101": "models",
    "for_inference": "models",
    "frame_pair_graph": "graph",
    "load_model": "models",
    "load_reference_checkpoint": "models",
    "paper_objective": "training",
    "read_frames": "io",
    "released_objective": "training",
    "save_model": "models",
    "replay": "explanation",
    "tltm_r101": "models",
    "tltm_r50": "models",
    "tltm_tiny": "models",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"tltm_graph.{_HOME[name]}"), name)
    raise AttributeError(f"module 'tltm_graph' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
