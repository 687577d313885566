"""Schemas of JSON objects in files: types and ranges of values, checked before anything uses them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tltm_graph.io.text import shown

_MAX_TEXT = 1_000_000  # characters


@dataclass(frozen=True)
class Kind:
    """Expected values.

    Args:
        expected: Description, for error messages.
        accepts: Function that returns True for a valid value.
    """

    expected: str
    accepts: Callable[[Any], bool]


def integer(low: int = 0, high: int = 2**63 - 1) -> Kind:
    """Whole numbers in a range."""
    bound = f"of at least {low}" if high == 2**63 - 1 else f"from {low} to {high}"
    return Kind(f"a whole number {bound}", lambda value: type(value) is int and low <= value <= high)


def number(low: float = -1e30, high: float = 1e30) -> Kind:
    """Finite numbers in a range."""
    return Kind(
        f"a number from {low:g} to {high:g}",
        lambda value: type(value) in (int, float) and low <= value <= high and math.isfinite(value),
    )


def text(max_length: int = _MAX_TEXT, min_length: int = 0) -> Kind:
    """Texts of bounded length."""
    return Kind(
        f"a text of {min_length} to {max_length} characters",
        lambda value: isinstance(value, str) and min_length <= len(value) <= max_length,
    )


def choice(names: tuple[str, ...]) -> Kind:
    """One of some texts."""
    return Kind(f"one of {sorted(names)}", lambda value: isinstance(value, str) and value in names)


def flag() -> Kind:
    """True or false."""
    return Kind("true or false", lambda value: isinstance(value, bool))


def optional(kind: Kind) -> Kind:
    """Values of another kind, or null."""
    return Kind(f"null or {kind.expected}", lambda value: value is None or kind.accepts(value))


def list_of(kind: Kind, min_length: int = 0, max_length: int = 10_000_000) -> Kind:
    """Lists of values of another kind."""
    length = f"{min_length}" if min_length == max_length else f"{min_length} or more"
    return Kind(
        f"a list of {length}, each {kind.expected}",
        lambda value: (
            isinstance(value, list) and min_length <= len(value) <= max_length and all(map(kind.accepts, value))
        ),
    )


def json_object() -> Kind:
    """Any object."""
    return Kind("an object", lambda value: isinstance(value, dict))


_REQUIRED = object()


def field(values: Any, name: str, kind: Kind, where: str, default: Any = _REQUIRED) -> Any:
    """Return a value of a JSON object.

    Args:
        values: Object, as parsed.
        name: Name of the value.
        kind: Expected values.
        where: Origin of the object, for error messages.
        default: Value if there is none of this name; by default it is required.

    Raises:
        ValueError: If there is no object, no such value, or it is not as expected.
    """
    if not isinstance(values, dict):
        raise ValueError(f"Expected an object in {where}, got {shown(values)}: the file is damaged or of other code")
    value = values.get(name, default)
    if value is _REQUIRED or not (kind.accepts(value) or (value is default and name not in values)):
        got = "none" if value is _REQUIRED else shown(value)
        raise ValueError(
            f"Expected '{name}' as {kind.expected} in {where}, got {got}: the file is damaged or of other code"
        )
    return value


def class_names_field(values: Mapping[str, Any], where: str) -> tuple[str, ...] | None:
    """Return the value ``class_names`` of a JSON object: names of the classes, None if unknown."""
    names = field(values, "class_names", optional(list_of(text(), max_length=100_000)), where)
    return None if names is None else tuple(names)
