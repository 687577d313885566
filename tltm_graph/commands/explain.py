import json
from dataclasses import dataclass
from pathlib import Path

from tltm_graph.commands.crops import crops
from tltm_graph.commands.saved_run import SavedRun
from tltm_graph.explanation import Explanation, SavedGraph
from tltm_graph.explanation import explain as explain_decision
from tltm_graph.io import write_atomically
from tltm_graph.structures import class_name


@dataclass(frozen=True)
class Doubt:
    """A decision that was nearly taken otherwise.

    Args:
        frame: Index of the frame.
        row: The object.
        track: What became of it, -1 for no track.
        label: Its class.
        margin: By how much the decision is better than the next best.
    """

    frame: int
    row: int
    track: int
    label: str
    margin: float


def doubts(graph: SavedGraph, count: int = 20, only_tracks: bool = True) -> list[Doubt]:
    """The decisions with the smallest margins, the most doubtful first.

    Args:
        graph: A saved run.
        count: So many.
        only_tracks: Leave out objects that belong to no track.
    """
    found = []
    for decision in graph:
        for row, (margin, track) in enumerate(zip(decision.margins.tolist(), decision.tracks.tolist(), strict=True)):
            if track >= 0 or not only_tracks:
                found.append((margin, decision.frame, row, track, int(decision.current.labels[row])))
    found.sort()
    return [
        Doubt(frame, row, track, class_name(label, graph.class_names), margin)
        for margin, frame, row, track, label in found[:count]
    ]


def explain(
    graph: str | Path,
    frame: int,
    track: int | None = None,
    row: int | None = None,
    output: str | Path | None = None,
    weights: str | None = None,
    picture: str | Path | None = None,
    source: str | None = None,
) -> Explanation:
    """Why an object of a saved run was taken for what it was: :func:`tltm_graph.explanation.explain`.

    Args:
        graph: ``graph.zip``, or the folder it is in.
        frame: Index of the frame.
        track: The track whose object is asked for, or
        row: the row of the object.
        output: A JSON file to write to as well.
        weights: See :meth:`SavedRun.open`.
        picture: Where to draw the object and what it was compared with; the suffix says the format (png, svg, pdf).
        source: The video, for the picture; None for where it was.

    Raises:
        ValueError: If there is no such frame, track or object, or it is no graph of a run.
        OSError: If a file cannot be read or written.
    """
    run = SavedRun.open(graph, weights)
    explanation = explain_decision(run.graph, frame, track, row, run.tracker)
    if output is not None:
        with write_atomically(output) as temporary:
            temporary.write_text(json.dumps(explanation.to_dict(), indent=2) + "\n", encoding="utf-8")
    if picture is not None:
        from tltm_graph.visualization import draw_frame_pair

        tracks, objects = crops(run.graph, frame, run.pictures(source))
        names = run.graph.class_names
        draw_frame_pair(run.graph[frame], tracks, objects, names, explanation.row).save(picture)
    return explanation
