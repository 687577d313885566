"""The command line, ``tltm-graph``.

Each command is a module with a function of its name. The docstring and the signature of the function are the help and
the options (see ``arguments``). A module may have an ``EPILOG`` for the help and a function ``exit_status(result)``. It
imports nothing heavy: its functions import what they need, so that ``--help`` is quick.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from tltm_graph import __version__
from tltm_graph.cli import convert, diff, draw, evaluate, explain, mistakes, render, solve, track, validate, view
from tltm_graph.cli.arguments import add_arguments, call, description
from tltm_graph.cli.running import run_reporting_errors
from tltm_graph.limits import Limits, limits

COMMANDS: dict[str, ModuleType] = {
    "track": track,
    "eval": evaluate,
    "view": view,
    "draw": draw,
    "explain": explain,
    "solve": solve,
    "diff": diff,
    "mistakes": mistakes,
    "convert": convert,
    "validate": validate,
    "render": render,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Command and its options; None for those of the process.

    Returns:
        Exit status: 0, 1 after an error, 128 + its number after a signal: 130 after Ctrl-C.
    """
    words = sys.argv[1:] if arguments is None else arguments
    return run_reporting_errors(lambda: _run(words), show_traceback="--traceback" in words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tltm-graph", description="Online video instance segmentation.")
    parser.add_argument("--version", action="version", version=f"tltm-graph {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        text = description(_function(module))
        command = commands.add_parser(
            name,
            help=text.partition("\n")[0],
            description=text,
            epilog=getattr(module, "EPILOG", None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_arguments(command, _function(module))
        group = command.add_argument_group("files")
        group.add_argument(
            "--overwrite", action="store_true", help="Replace files that tltm-graph did not write. Inputs are kept."
        )
        add_arguments(group, Limits)
        command.add_argument("--traceback", action="store_true", help="After an unexpected error, print its traceback.")
    return parser


def _run(arguments: Sequence[str]) -> int:
    options = vars(_parser().parse_args(arguments))
    module = COMMANDS[options["command"]]
    from tltm_graph.io.output import output_rules

    with limits(call(Limits, options)), output_rules(options["overwrite"]):
        result = call(_function(module), options)
    status = getattr(module, "exit_status", None)
    return 0 if status is None else status(result)


def _function(module: ModuleType) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(module, module.__name__.rpartition(".")[2])
    return function
