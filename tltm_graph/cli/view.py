import shlex
import sys
from pathlib import Path
from typing import Any

from tltm_graph.cli.arguments import Data, File
from tltm_graph.cli.checks import check_number
from tltm_graph.cli.explain import doubts
from tltm_graph.cli.mistakes import find_mistakes
from tltm_graph.cli.solve import DetectorName, Graph
from tltm_graph.printable import one_line


def view(
    graph: Graph,
    *,
    output: File | None = None,
    source: str | None = None,
    pictures: bool = True,
    width: int = 640,
    explained: int = 10,
    weights: DetectorName | None = None,
    mistakes: bool = False,
    truth: Data | None = None,
) -> dict[str, Any]:
    """Write a saved run as an HTML page.

    The page shows the video with its masks, the timeline of all tracks, and for each object the tracks it was compared
    with and the margin of the decision. It opens in any browser, from disk and without a network.

    Args:
        graph: graph.zip of tltm-graph track --save-graph, or its folder.
        output: HTML file to write. Default: graph.html next to the graph.
        source: Video. Default: the source of the run.
        pictures: The frames of the video.
        width: Largest width of the pictures, in pixels.
        explained: Number of decisions to explain in the page, those with the smallest margins.
        weights: Detector with the appearance model, as tltm:FILE. Default: that of the run, if it is part of the
            package or a file beside the graph.
        mistakes: Mark wrong decisions and their causes.
        truth: Ground-truth tracks, in any format, for --mistakes, which it implies. Default: that of a rendered scene.

    Returns:
        Path of the page as ``file``, and numbers of ``frames``, ``objects``, ``bytes`` and ``mistakes`` (None if they
        are not marked).

    Raises:
        ValueError: If the file is not a graph of a run, or the video or the ground truth is another one.
        OSError: If a file cannot be read or written.
    """
    from tqdm import tqdm

    from tltm_graph.cli.saved_run import SavedRun
    from tltm_graph.explanation import explain
    from tltm_graph.visualization.viewer import ViewerNotes, write_viewer

    check_number("width", width, 1)
    check_number("explained", explained, 0)
    run = SavedRun.open(graph, weights if explained else None, with_affinity=explained > 0)
    saved, settings = run.graph, run.settings
    if saved.size is None:
        raise ValueError(f"Expected at least one frame in '{saved.path}', got none")
    target = saved.path.with_suffix(".html") if output is None else Path(output)
    wrong = None
    if mistakes or truth is not None:
        found = find_mistakes(saved.path, truth)[1].mistakes
        wrong = {(one.frame, one.row): (one.cause, one.text()) for one in found}
    video = iter(run.pictures(source)) if pictures else None  # a missing video is an error before the work
    explanations = {}
    for doubt in tqdm(
        doubts(saved, explained), unit=" decisions", desc="explaining", file=sys.stderr, disable=not explained
    ):
        explanation = explain(saved, doubt.frame, row=doubt.row, make_tracker=run.tracker)
        explanations[doubt.frame, doubt.row] = explanation.text()
    frames = None
    if video is not None:
        frames = tqdm(video, total=len(saved), unit=" frames", desc="pictures", file=sys.stderr)
    write_viewer(
        target,
        saved,
        frames,
        saved.size,
        saved.class_names,
        settings.fps,
        f"{one_line(Path(settings.source.named or 'a video').name, 200)}, {settings.solver}",
        width,
        ViewerNotes(
            explanations,
            wrong,
            command=shlex.join(["tltm-graph", "explain", str(graph), *(["--weights", weights] if weights else [])]),
        ),
    )
    result: dict[str, Any] = {
        "file": str(target),
        "frames": len(saved),
        "objects": sum(len(decision.current) for decision in saved),
        "bytes": target.stat().st_size,
        "mistakes": None if wrong is None else len(wrong),
    }
    marked = "" if wrong is None else f", {len(wrong)} wrong decisions"
    print(f"{result['frames']} frames, {result['objects']} objects{marked}, {result['bytes'] / 1e6:.1f} MB")
    print(f"written:\n  {target}")
    return result
