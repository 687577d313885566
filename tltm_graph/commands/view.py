import shlex
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tltm_graph.commands.explain import doubts
from tltm_graph.commands.mistakes import mistakes as find_mistakes
from tltm_graph.commands.saved_run import SavedRun
from tltm_graph.explanation import explain


def view(
    graph: str | Path,
    output: str | Path | None = None,
    source: str | None = None,
    pictures: bool = True,
    explained: int = 10,
    width: int = 640,
    weights: str | None = None,
    mistakes: bool = False,
    truth: str | Path | None = None,
) -> dict[str, Any]:
    """Writes a saved run as one HTML page: :func:`tltm_graph.visualization.write_viewer`.

    Args:
        graph: ``graph.zip``, or the folder it is in.
        output: Where to; None for ``graph.html`` beside the graph.
        source: The video; None for where it was.
        pictures: Whether its frames are in the page.
        explained: So many of the most doubtful decisions are explained in it.
        width: Of the pictures, in pixels, at most.
        weights: See :meth:`SavedRun.open`.
        mistakes: Whether wrong decisions are marked in it: :func:`tltm_graph.explanation.mistakes`.
        truth: See :meth:`SavedRun.truth`; they are marked where it is given.

    Returns:
        The path, and how many frames, objects, bytes and mistakes it holds, None if these are not marked.

    Raises:
        ValueError: If it is no graph of a run, or the video or the truth is another one.
        OSError: If a file cannot be read or written.
    """
    from tltm_graph.visualization import write_viewer

    run = SavedRun.open(graph, weights if explained else None, related=explained > 0)
    saved, about = run.graph, run.graph.about
    if saved.size is None:
        raise ValueError(f"Expected at least one frame in '{saved.path}', got none")
    target = saved.path.with_suffix(".html") if output is None else Path(output)
    wrong = None
    if mistakes or truth is not None:
        found = find_mistakes(saved.path, truth).found
        wrong = {(one.frame, one.row): (one.cause, one.text()) for one in found}
    seen = iter(run.pictures(source)) if pictures else None  # what is missing shall be missed before the work
    told = {}
    for doubt in tqdm(
        doubts(saved, explained), unit=" decisions", desc="explaining", file=sys.stderr, disable=not explained
    ):
        why = explain(saved, doubt.frame, row=doubt.row, make_tracker=run.tracker)
        told[doubt.frame, doubt.row] = why.text()
    frames = None
    if seen is not None:
        frames = tqdm(seen, total=len(saved), unit=" frames", desc="pictures", file=sys.stderr)
    write_viewer(
        target,
        saved,
        frames,
        saved.size,
        saved.class_names,
        about.get("fps"),
        f"{Path(str(about['source'])).name if about.get('source') else 'a rendered scene'}, {about['solver']}",
        told,
        width,
        command=shlex.join(["tltm-graph", "explain", str(graph), *(["--weights", weights] if weights else [])]),
        mistakes=wrong,
    )
    objects = sum(len(decision.current) for decision in saved)
    return {
        "file": str(target),
        "frames": len(saved),
        "objects": objects,
        "bytes": target.stat().st_size,
        "mistakes": None if wrong is None else len(wrong),
    }
