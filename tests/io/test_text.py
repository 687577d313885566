import gzip
import json
import os
import zipfile
from pathlib import Path

import pytest

from tltm_graph.io.text import read_exact_text, read_json, read_text, read_yaml, shown
from tltm_graph.limits import Limits, limits
from tltm_graph.printable import one_line


@pytest.mark.parametrize("text", ["", "\n", "größe ∞\nzwei", "a" * 70_000])
def test_plain_and_packed(tmp_path, text):
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text.encode()))
    assert read_text(tmp_path / "a.txt", "tracks") == text
    assert read_text(str(tmp_path / "a.txt.gz"), "tracks") == text


def test_every_kind_of_damage(tmp_path):
    """A packed file cut off or with a wrong byte anywhere is refused, or reads as it was: its checksum says so."""
    text = json.dumps([{"id": number, "counts": "0123"} for number in range(40)])
    whole = gzip.compress(text.encode(), mtime=0)
    path = tmp_path / "a.json.gz"
    for end in range(0, len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match="Expected tracks in .*a.json.gz"):
            read_json(path, "tracks")
    refused = []
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        try:
            assert read_text(path, "tracks") == text, place
        except ValueError as error:
            refused.append(str(error))
    assert all("got a damaged file" in message for message in refused)
    assert len(refused) > len(whole) - 12, "only the header has bytes that say nothing"


def test_files_that_are_not_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"Expected tracks in '.*a.txt', got a damaged file: .*codec"):
        read_text(tmp_path / "a.txt", "tracks")
    with pytest.raises(FileNotFoundError, match="file with tracks, found none at"):
        read_text(tmp_path / "none.txt", "tracks")


def test_inputs_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    expected = {
        tmp_path: "got a folder at",
        tmp_path / "pipe.json": "got a pipe, a socket or a device at",
        Path("/dev/zero"): "got a pipe, a socket or a device at",
        tmp_path / "loop.json": "got: Too many levels of symbolic links",
        tmp_path / "a\0b": r"a\\x00b', got: embedded null byte",
        tmp_path / ("a" * 300): "got: File name too long",
    }
    for path, message in expected.items():
        for read in (read_text, read_json, read_yaml):
            with pytest.raises(ValueError, match=f"Expected a file with tracks.*{message}"):
                read(path, "tracks")


def test_texts_that_expand_beyond_the_limit(tmp_path):
    """A gigabyte of zeros packs to a megabyte."""
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"[" + b" " * 2**21 + b"]"))
    (tmp_path / "a.json").write_bytes(b"[" + b" " * 2**21 + b"]")
    for claimed in (2**21 + 2, 5):
        with zipfile.ZipFile(tmp_path / f"{claimed}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.json", b"[" + b" " * 2**21 + b"]")
        if claimed == 5:  # the central directory says 5 bytes
            content = (tmp_path / "5.zip").read_bytes().replace((2**21 + 2).to_bytes(4, "little"), b"\5\0\0\0")
            (tmp_path / "5.zip").write_bytes(content)
    for name in ("a.json.gz", "a.json", f"{2**21 + 2}.zip"):
        assert read_json(tmp_path / name, "tracks") == []
        with (
            limits(Limits(max_size=2)),
            pytest.raises(ValueError, match=rf"at most 2 MiB after decompression in '.*{name}'.*\(--max-size\)"),
        ):
            read_json(tmp_path / name, "tracks")
    with pytest.raises(ValueError, match="Expected tracks in '.*5.zip', got a damaged file"):
        read_json(tmp_path / "5.zip", "tracks")


def test_more_lists_than_the_memory_holds(tmp_path):
    (tmp_path / "a.json").write_text("[" + "[]," * 40_000 + "[]]")
    assert len(read_json(tmp_path / "a.json", "tracks")) == 40_001
    with limits(Limits(max_size=1)), pytest.raises(ValueError, match=r"at most 32768 lists and objects .*--max-size"):
        read_json(tmp_path / "a.json", "tracks")


def test_encodings(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf[1]\r\n")
    assert read_json(path, "tracks") == [1]
    assert read_text(path, "tracks") == "[1]\n"
    assert read_exact_text(path, "tracks") == "[1]\r\n"
    path.write_text("[1]", encoding="utf-16")
    with pytest.raises(ValueError, match="got a damaged file: .*save it as UTF-8"):
        read_json(path, "tracks")


def test_yaml(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("names: &n [a, b]\nothers: *n\n")
    assert read_yaml(path, "names") == {"names": ["a", "b"], "others": ["a", "b"]}
    bomb = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
    for text in (
        bomb,
        "[" * 5000,
        "a: [",
        "!!bool x",
        "!!timestamp x",
        "x: 2001-99-99",
        "9" * 5000,
        "? [a]\n: b",
        "\0",
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match="^Expected names in '.*a.yaml', got damaged YAML: [^\n]*$"):
            read_yaml(path, "names")


def test_values_in_messages():
    nested = []
    for _ in range(100_000):
        nested = [nested]
    assert shown(nested) == "[[[[...]]]]"
    assert len(shown("x" * 10**6)) <= 80
    assert shown(10**4000)[:5] == "10000"
    assert one_line("a\nb\0\ud800c") == r"a\nb\x00\ud800c"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got an empty file"),
        (" \n", "got an empty file"),
        ("{", "damaged or cut-off JSON"),
        ("[1] 2", "damaged or cut-off JSON"),
        ("[" * 100_000, "damaged or cut-off JSON"),
        ("9" * 5000, "damaged or cut-off JSON"),
    ],
)
def test_files_that_are_not_json(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=rf"Expected tracks in '.*a.json', got .*{message}|Expected tracks.*{message}"):
        read_json(tmp_path / "a.json", "tracks")


def test_json(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1, 2.5, "ü"]}', encoding="utf-8")
    assert read_json(tmp_path / "a.json", "tracks") == {"a": [1, 2.5, "ü"]}
