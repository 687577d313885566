import base64
import io
from pathlib import Path
from typing import Any

from tltm_graph.io.output import write_atomically

# Sixteen hues, each far from its neighbours, readable on dark and light pictures.
PALETTE = (
    *("#e6194b", "#3cb44b", "#ffe119", "#4363d8", "#f58231", "#911eb4", "#46f0f0", "#f032e6"),
    *("#bcf60c", "#fabebe", "#008080", "#e6beff", "#9a6324", "#aaffc3", "#808000", "#ffd8b1"),
)


def track_colour(track: int) -> str:
    """Colour of a track as #rrggbb; black for -1, no track."""
    return PALETTE[track % len(PALETTE)] if track >= 0 else "#000000"


class Drawing:
    """A figure that can be saved, and that notebooks show as the last value of a cell.

    Args:
        figure: The :class:`matplotlib.figure.Figure`, which may be changed.
        dpi: Resolution in pixels per inch.
    """

    def __init__(self, figure: Any, dpi: int = 120) -> None:
        self.figure, self.dpi = figure, dpi

    def save(self, path: str | Path) -> None:
        """Save the figure in the format of the suffix: png, svg or pdf."""
        with write_atomically(path) as temporary:
            self.figure.savefig(temporary, dpi=self.dpi)

    def _repr_html_(self) -> str:
        png = io.BytesIO()
        self.figure.savefig(png, dpi=self.dpi, format="png")
        picture = base64.b64encode(png.getvalue()).decode("ascii")
        return f'<img alt="drawing" style="max-width: 100%" src="data:image/png;base64,{picture}">'
