"""``tltm-graph draw``."""

import argparse
from typing import Any

from tltm_graph.cli.running import running

DESCRIPTION = """\
Draws what saved runs found into their video: masks, ids and trails; several runs of one video side by side; on request
the association graph of the last seconds below.

GRAPH is the graph.zip of tltm-graph track --save-graph, or the folder it is in."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tltm-graph draw``."""
    add = parser.add_argument
    add("graphs", metavar="GRAPH", nargs="+", help="of a run with --save-graph: the file or its folder")
    add("--output", metavar="PATH", help=".mp4, .gif, or a folder for PNG files; default: drawn.mp4 beside the graph")
    add("--source", metavar="SOURCE", help="the video, if it is not where it was")
    add("--strip", action="store_true", help="the association graph of the last seconds below")
    add("--seconds", metavar="S", type=float, default=3.0, help="so many in it; default: %(default)s")
    add("--begin", metavar="N", type=int, default=0, help="first frame; default: %(default)s")
    add("--end", metavar="N", type=int, help="the frame to stop before; default: all")
    add("--width", metavar="N", type=int, help="pixels of each run's picture; default: as the video")


def run(options: dict[str, Any]) -> int:
    """Runs ``tltm-graph draw`` with parsed options."""
    show_traceback = options.pop("traceback")

    def work() -> int:
        from tltm_graph.commands.draw import draw

        result = draw(**options)
        print(f"{result['pictures']} pictures\nwritten:\n  {result['file']}")
        return 0

    return running(work, show_traceback)
