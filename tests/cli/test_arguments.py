import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from tltm_graph.cli import COMMANDS, _function
from tltm_graph.cli.arguments import Data, Option, add_arguments, call, description


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How to read.

    Args:
        every: Distance of frames,
            in frames.
        name: Name of the format.
    """

    every: int = 1
    name: Annotated[str | None, Option("format", "FORMAT")] = None


def command(
    sources: Annotated[Sequence[str], Option(metavar="SOURCE")],
    *,
    output: Data,
    reading: Reading,
    solver: Literal["fast", "slow"] = "fast",
    metrics: Sequence[Literal["a", "b"]] = (),
    size: tuple[int, int] = (3, 4),
    threshold: float | None = None,
    overlay: bool = True,
    save_graph: bool = False,
) -> dict:
    """Do something.

    More about it, 100 % of it.

    Args:
        sources: Files to read.
        output: File to write.
        reading: Reading options.
        solver: Choice of ``edges``.
        metrics: Metrics.
        size: Height and width.
        threshold: Minimum score, at most 100 %.
        overlay: The overlay video.
        save_graph: Also write the graph.

    Returns:
        output: not an option.
    """
    return locals()


def parse(*arguments: str) -> dict:
    parser = argparse.ArgumentParser()
    add_arguments(parser, command)
    return call(command, vars(parser.parse_args(arguments)))


def test_defaults():
    assert parse("x", "--output", "o") == {
        "sources": ["x"],
        "output": "o",
        "reading": Reading(),
        "solver": "fast",
        "metrics": (),
        "size": (3, 4),
        "threshold": None,
        "overlay": True,
        "save_graph": False,
    }


def test_every_kind_of_option():
    given = parse(
        *("x", "y", "--output", "o", "--every", "2", "--format", "csv", "--solver", "slow", "--metrics", "a", "b"),
        *("--size", "5", "6", "--threshold", "0.5", "--no-overlay", "--save-graph"),
    )
    assert given["sources"] == ["x", "y"]
    assert given["reading"] == Reading(every=2, name="csv")
    assert (given["solver"], given["metrics"], given["size"]) == ("slow", ["a", "b"], [5, 6])
    assert (given["threshold"], given["overlay"], given["save_graph"]) == (0.5, False, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x"], "required: --output"),
        (["x", "--output", "o", "--solver", "magic"], "invalid choice: 'magic'"),
        (["x", "--output", "o", "--size", "5"], "expected 2 arguments"),
        (["x", "--output", "o", "--every", "half"], "invalid int value"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit):
        parse(*arguments)
    assert message in capsys.readouterr().err


def test_the_docstring_is_the_help(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    parser = argparse.ArgumentParser()
    add_arguments(parser, command)
    text = parser.format_help()
    for line in (
        r"SOURCE  +Files to read\.",
        r"--output PATH  +File to write\.",
        r"--every N  +Distance of frames, in frames\. Default: 1\.",
        r"--format FORMAT  +Name of the format\.",
        r"--solver {fast,slow}\s+Choice of edges\. Default: fast\.",
        r"--size N N  +Height and width\. Default: 3 4\.",
        r"--threshold THRESHOLD\s+Minimum score, at most 100 %\.",
        r"--no-overlay  +Leave out the overlay video\.",
        r"--save-graph  +Also write the graph\.",
    ):
        assert re.search(line + "\n", text), (line, text)
    assert description(command) == "Do something.\n\nMore about it, 100 % of it."


@pytest.mark.parametrize("name", COMMANDS)
def test_every_parameter_of_a_command_is_described(name):
    function = _function(COMMANDS[name])
    add_arguments(argparse.ArgumentParser(), function)  # a missing description is a KeyError
    assert description(function).splitlines()[0].endswith(".")
