"""Trained parts put together."""

from tltm_graph.models.checkpoint import CheckpointReport, load_checkpoint
from tltm_graph.models.inference import for_inference
from tltm_graph.models.pretrained import KNOWN_WEIGHTS, SHIPPED_WEIGHTS, load_weights
from tltm_graph.models.reference_names import reference_name
from tltm_graph.models.relation import RelationModel
from tltm_graph.models.tltm import (
    TLTM,
    centermask_r50,
    centermask_r101,
    detector_of,
    expect_tltm,
    tltm_r50,
    tltm_r101,
    tltm_tiny,
)
from tltm_graph.models.weights import (
    affinity_path,
    load_model,
    load_reference_checkpoint,
    model_for_tracking,
    save_model,
)

__all__ = [
    "KNOWN_WEIGHTS",
    "SHIPPED_WEIGHTS",
    "TLTM",
    "CheckpointReport",
    "RelationModel",
    "affinity_path",
    "centermask_r50",
    "centermask_r101",
    "detector_of",
    "expect_tltm",
    "for_inference",
    "load_checkpoint",
    "load_model",
    "load_reference_checkpoint",
    "load_weights",
    "model_for_tracking",
    "reference_name",
    "save_model",
    "tltm_r50",
    "tltm_r101",
    "tltm_tiny",
]
