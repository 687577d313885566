"""Pictures of results. Each module needs only a part of the extra ``viz`` and is loaded when first used."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tltm_graph.visualization.association_graph import draw_association_graph
    from tltm_graph.visualization.draw import Overlay
    from tltm_graph.visualization.frame_pair import draw_frame_pair
    from tltm_graph.visualization.graph_strip import GraphStrip
    from tltm_graph.visualization.viewer import write_viewer

_MODULES = {
    "GraphStrip": "graph_strip",
    "Overlay": "draw",
    "draw_association_graph": "association_graph",
    "draw_frame_pair": "frame_pair",
    "write_viewer": "viewer",
}

__all__ = ["GraphStrip", "Overlay", "draw_association_graph", "draw_frame_pair", "write_viewer"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
