import math

import pytest

from tltm_graph.io.json_schema import (
    choice,
    class_names_field,
    field,
    flag,
    integer,
    json_object,
    list_of,
    number,
    optional,
    text,
)

KINDS = {
    "integer": (integer(0, 9), (0, 9), (-1, 10, True, 1.0, "1", None, [], 2**70)),
    "number": (number(0, 1), (0, 1, 0.5), (-0.1, 1.1, math.nan, math.inf, True, "1", None, 10**400)),
    "text": (text(3, 1), ("a", "abc"), ("", "abcd", 1, None, ["a"])),
    "choice": (choice(("a", "b")), ("a", "b"), ("c", "", None, ["a"], 1)),
    "flag": (flag(), (True, False), (0, 1, "true", None)),
    "object": (json_object(), ({}, {"a": 1}), ([], None, "a")),
    "optional": (optional(integer()), (None, 3), ("3", True)),
    "list": (list_of(integer(), 1, 2), ([1], [1, 2]), ([], [1, 2, 3], ["1"], (1,), {}, None)),
}


@pytest.mark.parametrize("name", KINDS)
def test_valid_values_are_returned_and_others_named(name):
    kind, valid, others = KINDS[name]
    for value in valid:
        assert field({"a": value}, "a", kind, "'x.json'") is value
    for value in others:
        with pytest.raises(ValueError, match="^Expected 'a' as .* in 'x.json', got .*: the file is damaged"):
            field({"a": value}, "a", kind, "'x.json'")


def test_missing_values():
    assert field({}, "a", integer(), "'x.json'", None) is None
    with pytest.raises(ValueError, match="Expected 'a' as a whole number of at least 0 in 'x.json', got none"):
        field({}, "a", integer(), "'x.json'")
    with pytest.raises(ValueError, match="Expected 'a' as .* got None"):
        field({"a": None}, "a", integer(), "'x.json'", None)
    for values in (None, [], "a", 1):
        with pytest.raises(ValueError, match="Expected an object in 'x.json', got"):
            field(values, "a", integer(), "'x.json'")


def test_class_names():
    assert class_names_field({"class_names": ["a", ""]}, "x") == ("a", "")
    assert class_names_field({"class_names": None}, "x") is None
    with pytest.raises(ValueError, match="Expected 'class_names' as null or a list of 0 or more, each a text"):
        class_names_field({"class_names": [1]}, "x")
