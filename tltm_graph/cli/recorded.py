"""Settings that a saved graph records, and the files that it may name.

A graph may come from anyone. What it names is opened only if that can do no harm:

* as appearance model, a model of this package, or a file of weights beside the graph;
* as source, the rendered scene, or a video, a folder or a pattern of images on this machine.

Everything else, such as a class of one's own, a file elsewhere or an address, must be named on the command line. What a
file names is therefore of the types :class:`RecordedModel` and :class:`RecordedSource`, never a string.
"""

import glob
import inspect
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from tltm_graph.cli.arguments import SolverName
from tltm_graph.io.json_schema import Kind, choice, field, flag, integer, json_object, number, optional, text
from tltm_graph.io.text import shown
from tltm_graph.io.video import IMAGE_SUFFIXES
from tltm_graph.models.pretrained import SHIPPED_WEIGHTS
from tltm_graph.models.weights import files_of_model
from tltm_graph.printable import one_line
from tltm_graph.tracking import TrackManager

SOLVERS: tuple[str, ...] = get_args(SolverName)
"""Names of the solvers. ``argmax`` stands for the whole tracker of the released code."""

RENDERED = "shapes"
"""Name of the source that is a rendered scene. A file of this name is ``./shapes``."""

_MAX_NAME = 4096  # characters of the name of a file, as in Linux
_FPS = (1e-2, 1e6)


@dataclass(frozen=True)
class RecordedModel:
    """Detector that a graph names, which is not opened without a check.

    Args:
        named: Words of the graph.
        graph: Path of the graph.
    """

    named: str
    graph: Path

    def weights(self) -> Path:
        """Return the weights of the appearance model, if a graph may name them. Options are left out: the
        detections are saved, and the appearance model has none.

        Raises:
            ValueError: If it is neither a model of this package nor a plain, regular file beside the graph.
            FileNotFoundError: If there is no such file beside the graph.
        """
        described = self.named.partition("?")[0]
        name = described.removeprefix("tltm:")
        if described == name or not _is_plain(name):
            raise ValueError(self._refusal("a graph may name only a model of this package or a file beside it"))
        if name in SHIPPED_WEIGHTS:
            return SHIPPED_WEIGHTS[name]
        folder = self.graph.resolve().parent
        path = folder / name
        if not path.exists():
            raise FileNotFoundError(self._refusal(f"there is no file {name!r} beside it"))
        for file in files_of_model(path):
            if file.exists() and not (file.is_file() and file.resolve().parent == folder):
                raise ValueError(self._refusal(f"'{file.name}' is not a regular file, or leads out of the folder"))
        return path

    def _refusal(self, reason: str) -> str:
        return (
            f"Expected the appearance model of '{self.graph}', which names '{one_line(self.named, 200)}': {reason}. If "
            "you trust what it names, name it yourself: --weights DETECTOR, such as tltm:PATH"
        )


@dataclass(frozen=True)
class RecordedSource:
    """Source that a graph names, which is not opened without a check.

    Args:
        named: Words of the graph; None if it names no source.
        graph: Path of the graph.
    """

    named: str | None
    graph: Path

    @property
    def is_rendered(self) -> bool:
        """True for the rendered scene."""
        return self.named == RENDERED

    @property
    def name(self) -> str:
        """Last part of the name, without a suffix."""
        return Path(self.named or "").stem

    def local(self) -> str:
        """Return the source as :func:`tltm_graph.io.read_frames` opens it: an absolute path on this machine.

        Raises:
            ValueError: If a graph may not name it: an address, a camera, a device, a pipe, or a pattern of folders.
            FileNotFoundError: If there is no such file or folder.
        """
        if self.named is None:
            raise ValueError(self._refusal("it names none"))
        if self.is_rendered:
            return RENDERED
        if re.match(r"[\\/]{2}|[a-zA-Z][a-zA-Z0-9+.-]+:", self.named) and not os.path.isfile(self.named):
            raise ValueError(self._refusal("a graph may not name an address"))
        path = Path(self.named).absolute()
        if path.is_dir():
            files = [file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
        elif path.exists():
            files = [path]
        elif glob.has_magic(self.named) and not glob.has_magic(str(path.parent)) and "**" not in path.name:
            files = [Path(file) for file in glob.glob(str(path))]
        else:
            raise FileNotFoundError(self._refusal("there is no such file, folder or pattern of images"))
        for file in files:
            if not file.is_file():
                raise ValueError(self._refusal(f"'{file.name}' is no regular file"))
        return str(path)

    def _refusal(self, reason: str) -> str:
        return (
            f"Expected the video of '{self.graph}', which names '{one_line(self.named, 200)}': {reason}. Name the "
            "video yourself with --source, or leave out the pictures"
        )


@dataclass(frozen=True)
class RunSettings:
    """Checked settings of a run of ``tltm-graph track`` or ``solve``, from the description in its graph.

    Args:
        detector: Detector of the run.
        source: Video of the run.
        solver: Name of the solver.
        manager: Arguments of :class:`tltm_graph.tracking.TrackManager` that differ from its defaults.
        related: True if an appearance model scored the edges.
        seed: Seed of the rendered scene.
        fps: Frames per second of the video; None if unknown.
    """

    detector: RecordedModel
    source: RecordedSource
    solver: SolverName
    manager: Mapping[str, int | float]
    related: bool
    seed: int
    fps: float | None

    @classmethod
    def read(cls, about: Mapping[str, object], graph: Path) -> "RunSettings":
        """Check the description of a run.

        Args:
            about: Description, :attr:`tltm_graph.explanation.SavedGraph.about`.
            graph: Path of the graph.

        Raises:
            ValueError: If the run is not one of the command line, or a setting is not valid.
        """
        if "solver" not in about or "detector" not in about:
            raise ValueError(
                f"Expected a graph of tltm-graph track in '{graph}', got one without the names of its detector "
                "and solver: call replay and explain in Python, which take the parts of your own tracker"
            )

        where = f"'header.json' of '{graph}'"
        fps = field(about, "fps", optional(number(*_FPS)), where, None)
        manager = field(about, "manager", json_object(), where, {})
        for name in manager:
            kind = _manager_kinds().get(name)
            if kind is None:
                raise ValueError(
                    f"Expected arguments among {sorted(_manager_kinds())} in 'manager' of {where}, got {shown(name)}: "
                    "the file is damaged or of other code"
                )
            field(manager, name, kind, f"'manager' of {where}")
        return cls(
            detector=RecordedModel(_name(about, "detector", where), graph),
            source=RecordedSource(_name(about, "source", where) if about.get("source") is not None else None, graph),
            solver=field(about, "solver", choice(SOLVERS), where),
            manager=manager,
            related=field(about, "related", flag(), where, False),
            seed=field(about, "seed", integer(), where, 0),
            fps=None if fps is None else float(fps),
        )


def _name(about: Mapping[str, object], name: str, where: str) -> str:
    value: str = field(about, name, text(_MAX_NAME, 1), where)
    if "\0" in value:
        raise ValueError(f"Expected '{name}' without null characters in {where}, got {shown(value)}")
    return value


def _is_plain(name: str) -> bool:
    """Tell if a text is the name of a file in a folder, not a path."""
    return name.isprintable() and 0 < len(name) <= 255 and name == Path(name).name and not re.search(r"[\\/:]", name)


def _manager_kinds() -> dict[str, Kind]:
    """Arguments of a track manager that are numbers."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(TrackManager).parameters.items()}
    return {
        name: number(0, 1) if isinstance(default, float) else integer(0, 10**9)
        for name, default in defaults.items()
        if isinstance(default, int | float)
    }
