"""``tltm-graph explain``."""

import argparse
from typing import Any

from tltm_graph.cli.running import running

DESCRIPTION = """\
Says why an object was taken for what it was: what the score of its transition is the sum of, which other tracks it was
compared with, how much better the decision is than the next best of the whole frame, and the smallest change that would
have changed it.

GRAPH is the graph.zip of tltm-graph track --save-graph, or the folder it is in. Without --frame the most doubtful
decisions of the video are listed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tltm-graph explain``."""
    add = parser.add_argument
    add("graph", metavar="GRAPH", help="of a run with --save-graph: the file or its folder")
    add("--frame", metavar="N", type=int, help="index of the frame, from 0")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--track", metavar="ID", type=int, help="the track whose object is asked for, or that was missed"
    )
    which.add_argument("--object", dest="row", metavar="N", type=int, help="the object, counted from 0 in its frame")
    add("--limit", metavar="N", type=int, default=20, help="list so many doubtful decisions; default: %(default)s")
    add("--output", metavar="FILE", help="also write the explanation as JSON")
    add("--picture", metavar="FILE", help="also draw it, with pictures of what was compared: .png, .svg or .pdf")
    add("--source", metavar="SOURCE", help="the video for the picture, if it is not where it was")
    add("--weights", metavar="DETECTOR", help="the model whose relation judged, if it is not where it was: tltm:FILE")


def run(options: dict[str, Any]) -> int:
    """Runs ``tltm-graph explain`` with parsed options."""
    show_traceback, limit = options.pop("traceback"), options.pop("limit")

    def work() -> int:
        from tltm_graph.commands.explain import doubts, explain
        from tltm_graph.explanation import SavedGraph

        if options["frame"] is not None and options["track"] is None and options["row"] is None:
            raise ValueError("Expected --track or --object beside --frame, got neither")
        if options["frame"] is not None:
            print(explain(**options).text())
            written = [options[name] for name in ("output", "picture") if options[name] is not None]
            if written:
                print("\n  ".join(["written:", *written]))
            return 0
        if options["track"] is not None or any(options[name] is not None for name in ("row", "output", "picture")):
            raise ValueError("Expected --frame beside --track, --object, --output or --picture, got no --frame")
        graph = SavedGraph(options["graph"])
        print("margin  frame  object  track  class")
        for one in doubts(graph, limit):
            print(f"{one.margin:6.3f} {one.frame:6d} {one.row:7d} {one.track:6d}  {one.label}")
        return 0

    return running(work, show_traceback)
