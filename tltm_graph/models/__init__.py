"""Trained parts put together."""

from tltm_graph.models.reference_names import reference_name
from tltm_graph.models.relation import RelationModel
from tltm_graph.models.tltm import TLTM, tltm_r50, tltm_r101, tltm_tiny

__all__ = ["TLTM", "RelationModel", "reference_name", "tltm_r50", "tltm_r101", "tltm_tiny"]
