"""Pictures of results. Needs the extra ``viz``: ``pip install 'tltm-graph[viz]'``."""

from tltm_graph.visualization.association_graph import draw_association_graph
from tltm_graph.visualization.draw import Overlay
from tltm_graph.visualization.drawing import Drawing
from tltm_graph.visualization.frame_pair import draw_frame_pair
from tltm_graph.visualization.graph_strip import GraphStrip
from tltm_graph.visualization.viewer import write_viewer

__all__ = [
    "Drawing",
    "GraphStrip",
    "Overlay",
    "draw_association_graph",
    "draw_frame_pair",
    "write_viewer",
]
