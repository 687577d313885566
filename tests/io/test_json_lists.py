import gzip
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tltm_graph.io.json_lists import JsonListReader

keys = st.one_of(st.integers(-5, 5), st.text(max_size=4))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
elements = st.builds(
    lambda rest, key: {**rest, "k": key}, st.dictionaries(st.text(max_size=5), values, max_size=3), keys
)
contents = st.builds(
    lambda before, rows, after: {**before, "rows": rows, **{k: v for k, v in after.items() if k != "rows"}},
    st.dictionaries(st.text(max_size=5), values, max_size=3).map(lambda d: {k: v for k, v in d.items() if k != "rows"}),
    st.lists(elements, max_size=6),
    st.dictionaries(st.text(max_size=5), values, max_size=3),
)


def reader(tmp_path, text: str) -> JsonListReader:
    path = tmp_path / "file.json"
    path.write_text(text, encoding="utf-8")
    return JsonListReader(path, "rows", "k", "annotations")


def spaced(text: str, gaps: list[str]) -> str:
    """The same JSON with other white space between its tokens."""
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|[^\s\[\]{}:,"]+|[\[\]{}:,]', text)
    return "".join(gaps[i % len(gaps)] + token for i, token in enumerate(tokens)) + gaps[-1]


@pytest.mark.slow
@given(contents, st.lists(st.text(" \t\r\n", max_size=3), min_size=1, max_size=7), st.booleans())
@settings(max_examples=80, deadline=None)
def test_it_reads_what_json_reads(tmp_path_factory, content, gaps, ascii_only):
    text = spaced(json.dumps(content, ensure_ascii=ascii_only), gaps)
    assert json.loads(text) == content
    parts = reader(tmp_path_factory.mktemp("json"), text)
    rows = content["rows"]
    assert parts.content == {name: value for name, value in content.items() if name != "rows"}
    assert parts.found
    assert len(parts) == len(rows)
    assert parts.keys() == list(dict.fromkeys(row["k"] for row in rows))
    keys = parts.keys()
    found = sorted((pair for key in keys for pair in parts.elements(key)), key=lambda pair: pair[0])
    assert found == list(enumerate(rows))
    for key in keys:
        assert [row for _, row in parts.elements(key)] == [row for row in rows if row["k"] == key]
    assert list(parts.elements("not there")) == []


TEXT = '{"videos": [{"id": 1}], "rows":[{"k":1,"a":"é\\n\\u00e9"} , {"k": "x", "b": [1.5e3, true, null]}], "n": -12}'


def test_cut_off_anywhere(tmp_path):
    whole = TEXT.encode()
    json.loads(whole)
    path = tmp_path / "cut.json"
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"Expected annotations in '.*cut.json', got a damaged"):
            JsonListReader(path, "rows", "k", "annotations")
    path.write_bytes(whole)
    assert len(JsonListReader(path, "rows", "k", "annotations")) == 2


def test_any_byte_damaged(tmp_path):
    """The reader accepts and refuses the same texts as json, with the same content."""
    path = tmp_path / "file.json"
    for place in range(len(TEXT)):
        for other in '{}[]",:x0 \\':
            text = TEXT[:place] + other + TEXT[place + 1 :]
            try:
                content = json.loads(text, object_pairs_hook=once)
            except ValueError:
                content = None
            path.write_text(text, encoding="utf-8")
            try:
                parts = JsonListReader(path, "rows", "k", "annotations")
            except ValueError:
                rows = content.get("rows") if isinstance(content, dict) else None
                sound = isinstance(rows, list) and all(isinstance(r, dict) and "k" in r for r in rows)
                assert not sound, text
                assert content is None or "rows" in content or not isinstance(content, dict), text
            else:
                assert isinstance(content, dict), text
                assert parts.content == {k: v for k, v in content.items() if k != "rows" or not parts.found}, text


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("twice")
    return dict(pairs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "damaged"),
        ("  \n", "damaged"),
        ("[]", "damaged"),
        ("null", "damaged"),
        ("{} x", "Extra data"),
        ('{"a": 1,}', "another element"),
        ('{"rows": [{"k": 1},]}', "another element"),
        ('{"rows": [{"k": 1} {"k": 1}]}', "Expecting ','"),
        ("{1: 2}", "name in double quotes"),
        ("{[1]: 2}", "name in double quotes"),
        ('{null: 2, "rows": []}', "name in double quotes"),
        ('{"rows": [{"k": 1}], "rows": [{"k": 2}]}', "'rows' is there twice"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ("[" * 100_000, "damaged"),
        ('{"a": ' + "[" * 100_000, "damaged"),
    ],
)
def test_invalid_files(tmp_path, text, message):
    with pytest.raises(ValueError, match=rf"Expected annotations in '.*file.json', got a damaged.*{message}|{message}"):
        reader(tmp_path, text)


@pytest.mark.parametrize("element", ["1", "null", "[]", "{}", '{"k": null}', '{"k": 1.0}', '{"k": true}', '{"k": [1]}'])
def test_every_element_has_the_key(tmp_path, element):
    with pytest.raises(
        ValueError, match=r"Expected 'k' in every element of 'rows' in '.*file.json', got .* as element 1"
    ):
        reader(tmp_path, f'{{"rows": [{{"k": 7}}, {element}]}}')


def test_without_the_list(tmp_path):
    for text in ("{}", '{"rows": null}', '{"rows": {"k": 1}}', ' { "other" : [ ] } '):
        parts = reader(tmp_path, text)
        assert not parts.found
        assert len(parts) == 0
        assert parts.content == json.loads(text)
    assert reader(tmp_path, '{"rows": []}').found


def test_compressed_and_missing_files(tmp_path):
    packed = tmp_path / "file.json.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    parts = JsonListReader(packed, "rows", "k", "annotations")
    assert list(parts.elements(1)) == [(0, {"k": 1, "a": "é\né"})]
    with pytest.raises(FileNotFoundError, match=r"file with annotations, found none at '.*none.json'"):
        JsonListReader(tmp_path / "none.json", "rows", "k", "annotations")


def test_elements_are_parsed_on_each_access(tmp_path):
    parts = reader(tmp_path, TEXT)
    ((_, first),) = parts.elements(1)
    first.clear()
    assert next(parts.elements(1))[1]["k"] == 1
