from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tltm_graph.cli.arguments import Data, File
from tltm_graph.cli.checks import check_number
from tltm_graph.cli.running import write_json
from tltm_graph.cli.solve import Graph
from tltm_graph.printable import one_line

if TYPE_CHECKING:
    from torch import Tensor

    from tltm_graph.explanation import SavedGraph
    from tltm_graph.explanation.mistakes import Mistake
    from tltm_graph.structures import Tracks

_MIN_IOU = 0.3  # of boxes: a poorly localized detection still shows its object
CAUSES = {
    "detector": "a false positive or a duplicate took the track",
    "memory": "the track had been forgotten",
    "solver": "the scores were right, the choice was not",
    "edge": "the scores were wrong",
}


@dataclass(frozen=True)
class Mistakes:
    """Wrong decisions of a run.

    Args:
        mistakes: All wrong decisions, in the order of frames.
        decisions: Number of decisions of the run.
        labels: Class index of the object of each mistake.
        class_names: Names of the classes, None if unknown.
    """

    mistakes: tuple["Mistake", ...]
    decisions: int
    labels: tuple[int, ...]
    class_names: tuple[str, ...] | None

    @property
    def causes(self) -> dict[str, int]:
        """Number of mistakes of each cause."""
        return {cause: sum(one.cause == cause for one in self.mistakes) for cause in CAUSES}

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain data, for JSON."""
        mistakes = [one.to_dict() for one in self.mistakes]
        return {"decisions": self.decisions, "causes": self.causes, "mistakes": mistakes}


def mistakes(
    graph: Graph,
    *,
    truth: Data | None = None,
    output: File | None = None,
    picture: File | None = None,
    limit: int = 40,
) -> Mistakes:
    """List the wrong decisions of a saved run, and their causes.

    Decisions are compared with ground truth. A cause is the scores of the edges (edge), the choice among them (solver),
    a track that was forgotten (memory), or a false positive or duplicate that took a track (detector).

    Args:
        graph: graph.zip of tltm-graph track --save-graph, or its folder.
        truth: Ground-truth tracks, in any format. Default: that of a rendered scene.
        output: JSON file for all mistakes.
        picture: Picture of the association graph with the mistakes: .png, .svg or .pdf.
        limit: Largest number of mistakes to print.

    Raises:
        ValueError: If the file is not a graph of a run, or the ground truth belongs to another video.
        OSError: If a file cannot be read or written.
    """
    from tltm_graph.explanation import association_graph
    from tltm_graph.structures.detections import class_name

    check_number("limit", limit, 0)
    graph_of_run, result = find_mistakes(graph, truth)
    if output is not None:
        write_json(output, result.to_dict(), ensure_ascii=True)
    if picture is not None:
        from tltm_graph.visualization.association_graph import draw_association_graph

        draw_association_graph(association_graph(graph_of_run, mistakes=result.mistakes)).save(picture)
    for one, label in list(zip(result.mistakes, result.labels, strict=True))[:limit]:
        name = one_line(class_name(label, result.class_names), 200)
        print(f"frame {one.frame}, object {one.row} ({name}): {one.text()} [{one.cause}]")
    if len(result.mistakes) > limit:
        print(f"… and {len(result.mistakes) - limit} more: --limit, or --output for all")
    print(f"{len(result.mistakes)} of {result.decisions} decisions are wrong")
    for cause, count in result.causes.items():
        print(f"  {cause:9} {count:4}  {CAUSES[cause]}")
    return result


def find_mistakes(graph: Graph, truth: Data | None = None) -> tuple["SavedGraph", Mistakes]:
    """Read a saved graph and find its wrong decisions.

    Args:
        graph: ``graph.zip``, or its folder.
        truth: Ground-truth tracks, in any format; None for that of a rendered scene.
    """
    from tltm_graph import explanation
    from tltm_graph.cli.saved_run import SavedRun

    run = SavedRun.open(graph, with_affinity=False)
    found = tuple(explanation.mistakes(run.graph, _true_ids(run.graph, run.truth(truth))))
    labels = tuple(int(run.graph[one.frame].current.labels[one.row]) for one in found)
    decisions = sum(len(decision.current) for decision in run.graph)
    return run.graph, Mistakes(found, decisions, labels, run.graph.class_names)


def _true_ids(graph: "SavedGraph", truth: "Tracks") -> Iterator["Tensor"]:
    """Ground-truth id of each detection of a frame (N,); -1 for false positives and duplicates."""
    from tltm_graph.metrics import match_to_ground_truth
    from tltm_graph.structures import Detections

    def detections_of_all_frames() -> Iterator[Detections]:
        last = -1
        for decision in graph:
            yield from (Detections.empty() for _ in range(last + 1, decision.frame))
            yield decision.current
            last = decision.frame

    saved_frames = set(graph.frames)
    for frame, (ids, objects) in enumerate(match_to_ground_truth(detections_of_all_frames(), truth, _MIN_IOU)):
        if frame in saved_frames:
            yield ids.where(objects == 1, -1)
