"""Trained parts put together."""

from tltm_graph.models.relation import RelationModel

__all__ = ["RelationModel"]
