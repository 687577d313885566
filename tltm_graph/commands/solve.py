import json
import sys
import time
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tltm_graph.commands.saved_run import SOLVERS, SavedRun
from tltm_graph.detectors import Detector
from tltm_graph.explanation import GraphWriter, SavedGraph, differences, replay
from tltm_graph.formats import TrackWriter
from tltm_graph.io import output_folder, write_atomically
from tltm_graph.tracking import Tracker


def solve(
    graph: str | Path,
    output: str | Path = "out/solve",
    solver: str | None = None,
    max_time_since_update: int | None = None,
    new_track_threshold: float | None = None,
    score_threshold: float = 0.0,
    weights: str | None = None,
) -> dict[str, Any]:
    """Associates the objects of a saved run again, without looking at the video.

    Written to ``output``: ``tracks.json``, ``graph.zip`` and ``run.json``. Each appears when it is complete.

    Args:
        graph: ``graph.zip``, or the folder it is in.
        output: Folder to write to.
        solver: One of :data:`SOLVERS`; None for that of the run.
        max_time_since_update: See :class:`tltm_graph.tracking.TrackManager`; None for its default.
        new_track_threshold: The same.
        score_threshold: Objects that score less are left out.
        weights: See :meth:`SavedRun.open`.

    Returns:
        What is in ``run.json``.

    Raises:
        ValueError: If an argument is not understood, or it is no graph of a run.
        OSError: If a file cannot be read or written.
    """
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in locals().items()}
    run = SavedRun.open(graph, weights)
    solver = solver or run.solver
    if solver not in SOLVERS:
        raise ValueError(f"Expected a solver of {sorted(SOLVERS)}, got '{solver}'")
    given = {"max_time_since_update": max_time_since_update, "new_track_threshold": new_track_threshold}
    manager = {name: value for name, value in given.items() if value is not None}
    if solver == run.solver:
        manager = run.graph.about.get("manager", {}) | manager
    if manager and solver == "argmax":
        raise ValueError(f"Expected another solver for {', '.join(manager)}, got 'argmax': it has a memory of its own")
    target = Path(output) / "graph.zip"
    if target.resolve() == run.graph.path.resolve():
        raise ValueError(f"Expected to write to another folder: '{target}' is also the input, and would be lost")

    def make_tracker(detector: Detector) -> Tracker:
        made.append(run.tracker(detector, solver, manager))
        return made[0]

    made: list[Tracker] = []
    shown: set[int] = set()
    began = time.perf_counter()
    with output_folder(Path(output)) as folder:
        with ExitStack() as stack:
            tracks = stack.enter_context(TrackWriter(folder / "tracks.json"))
            steps = replay(run.graph, make_tracker, score_threshold)
            first = next(steps, None)
            if first is None:
                raise ValueError(f"Expected at least one frame in '{run.graph.path}', got none")
            about = {
                **run.graph.about,
                "solver": solver,
                "tracker": repr(made[0]),
                "solved_again": settings,
                "manager": manager,
            }
            writer = stack.enter_context(GraphWriter(target, made[0], about))
            every = tqdm(chain([first], steps), total=len(run.graph), unit=" frames", desc="solving", file=sys.stderr)
            for state, detections in stack.enter_context(every):
                assert detections.ids is not None
                shown.update(detections.ids[detections.ids >= 0].tolist())
                tracks.write(state.frame, detections)
                writer.write(state)
        elapsed = time.perf_counter() - began
        result = {
            "settings": settings | {"solver": solver},
            "tracker": repr(made[0]),
            "frames": len(run.graph),
            "tracks": len(shown),
            "seconds": round(elapsed, 2),
            "differences": sum(1 for _ in differences(run.graph, SavedGraph(target))),
            "decisions": sum(len(decision.current) for decision in run.graph),
            "files": ["tracks.json", "graph.zip", "run.json"],
        }
        with write_atomically(folder / "run.json") as temporary:
            temporary.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return result
