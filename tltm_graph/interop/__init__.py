"""Conversions to and from the types of other libraries."""

from tltm_graph.interop.columns import tracks_from_columns, tracks_to_columns

__all__ = [
    "tracks_from_columns",
    "tracks_to_columns",
]
