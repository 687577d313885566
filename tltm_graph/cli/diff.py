"""``tltm-graph diff``."""

import argparse
from typing import Any

from tltm_graph.cli.running import running

DESCRIPTION = """\
Shows which decisions two runs on one video took differently, with the margin of each: how much better it was than the
next best of the frame. Ids do not matter; what counts is which earlier object each object goes on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tltm-graph diff``."""
    add = parser.add_argument
    add("first", metavar="FIRST", help="graph.zip of a run with --save-graph, or its folder")
    add("second", metavar="SECOND", help="another")
    add("--output", metavar="FILE", help="also write all of them as JSON")
    add("--limit", metavar="N", type=int, default=40, help="print so many; default: %(default)s")


def run(options: dict[str, Any]) -> int:
    """Runs ``tltm-graph diff`` with parsed options; 0 whether there are differences or not."""
    show_traceback, limit = options.pop("traceback"), options.pop("limit")

    def work() -> int:
        from tltm_graph.commands.diff import diff
        from tltm_graph.structures import class_name

        comparison = diff(**options)
        for one in comparison.found[:limit]:
            sides = [
                "not found" if side is None else f"object {side.row}: {side.text()} (margin {side.margin:.2f})"
                for side in (one.first, one.second)
            ]
            print(f"frame {one.frame}, {class_name(one.label, comparison.class_names)}\n  < {sides[0]}\n  > {sides[1]}")
        if len(comparison.found) > limit:
            print(f"… and {len(comparison.found) - limit} more: --limit, or --output for all")
        print(f"{len(comparison.found)} of {comparison.decisions} decisions differ")
        return 0

    return running(work, show_traceback)
