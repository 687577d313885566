"""``tltm-graph validate``."""

import argparse
from typing import Any

from tltm_graph.cli.formats import add_format_arguments, formats
from tltm_graph.cli.running import running

DESCRIPTION = f"""\
Looks through a data set for what makes training or scoring fail or lie: damaged files and masks, missing pictures,
pictures of another size, boxes outside the picture, boxes and areas that do not fit the masks, objects annotated twice,
classes that change or never occur. Says what is wrong, where, and how to mend it; ends with status 1 after errors.

{formats()}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tltm-graph validate``."""
    parser.add_argument("source", metavar="SOURCE", help="file or folder to look through")
    add_format_arguments(parser)
    parser.add_argument("--output", metavar="FILE", help="also write the problems to a JSON file")
    parser.add_argument("--most", metavar="N", type=int, default=50, help="print at most N; default: %(default)s")


def run(options: dict[str, Any]) -> int:
    """Runs ``tltm-graph validate`` with parsed options."""
    show_traceback, most = options.pop("traceback"), options.pop("most")

    def work() -> int:
        from tltm_graph.commands.validate import validate_data

        problems = validate_data(**options)
        for problem in problems[:most]:
            place = ", ".join(part for part in (problem.video and f"video '{problem.video}'", problem.where) if part)
            print(f"{problem.kind}: {place + ': ' if place else ''}{problem.what}. To mend it: {problem.remedy}.")
        if len(problems) > most:
            print(f"… and {len(problems) - most} more")
        errors = sum(problem.kind == "error" for problem in problems)
        warnings = len(problems) - errors
        print(f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}")
        return 1 if errors else 0

    return running(work, show_traceback)
