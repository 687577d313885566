"""Command-line options derived from the typed signature and the docstring of a function."""

import argparse
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin


@dataclass(frozen=True)
class Option:
    """Name and placeholder of an option, as ``Annotated[int | None, Option(name="object")]``.

    Args:
        name: Name on the command line; None for that of the parameter.
        metavar: Placeholder of the value in the help; None for N for integers and the name otherwise.
    """

    name: str | None = None
    metavar: str | tuple[str, ...] | None = None


Data = Annotated[str | Path, Option(metavar="PATH")]
File = Annotated[str | Path, Option(metavar="FILE")]
Folder = Annotated[str | Path, Option(metavar="DIR")]

Backend = Literal["torch", "openvino"]
"""Name of an implementation of the network."""

EncoderName = Literal["h264", "vp9", "mpeg4"]
"""Name of a video encoder: see :class:`tltm_graph.io.VideoWriter`."""

SolverName = Literal["hungarian", "greedy", "argmax"]
"""Name of a solver. ``argmax`` stands for the whole tracker of the released code."""

Missing = Literal["error", "empty", "skip"]
"""Treatment of videos without predictions."""


def add_arguments(parser: argparse._ActionsContainer, function: Callable[..., Any]) -> None:
    """Add the parameters of a function to a parser.

    Keyword-only parameters become options, others positional arguments. ``Literal`` gives choices, a sequence takes
    several values, ``tuple[int, int]`` two, and ``bool`` is a flag: ``--no-x``, with a help text that begins with
    "Leave out", if it is True by default. The fields of a dataclass become options of their own. Help texts come from
    the section ``Args:`` of the docstring.

    Args:
        parser: Parser, or group of its options, to add to.
        function: Function, or keyword-only dataclass, with an annotation for each parameter.
    """
    help_texts = _help_texts(function)
    for name, parameter in inspect.signature(function).parameters.items():
        if is_dataclass(parameter.annotation):
            add_arguments(parser, parameter.annotation)  # type: ignore[arg-type]
            continue
        kind, option = _unwrapped(parameter.annotation)
        is_option = parameter.kind is parameter.KEYWORD_ONLY
        default = None if parameter.default is parameter.empty else parameter.default
        settings: dict[str, Any] = {"help": help_texts[name].replace("%", "%%")}
        public_name = (option.name or name).replace("_", "-")
        if kind is bool:
            settings |= {"dest": name, "action": "store_false" if default else "store_true"}
            if default:
                settings["help"] = f"Leave out {settings['help'][0].lower()}{settings['help'][1:]}"
            parser.add_argument(f"--{'no-' if default else ''}{public_name}", **settings)
            continue
        if get_origin(kind) in (list, tuple, Sequence):
            items = get_args(kind)
            settings["nargs"] = len(items) if get_origin(kind) is tuple and Ellipsis not in items else "+"
            kind, _ = _unwrapped(items[0])
        if get_origin(kind) is Literal:
            settings["choices"] = get_args(kind)
            kind = str
        metavar = option.metavar or ("N" if kind is int else None)
        settings |= {"type": kind, "metavar": metavar}
        if not is_option:
            parser.add_argument(name, **settings | {"metavar": metavar or public_name.upper()})
            continue
        if default is not None and default != ():
            shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
            settings["help"] += f" Default: {shown}."
        settings |= {"dest": name, "default": default, "required": parameter.default is parameter.empty}
        parser.add_argument(f"--{public_name}", **settings)


def call(function: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """Call a function with the options that :func:`add_arguments` made of its parameters."""
    arguments = {}
    for name, parameter in inspect.signature(function).parameters.items():
        group = parameter.annotation
        arguments[name] = call(group, options) if is_dataclass(group) else options[name]  # type: ignore[arg-type]
    return function(**arguments)


def description(function: Callable[..., Any]) -> str:
    """The docstring of a function above its section ``Args:``."""
    return (inspect.getdoc(function) or "").partition("\nArgs:\n")[0].strip().replace("``", "")


def _help_texts(function: Callable[..., Any]) -> dict[str, str]:
    section = (inspect.getdoc(function) or "").partition("\nArgs:\n")[2]
    section = re.split(r"^\S", section, maxsplit=1, flags=re.MULTILINE)[0]  # up to the next section
    entries = re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()).replace("``", "") for name, text in entries}


def _unwrapped(annotation: Any) -> tuple[Any, Option]:
    """The type without ``Annotated`` and ``| None``, the first one of a union, and its option."""
    option = Option()
    while get_origin(annotation) in (Annotated, Union, UnionType):
        option = next((note for note in getattr(annotation, "__metadata__", ()) if isinstance(note, Option)), option)
        annotation = get_args(annotation)[0]
    return annotation, option
