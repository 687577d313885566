"""Models that can be trained, their weights and checkpoints."""

from tltm_graph.models.appearance import AppearanceEvidence
from tltm_graph.models.builders import (
    centermask_pico,
    centermask_r50,
    centermask_r101,
    tltm_pico,
    tltm_r50,
    tltm_r101,
    tltm_tiny,
)
from tltm_graph.models.tltm import TLTM, RelationModel, for_inference
from tltm_graph.models.weights import load_model, load_reference_checkpoint, model_for_tracking, save_model

__all__ = [
    "TLTM",
    "AppearanceEvidence",
    "RelationModel",
    "centermask_pico",
    "centermask_r50",
    "centermask_r101",
    "for_inference",
    "load_model",
    "load_reference_checkpoint",
    "model_for_tracking",
    "save_model",
    "tltm_pico",
    "tltm_r50",
    "tltm_r101",
    "tltm_tiny",
]
