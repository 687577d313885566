"""Sphinx configuration of these pages: ``make docs``."""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from examples import run_page
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

from tltm_graph import __version__

log = logging.getLogger(__name__)
project, author = "tltm_graph", "the authors of tltm_graph"
version = release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["clips", "gallery_scripts", "gallery/*.py"]
sphinx_gallery_conf = {
    "image_scrapers": ("matplotlib", "gallery_pictures.drawn"),
    "ignore_repr_types": "Drawing",
    "examples_dirs": "gallery_scripts",
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": ("_repr_html_",),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
}
html_theme = "furo"
html_title = "tltm_graph"
html_static_path, html_css_files = ["static"], ["wide.css"]
html_math_renderer = "mathml"
html_show_copyright = html_show_sphinx = False
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_default_options = {"special-members": "__call__"}
napoleon_numpy_docstring = False


def show_printed(app: Sphinx, page: str, source: list[str]) -> None:
    """Run the code of a page and insert its output."""
    if app.config.run_examples and Path(app.env.doc2path(page)).suffix == ".md":
        source[0] = run_page(source[0], f"{page}.md", log.info)


def formula(translator: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML, which browsers draw without a network."""
    block, text = isinstance(node, nodes.math_block), node.astext().strip()
    if block and ("&" in text or "\n\n" in text):
        text = r"\begin{aligned}" + text.replace("\n\n", r" \\ ") + r"\end{aligned}"
    try:
        translator.body.append(tex2mathml(text, as_block=block))
    except (MathError, AttributeError) as error:
        log.warning("%s in the formula %s", error, text, location=node)
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hooks of this file with Sphinx."""
    app.add_config_value("run_examples", True, "env", bool)
    app.connect("source-read", show_printed)
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    return {"parallel_read_safe": True}
