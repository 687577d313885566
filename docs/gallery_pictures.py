"""How pictures of the gallery's scripts get into its pages."""

from typing import Any

from sphinx_gallery.scrapers import figure_rst

from tltm_graph.visualization import Drawing


def drawn(block: Any, variables: dict[str, Any], gallery: dict[str, Any]) -> str:
    """The picture that a block of a gallery script ends in."""
    value = variables["example_globals"].get("___")  # of an earlier block, if this one ends in no value
    if not isinstance(value, Drawing) or value is variables.get("drawn"):
        return ""
    variables["drawn"] = value
    path = next(variables["image_path_iterator"])
    value.save(path)
    return figure_rst([path], gallery["src_dir"])
