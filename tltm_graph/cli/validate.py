from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tltm_graph.cli.arguments import File, Option
from tltm_graph.cli.checks import check_number
from tltm_graph.cli.formats import FORMAT_TABLE, ReadingOptions, progress_bar
from tltm_graph.cli.running import write_json

if TYPE_CHECKING:
    from tltm_graph.formats.validate import Problem

EPILOG = FORMAT_TABLE


def validate(
    source: Annotated[str | Path, Option(metavar="SOURCE")],
    *,
    reading: ReadingOptions,
    output: File | None = None,
    most: int = 50,
) -> list["Problem"]:
    """Check a data set for mistakes.

    Found are damaged files and masks, missing pictures and pictures of another size, boxes outside the picture, boxes
    and areas that do not fit the masks, objects annotated twice, and classes that change or never occur. Each problem
    is printed with its place and its remedy. The exit status is 1 after errors.

    Args:
        source: File or folder to check.
        reading: Format of the source, and what it does not say itself. Pictures that are named are checked too.
        output: JSON file for the problems.
        most: Largest number of problems to print.

    Returns:
        Problems, video by video.

    Raises:
        ValueError: If the file as a whole cannot be read, or the output is an input.
        OSError: If a file cannot be read or written.
    """
    from tltm_graph.formats import validate as find_problems
    from tltm_graph.io.output import check_target

    check_number("most", most, 0)
    videos = reading.open(source)
    if output is not None:
        check_target(output)
    with progress_bar(videos, "looking") as bar:
        problems = list(find_problems(videos, bar))
    if output is not None:
        write_json(output, [problem.named() for problem in problems], indent=1)
    for problem in problems[:most]:
        place = ", ".join(part for part in (problem.video and f"video '{problem.video}'", problem.where) if part)
        print(f"{problem.kind}: {place + ': ' if place else ''}{problem.what}. To mend it: {problem.remedy}.")
    if len(problems) > most:
        print(f"… and {len(problems) - most} more")
    errors = sum(problem.kind == "error" for problem in problems)
    warnings = len(problems) - errors
    print(f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}")
    return problems


def exit_status(problems: list["Problem"]) -> int:
    """1 if there are errors, else 0."""
    return int(any(problem.kind == "error" for problem in problems))
