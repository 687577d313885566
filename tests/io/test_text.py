import gzip
import json

import pytest

from tltm_graph.io.text import read_json, read_text


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
    for missing in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(FileNotFoundError, match="file with tracks, found none at"):
            read_text(missing, "tracks")


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
