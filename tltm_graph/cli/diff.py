from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tltm_graph.cli.arguments import File
from tltm_graph.cli.checks import check_number
from tltm_graph.cli.running import write_json
from tltm_graph.cli.solve import Graph
from tltm_graph.printable import one_line

if TYPE_CHECKING:
    from tltm_graph.explanation.diff import Difference


@dataclass(frozen=True)
class Comparison:
    """Differences between two runs on one video.

    Args:
        differences: Decisions that differ, in the order of frames.
        decisions: Number of objects of the first run, and of those that only the second run has.
        class_names: Names of the classes, None if unknown.
    """

    differences: tuple["Difference", ...]
    decisions: int
    class_names: tuple[str, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain data, for JSON."""
        return {"decisions": self.decisions, "differences": [one.to_dict() for one in self.differences]}


def diff(first: Graph, second: Graph, *, output: File | None = None, limit: int = 40) -> Comparison:
    """List the decisions that differ between two runs on one video.

    A decision is the earlier object that an object continues; ids do not matter. Each is printed with its margin: its
    score minus that of the next best assignment of the frame.

    Args:
        first: graph.zip of tltm-graph track --save-graph or tltm-graph solve, or its folder.
        second: graph.zip of the other run, or its folder.
        output: JSON file for all differences.
        limit: Largest number of differences to print.

    Raises:
        ValueError: If a file is not a graph, or the graphs are of different videos.
        OSError: If a file cannot be read or written.
    """
    from tltm_graph.explanation import SavedGraph, differences
    from tltm_graph.structures.detections import class_name

    check_number("limit", limit, 0)
    graphs = SavedGraph(first), SavedGraph(second)
    found = tuple(differences(*graphs))
    decisions = sum(len(decision.current) for decision in graphs[0]) + sum(one.first is None for one in found)
    comparison = Comparison(found, decisions, graphs[0].class_names)
    if output is not None:
        write_json(output, comparison.to_dict(), ensure_ascii=True)
    for one in found[:limit]:
        sides = [
            "not found" if side is None else f"object {side.row}: {side.text()} (margin {side.margin:.2f})"
            for side in (one.first, one.second)
        ]
        name = one_line(class_name(one.label, comparison.class_names), 200)
        print(f"frame {one.frame}, {name}\n  < {sides[0]}\n  > {sides[1]}")
    if len(found) > limit:
        print(f"… and {len(found) - limit} more: --limit, or --output for all")
    print(f"{len(found)} of {decisions} decisions differ")
    return comparison
