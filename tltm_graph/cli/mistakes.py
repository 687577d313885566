"""``tltm-graph mistakes``."""

import argparse
from typing import Any

from tltm_graph.cli.running import running

DESCRIPTION = """\
Lists the decisions of a saved run that were wrong, given the truth, and what was to blame: the scores of the
transitions (edge), the choice among them (solver), a track that had been forgotten (memory), or a false positive or second
detection that took a track (detector).

GRAPH is the graph.zip of tltm-graph track --save-graph, or the folder it is in."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tltm-graph mistakes``."""
    add = parser.add_argument
    add("graph", metavar="GRAPH", help="of a run with --save-graph: the file or its folder")
    add("--truth", metavar="PATH", help="the true tracks, in any format; a rendered scene knows its own")
    add("--output", metavar="FILE", help="also write all of them as JSON")
    add("--picture", metavar="FILE", help="also draw the association graph with them: .png, .svg or .pdf")
    add("--limit", metavar="N", type=int, default=40, help="print so many; default: %(default)s")


def run(options: dict[str, Any]) -> int:
    """Runs ``tltm-graph mistakes`` with parsed options."""
    show_traceback, limit = options.pop("traceback"), options.pop("limit")

    def work() -> int:
        from tltm_graph.commands.mistakes import CAUSES, mistakes
        from tltm_graph.structures import class_name

        told = mistakes(**options)
        for one, label in list(zip(told.found, told.labels, strict=True))[:limit]:
            name = class_name(label, told.class_names)
            print(f"frame {one.frame}, object {one.row} ({name}): {one.text()} [{one.cause}]")
        if len(told.found) > limit:
            print(f"… and {len(told.found) - limit} more: --limit, or --output for all")
        print(f"{len(told.found)} of {told.decisions} decisions are wrong")
        for cause, count in told.causes.items():
            print(f"  {cause:9} {count:4}  {CAUSES[cause]}")
        return 0

    return running(work, show_traceback)
