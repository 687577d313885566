import base64
import io
from pathlib import Path
from typing import Any

from tltm_graph.io import write_atomically


class Drawing:
    """A picture that can be saved; notebooks show it when it is the last value of a cell.

    Args:
        figure: The :class:`matplotlib.figure.Figure`, to be changed at will.
        dpi: Pixels an inch.
    """

    def __init__(self, figure: Any, dpi: int = 120) -> None:
        self.figure, self.dpi = figure, dpi

    def save(self, path: str | Path) -> None:
        """Writes it; the suffix says the format (png, svg, pdf)."""
        with write_atomically(path) as temporary:
            self.figure.savefig(temporary, dpi=self.dpi)

    def _repr_html_(self) -> str:
        written = io.BytesIO()
        self.figure.savefig(written, dpi=self.dpi, format="png")
        picture = base64.b64encode(written.getvalue()).decode("ascii")
        return f'<img alt="drawing" style="max-width: 100%" src="data:image/png;base64,{picture}">'
