"""Outputs of all commands beside files of other people."""

import os
import threading
from pathlib import Path

import pytest

from tests.cases import contents, names_in
from tltm_graph.cli import COMMANDS, main

RUN_FILES = ["tracks.json", "overlay.mp4", "run.json", "graph.zip", "graph.png"]

WRITING: dict[str, tuple[list[str], list[str]]] = {
    "track": (["track", "--source", "shapes", "--max-frames", "2", "--save-graph", "--output", "OUT"], RUN_FILES),
    "solve": (["solve", "RUN", "--output", "OUT"], ["tracks.json", "graph.zip", "run.json"]),
    "eval": (
        [
            "eval",
            "--truth",
            "SETS/truth.json",
            "--predictions",
            "SETS/found.json",
            "--metrics",
            "hota",
            "--output",
            "OUT",
        ],
        ["scores.json", "scores.md"],
    ),
    "convert": (["convert", "SETS/truth.json", "OUT/a.csv", "--to", "csv"], ["a.csv"]),
    "validate": (["validate", "SETS/truth.json", "--output", "OUT/a.json"], ["a.json"]),
    "render": (
        ["render", "--videos", "1", "--frames", "2", "--size", "48", "80", "--output", "OUT/set"],
        ["set/JPEGImages", "set/instances.json", "set/theirs.txt"],
    ),
    "view": (["view", "RUN", "--no-pictures", "--explained", "0", "--output", "OUT/a.html"], ["a.html"]),
    "draw": (["draw", "RUN", "--end", "2", "--width", "64", "--output", "OUT/a.gif"], ["a.gif"]),
    "draw a folder": (["draw", "RUN", "--end", "2", "--width", "64", "--output", "OUT/a"], ["a/00000.png", "a/b/c"]),
    "explain": (["explain", "RUN", "--frame", "9", "--object", "0", "--output", "OUT/a.json"], ["a.json"]),
    "explain a picture": (["explain", "RUN", "--frame", "9", "--object", "0", "--picture", "OUT/a.png"], ["a.png"]),
    "mistakes": (["mistakes", "RUN", "--output", "OUT/a.json"], ["a.json"]),
    "mistakes a picture": (["mistakes", "RUN", "--picture", "OUT/a.svg"], ["a.svg"]),
    "diff": (["diff", "RUN", "RUN", "--output", "OUT/a.json"], ["a.json"]),
}
"""Arguments of each command that writes, and its files."""


def filled(arguments: list[str], run: Path, sets: Path, out: Path) -> list[str]:
    names = {"RUN": run, "SETS": sets, "OUT": out}
    parts = [argument.partition("/") for argument in arguments]
    return [f"{names.get(first, first)}{slash}{rest}" for first, slash, rest in parts]


def test_every_command_is_tested():
    assert {arguments[0] for arguments, _ in WRITING.values()} == COMMANDS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("command", WRITING)
def test_files_of_other_people_stay(run, sets, tmp_path, capsys, command):
    arguments, names = WRITING[command]
    inputs = contents(run), contents(sets)
    for number, name in enumerate(names):
        out = tmp_path / str(number)
        for theirs in (name, "thesis.txt", "deep/.hidden"):
            (out / theirs).parent.mkdir(parents=True, exist_ok=True)
            (out / theirs).write_text("theirs")
        before = contents(out)
        assert main(filled(arguments, run, sets, out)) == 1
        error = capsys.readouterr().err
        assert error.count("error: ") == 1
        assert f"{name}' of another origin" in error or "got a file: remove it" in error
        assert contents(out) == before
    assert (contents(run), contents(sets)) == inputs


@pytest.mark.slow
@pytest.mark.parametrize("command", WRITING)
def test_own_files_are_replaced_beside_files_of_other_people(run, sets, tmp_path, command):
    arguments, names = WRITING[command]
    inputs = contents(run), contents(sets)
    for theirs in ("thesis.txt", "deep/.hidden"):
        (tmp_path / theirs).parent.mkdir(exist_ok=True)
        (tmp_path / theirs).write_text("theirs")
    before = contents(tmp_path)
    for _ in range(2):
        assert main(filled(arguments, run, sets, tmp_path)) == 0
        assert contents(tmp_path).items() >= before.items()
    assert set(names_in(tmp_path)) == {"thesis.txt", "deep", *(name.partition("/")[0] for name in names)}
    assert (contents(run), contents(sets)) == inputs


ONE_FILE = [name for name, (arguments, _) in WRITING.items() if arguments[-1].startswith("OUT/a.") or name == "convert"]


@pytest.mark.slow
@pytest.mark.parametrize("command", ONE_FILE)
def test_links_pipes_and_devices_are_written_to(run, sets, tmp_path, command):
    arguments, (name,) = WRITING[command]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / name).symlink_to(tmp_path / "elsewhere" / name)
    assert main(filled(arguments, run, sets, tmp_path / "link")) == 0
    assert (tmp_path / "link" / name).is_symlink()
    assert names_in(tmp_path / "elsewhere") == [name]
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / name)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe" / name).read_bytes()), daemon=True)
    reader.start()
    assert main(filled(arguments, run, sets, tmp_path / "pipe")) == 0
    reader.join(10)
    assert (tmp_path / "pipe" / name).is_fifo()
    assert len(received) == 1
    assert received[0]
    assert names_in(tmp_path / "pipe") == [name]


@pytest.mark.slow
@pytest.mark.parametrize("command", [name for name in ONE_FILE if WRITING[name][1] in (["a.json"], ["a.csv"])])
def test_the_null_device_stays(run, sets, tmp_path, command):
    arguments = filled(WRITING[command][0], run, sets, tmp_path)
    path = f"{tmp_path}/{WRITING[command][1][0]}"
    assert main([os.devnull if argument == path else argument for argument in arguments]) == 0
    assert Path(os.devnull).is_char_device()
