"""Image scraper of sphinx-gallery for drawings of this library."""

from typing import Any

from sphinx_gallery.scrapers import figure_rst

from tltm_graph.visualization.drawing import Drawing


def drawn(block: Any, variables: dict[str, Any], gallery: dict[str, Any]) -> str:
    """Save the drawing that a block of a gallery script ends in."""
    value = variables["example_globals"].get("___")  # value of an earlier block if this one ends in none
    if not isinstance(value, Drawing) or value is variables.get("drawn"):
        return ""
    variables["drawn"] = value
    path = next(variables["image_path_iterator"])
    value.save(path)
    return figure_rst([path], gallery["src_dir"])
