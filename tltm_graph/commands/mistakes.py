import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tltm_graph.commands.saved_run import SavedRun
from tltm_graph.explanation import Mistake, SavedGraph, association_graph
from tltm_graph.explanation import mistakes as find_mistakes
from tltm_graph.io import write_atomically
from tltm_graph.metrics import match_to_ground_truth
from tltm_graph.structures import Detections, Tracks

_SAME = 0.3  # IoU of boxes from which on a detection shows an object: a poor one is still one
CAUSES = {
    "detector": "a false positive or a duplicate took the track",
    "memory": "the track had been forgotten",
    "solver": "the scores were right, the choice was not",
    "edge": "the scores were wrong",
}


@dataclass(frozen=True)
class Mistakes:
    """The wrong decisions of a run.

    Args:
        found: All of them, in the order of frames.
        decisions: How many were taken.
        labels: Class index of the object of each.
        class_names: Names of the classes, None if unknown.
    """

    found: tuple[Mistake, ...]
    decisions: int
    labels: tuple[int, ...]
    class_names: tuple[str, ...] | None

    @property
    def causes(self) -> dict[str, int]:
        """How many there are of each cause."""
        return {cause: sum(one.cause == cause for one in self.found) for cause in CAUSES}

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {"decisions": self.decisions, "causes": self.causes, "mistakes": [one.to_dict() for one in self.found]}


def mistakes(
    graph: str | Path,
    truth: str | Path | None = None,
    output: str | Path | None = None,
    picture: str | Path | None = None,
) -> Mistakes:
    """Which decisions of a saved run were wrong, and why: :func:`tltm_graph.explanation.mistakes`.

    Args:
        graph: ``graph.zip``, or the folder it is in.
        truth: See :meth:`SavedRun.truth`.
        output: A JSON file to write to as well.
        picture: Where to draw the association graph with its mistakes; the suffix says the format (png, svg, pdf).

    Raises:
        ValueError: If it is no graph of a run, or the truth is of another video.
        OSError: If a file cannot be read or written.
    """
    run = SavedRun.open(graph, related=False)
    found = tuple(find_mistakes(run.graph, identities(run.graph, run.truth(truth))))
    labels = tuple(int(run.graph[one.frame].current.labels[one.row]) for one in found)
    told = Mistakes(found, sum(len(one.current) for one in run.graph), labels, run.graph.class_names)
    if output is not None:
        with write_atomically(output) as temporary:
            temporary.write_text(json.dumps(told.to_dict(), indent=2) + "\n", encoding="utf-8")
    if picture is not None:
        from tltm_graph.visualization import draw_association_graph

        draw_association_graph(association_graph(run.graph, mistakes=found)).save(picture)
    return told


def identities(graph: SavedGraph, truth: Tracks) -> Iterator[Tensor]:
    """Which true object each detection of a saved run shows (N,), -1 for those that show none, or one twice."""

    def every_frame() -> Iterator[Detections]:
        after = -1
        for decision in graph:
            yield from (Detections.empty() for _ in range(after + 1, decision.frame))
            yield decision.current
            after = decision.frame

    known = set(graph.frames)
    for frame, (ids, objects) in enumerate(match_to_ground_truth(every_frame(), truth, _SAME)):
        if frame in known:
            yield ids.where(objects == 1, -1)
