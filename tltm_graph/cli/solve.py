import sys
import time
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tltm_graph.cli.arguments import Folder, Option, SolverName
from tltm_graph.cli.checks import check_number
from tltm_graph.cli.running import write_json

if TYPE_CHECKING:
    from tltm_graph.detectors import Detector
    from tltm_graph.tracking import Tracker

Graph = Annotated[str | Path, Option(metavar="GRAPH")]
DetectorName = Annotated[str, Option(metavar="DETECTOR")]


def solve(
    graph: Graph,
    *,
    output: Folder = "out/solve",
    solver: SolverName | None = None,
    max_time_since_update: int | None = None,
    new_track_threshold: Annotated[float | None, Option(metavar="P")] = None,
    score_threshold: Annotated[float, Option(metavar="P")] = 0.0,
    weights: DetectorName | None = None,
) -> dict[str, Any]:
    """Associate the objects of a saved run again, with other settings.

    The detections of the run are used again; the video is not needed. The files appear together at the end, in the
    output folder:
      tracks.json   track of every object, in the YouTube-VIS results format
      graph.zip     new decisions, for tltm-graph diff and explain
      run.json      settings, and the number of decisions that changed

    Args:
        graph: graph.zip of tltm-graph track --save-graph, or its folder.
        output: Folder to write to.
        solver: Choice of edges. Default: that of the run.
        max_time_since_update: Largest number of consecutive frames in which a track may be missed. Default: that of the
            run, else 60.
        new_track_threshold: Minimum detection score, in [0, 1], that starts a track. Default: that of the run,
            else that of the detector, else 0.3.
        score_threshold: Minimum detection score, in [0, 1]; other objects are left out.
        weights: Detector with the appearance model, as tltm:FILE. Default: that of the run, if it is part of the
            package or a file beside the graph.

    Returns:
        Content of run.json.

    Raises:
        ValueError: If an argument is not valid, or the file is not a graph of a run.
        OSError: If a file cannot be read or written.
    """
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in locals().items()}
    from tqdm import tqdm

    from tltm_graph.cli.saved_run import SavedRun
    from tltm_graph.explanation import GraphWriter, SavedGraph, differences, replay
    from tltm_graph.formats import TrackWriter
    from tltm_graph.io.output import check_members, output_folder, write_together

    check_number("max-time-since-update", max_time_since_update, 0, 10**9)
    check_number("new-track-threshold", new_track_threshold, 0, 1)
    check_number("score-threshold", score_threshold, 0, 1)
    run = SavedRun.open(graph, weights)
    chosen = solver or run.settings.solver
    given = {"max_time_since_update": max_time_since_update, "new_track_threshold": new_track_threshold}
    manager: dict[str, int | float] = {name: value for name, value in given.items() if value is not None}
    if chosen == run.settings.solver:
        manager = {**run.settings.manager, **manager}
    if manager and chosen == "argmax":
        raise ValueError(
            f"Expected another solver for {', '.join(manager)}, got 'argmax', which has a memory of its own"
        )
    check_members(output, names := ["tracks.json", "graph.zip", "run.json"])

    def make_tracker(detector: "Detector") -> "Tracker":
        trackers.append(run.tracker(detector, chosen, manager))
        return trackers[0]

    trackers: list[Tracker] = []
    track_ids: set[int] = set()
    start = time.perf_counter()
    with output_folder(Path(output)), write_together(Path(output), "run") as folder:
        with ExitStack() as stack:
            tracks = stack.enter_context(TrackWriter(folder / "tracks.json"))
            steps = replay(run.graph, make_tracker, score_threshold)
            first = next(steps, None)
            if first is None:
                raise ValueError(f"Expected at least one frame in '{run.graph.path}', got none")
            about = {
                **run.graph.about,
                "solver": chosen,
                "tracker": repr(trackers[0]),
                "solved_again": settings,
                "manager": manager,
            }
            writer = stack.enter_context(GraphWriter(folder / "graph.zip", trackers[0], about))
            bar = tqdm(chain([first], steps), total=len(run.graph), unit=" frames", desc="solving", file=sys.stderr)
            for state, detections in stack.enter_context(bar):
                assert detections.ids is not None
                track_ids.update(detections.ids[detections.ids >= 0].tolist())
                tracks.write(state.frame, detections)
                writer.write(state)
        result = {
            "settings": settings | {"solver": chosen},
            "tracker": repr(trackers[0]),
            "frames": len(run.graph),
            "tracks": len(track_ids),
            "seconds": round(time.perf_counter() - start, 2),
            "differences": sum(1 for _ in differences(run.graph, SavedGraph(folder / "graph.zip"))),
            "decisions": sum(len(decision.current) for decision in run.graph),
            "files": names,
        }
        write_json(folder / "run.json", result)
    print(
        f"{result['frames']} frames, {result['tracks']} tracks in {result['seconds']} s; "
        f"{result['differences']} of {result['decisions']} decisions are other than before\nwritten:"
    )
    for name in names:
        print(f"  {output}/{name}")
    return result
