"""Online video instance segmentation with a learned association graph, for any detector.

The names below are loaded when first used, so that ``import tltm_graph`` costs nothing.
"""

import importlib
import warnings
from typing import Any

# torch_geometric compiles functions with torch.jit.script when it is imported; its users can do nothing about it.
warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", FutureWarning)

__version__ = "0.1.0"

_HOME = {
    "Detections": "structures",
    "Detector": "detectors",
    "Evaluation": "metrics",
    "Frame": "structures",
    "GraphWriter": "explanation",
    "MovingShapes": "synthetic",
    "PairObjective": "training",
    "SavedGraph": "explanation",
    "TLTM": "models",
    "TrackManager": "tracking",
    "Tracker": "tracking",
    "Tracks": "structures",
    "TransitionGNN": "nn",
    "explain": "explanation",
    "frame_pair_graph": "graph",
    "load_model": "models",
    "open_videos": "formats",
    "read_frames": "io",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"tltm_graph.{_HOME[name]}"), name)
    raise AttributeError(f"module 'tltm_graph' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
