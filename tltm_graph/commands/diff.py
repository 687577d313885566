import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tltm_graph.explanation import Difference, SavedGraph, differences
from tltm_graph.io import write_atomically


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Args:
        found: The decisions that were taken differently.
        decisions: How many there were to take: on the objects of the first run, and those that only the second found.
        class_names: Names of the classes, None if unknown.
    """

    found: tuple[Difference, ...]
    decisions: int
    class_names: tuple[str, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {"decisions": self.decisions, "differences": [one.to_dict() for one in self.found]}


def diff(first: str | Path, second: str | Path, output: str | Path | None = None) -> Comparison:
    """Which decisions two saved runs on one video took differently.

    Args:
        first: ``graph.zip``, or the folder it is in.
        second: Another.
        output: A JSON file to write to as well.

    Raises:
        ValueError: If one is no graph, or they are of different videos.
        OSError: If a file cannot be read or written.
    """
    graphs = SavedGraph(first), SavedGraph(second)
    found = tuple(differences(*graphs))
    decisions = sum(len(one.current) for one in graphs[0]) + sum(one.first is None for one in found)
    comparison = Comparison(found, decisions, graphs[0].class_names)
    if output is not None:
        with write_atomically(output) as temporary:
            temporary.write_text(json.dumps(comparison.to_dict(), indent=2) + "\n", encoding="utf-8")
    return comparison
