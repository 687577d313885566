"""The command line, ``tltm-graph``."""

import argparse
from collections.abc import Sequence
from typing import Any

from tltm_graph import __version__
from tltm_graph.cli import (
    convert,
    diff,
    draw,
    evaluate,
    explain,
    mistakes,
    render,
    solve,
    track,
    validate,
    view,
)

COMMANDS = {
    "track": (track, "follow the objects of a video"),
    "eval": (evaluate, "score tracks against the truth"),
    "view": (view, "write a saved run as a page to look at"),
    "draw": (draw, "draw saved runs into their video, side by side"),
    "explain": (explain, "say why an object was taken for what it was"),
    "solve": (solve, "associate the objects of a saved run again"),
    "diff": (diff, "show which decisions two runs took differently"),
    "mistakes": (mistakes, "name the wrong decisions of a saved run, given the truth"),
    "convert": (convert, "write tracks in another format"),
    "validate": (validate, "look for mistakes in a data set"),
    "render": (render, "write videos of moving shapes with their truth"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0, 1 after an error, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="tltm-graph", description="Online video instance segmentation.")
    parser.add_argument("--version", action="version", version=f"tltm-graph {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, what) in COMMANDS.items():
        command = commands.add_parser(
            name, help=what, description=module.DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(command)
        command.add_argument(
            "--traceback", action="store_true", help="after an unexpected error, show where it comes from"
        )
    options = vars(parser.parse_args(arguments))
    return _run(options.pop("command"), options)


def _run(command: str, options: dict[str, Any]) -> int:
    return COMMANDS[command][0].run(options)
