"""``tltm-graph view``."""

import argparse
from typing import Any

from tltm_graph.cli.running import running

DESCRIPTION = """\
Writes a saved run as one HTML page, to be opened in any browser, from disk and without a network: the video with its
masks, the timeline of all tracks, and for each object what it was compared with and how sure the decision was.

GRAPH is the graph.zip of tltm-graph track --save-graph, or the folder it is in."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tltm-graph view``."""
    add = parser.add_argument
    add("graph", metavar="GRAPH", help="of a run with --save-graph: the file or its folder")
    add("--output", metavar="FILE", help="page to write; default: graph.html beside the graph")
    add("--source", metavar="SOURCE", help="the video, if it is not where it was")
    add("--no-pictures", dest="pictures", action="store_false", help="leave the frames of the video out")
    add("--width", metavar="N", type=int, default=640, help="pixels of the pictures, at most; default: %(default)s")
    add(
        "--explained",
        metavar="N",
        type=int,
        default=10,
        help="explain so many of the most doubtful decisions in it; default: %(default)s",
    )
    add("--weights", metavar="DETECTOR", help="the model whose relation judged, if it is not where it was: tltm:FILE")
    add("--mistakes", action="store_true", help="mark wrong decisions, with what was to blame")
    add("--truth", metavar="PATH", help="the same, by true tracks in any format; a rendered scene knows its own")


def run(options: dict[str, Any]) -> int:
    """Runs ``tltm-graph view`` with parsed options."""
    show_traceback = options.pop("traceback")

    def work() -> int:
        from tltm_graph.commands.view import view

        result = view(**options)
        wrong = "" if result["mistakes"] is None else f", {result['mistakes']} wrong decisions"
        print(f"{result['frames']} frames, {result['objects']} objects{wrong}, {result['bytes'] / 1e6:.1f} MB")
        print(f"written:\n  {result['file']}")
        return 0

    return running(work, show_traceback)
