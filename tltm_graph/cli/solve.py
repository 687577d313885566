"""``tltm-graph solve``."""

import argparse
from typing import Any

from tltm_graph.cli.running import running

DESCRIPTION = """\
Associates the objects of a saved run again, with another solver, memory or threshold, without detecting them again.

GRAPH is the graph.zip of tltm-graph track --save-graph, or the folder it is in. Writes to the output folder:
  tracks.json   every object's track, in the YouTube-VIS results format
  graph.zip     the new decisions, for tltm-graph diff and explain
  run.json      all settings, and how many decisions are other than before"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tltm-graph solve``."""
    add = parser.add_argument
    add("graph", metavar="GRAPH", help="of a run with --save-graph: the file or its folder")
    add("--output", metavar="DIR", default="out/solve", help="folder to write to; default: %(default)s")
    add("--solver", choices=("hungarian", "greedy", "argmax"), help="default: that of the run")
    add(
        "--max-time-since-update",
        metavar="N",
        type=int,
        help="frames in a row that a track may be missed; default: as in the run, else 60",
    )
    add(
        "--new-track-threshold",
        metavar="P",
        type=float,
        help="least detection score of a new track; default: as in the run, else 0.3",
    )
    add("--score-threshold", metavar="P", type=float, default=0.0, help="leave out objects that score less")
    add("--weights", metavar="DETECTOR", help="the model whose relation judged, if it is not where it was: tltm:FILE")


def run(options: dict[str, Any]) -> int:
    """Runs ``tltm-graph solve`` with parsed options."""
    show_traceback = options.pop("traceback")

    def work() -> int:
        from tltm_graph.commands.solve import solve

        result = solve(**options)
        print(
            f"{result['frames']} frames, {result['tracks']} tracks in {result['seconds']} s; "
            f"{result['differences']} of {result['decisions']} decisions are other than before\nwritten:"
        )
        for name in result["files"]:
            print(f"  {options['output']}/{name}")
        return 0

    return running(work, show_traceback)
