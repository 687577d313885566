"""Pictures, videos and pages of results. Needs the extra ``viz``: ``pip install 'tltm-graph[viz]'``."""

from typing import TYPE_CHECKING, Any

from tltm_graph.visualization.association_graph import draw_association_graph
from tltm_graph.visualization.drawing import Drawing
from tltm_graph.visualization.frame_pair import draw_frame_pair
from tltm_graph.visualization.graph_strip import GraphStrip
from tltm_graph.visualization.viewer import write_viewer

if TYPE_CHECKING:
    from tltm_graph.visualization.draw import Overlay

__all__ = [
    "Drawing",
    "GraphStrip",
    "Overlay",
    "draw_association_graph",
    "draw_frame_pair",
    "write_viewer",
]


def __getattr__(name: str) -> Any:
    if name == "Overlay":  # imported on first use: supervision is slow to import, and the others do without
        from tltm_graph.visualization.draw import Overlay

        return Overlay
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
