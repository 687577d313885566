"""Header, index and members of a saved graph are checked when it is opened."""

import json
import shutil
import struct
import zipfile

import pytest

from tests.explanation.saved_runs import change, contents, oracle, saved, scene
from tltm_graph import GraphWriter, SavedGraph, Tracker
from tltm_graph.limits import Limits, limits


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    frames = scene(6)
    path = tmp_path_factory.mktemp("graph") / "graph.zip"
    saved(Tracker(oracle(frames)), frames, path, frames_each=3)
    return path


@pytest.fixture
def copy(path, tmp_path):
    return shutil.copy(path, tmp_path / "graph.zip")


OTHERS = (None, True, -1, 1e400, float("nan"), "x", "", [], [None], {}, 2**70, 0.5)


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("version", ()),
        ("about", ({},)),
        ("class_names", (None, [])),
        ("masks_on_demand", (True,)),
        ("new_track_threshold", (None, -1, 2**70, 0.5)),
    ],
)
def test_the_header_is_checked(copy, name, valid):
    for value in (value for value in OTHERS if not any(value is one or value == one for one in valid)):
        change(copy, header=lambda header, value=value: header.update({name: value}))
        with pytest.raises(ValueError, match=rf"^Expected .*{name}.* (in|of) .*graph.zip', got"):
            SavedGraph(copy)
    for value in valid:
        change(copy, header=lambda header, value=value: header.update({name: value}))
        SavedGraph(copy)


def entry(**values):
    return lambda index: index["parts"][1].update(values)


def state(**values):
    return lambda index: index["parts"][1]["state"].update(values)


@pytest.mark.parametrize(
    ("field", "apply"),
    [
        ("size", lambda index: index.update(size=None)),
        ("size", lambda index: index.update(size=[64])),
        ("size", lambda index: index.update(size=[64, "96"])),
        ("size", lambda index: index.update(size=[64.0, 96.0])),
        ("1000000×1000000", lambda index: index.update(size=[10**6, 10**6])),
        ("0×96", lambda index: index.update(size=[0, 96])),
        ("scale", lambda index: index.update(scale=0)),
        ("scale", lambda index: index.update(scale=None)),
        ("parts", lambda index: index.update(parts=None)),
        ("parts", lambda index: index.update(parts=[None])),
        ("header_sha256", lambda index: index.pop("header_sha256")),
        ("frames", entry(frames=[])),
        ("frames", entry(frames=[3, 3, 4])),
        ("frames", entry(frames=[3, 5, 4])),
        ("frames", entry(frames=[2, 3, 4])),
        ("frames", entry(frames=[3, 4, "5"])),
        ("frames", entry(frames=[3, 4, 5.0])),
        ("at most 200000 frames", entry(frames=[3, 4, 10**9])),
        ("name", entry(name="frames/00000000.safetensors")),
        ("name", entry(name="../00000003.safetensors")),
        ("name", entry(name=["frames"])),
        ("terms", entry(terms=["a", "a"])),
        ("terms", entry(terms="motion")),
        ("terms", entry(terms=[""])),
        ("sha256", entry(sha256=None)),
        ("sha256", entry(sha256="abc")),
        ("state", entry(state=[])),
        ("frame", state(frame=3)),
        ("frame", state(frame=2.0)),
        ("now", state(now=float("nan"))),
        ("now", state(now=float("inf"))),
        ("now", state(now="2")),
        ("now", state(now=-9)),
        ("pace", state(pace=0)),
        ("pace", state(pace=-1)),
        ("time", state(time=None)),
        ("next_id", state(next_id=0)),
        ("next_id", state(next_id=2**40)),
        ("next_id", state(next_id=1.5)),
    ],
)
def test_the_index_is_checked(copy, field, apply):
    with pytest.raises(ValueError, match=rf"^Expected .*'?{field}"):
        SavedGraph(change(copy, index=apply))


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b"{", b"\xff\xfe", b'{"kind": 1' + b"0" * 5000 + b"}"])
@pytest.mark.parametrize("name", ["header.json", "index.json"])
def test_other_texts_are_refused(path, tmp_path, name, content):
    with zipfile.ZipFile(tmp_path / "graph.zip", "w") as file:
        for one, value in contents(path).items():
            file.writestr(one, content if one == name else value)
    with pytest.raises(ValueError, match=r"^Expected .*graph.zip"):
        SavedGraph(tmp_path / "graph.zip")


def test_members_are_checked_before_they_are_read(path, tmp_path):
    members, copy = contents(path), tmp_path / "graph.zip"
    with limits(Limits(max_size=1)):
        with zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as file:
            for name, value in members.items():
                file.writestr(name, value + b" " * (2**21 if name == "index.json" else 0))
        with pytest.raises(ValueError, match="at most 1 MiB after decompression in 'index.json'"):
            SavedGraph(copy)
    with zipfile.ZipFile(copy, "w", zipfile.ZIP_BZIP2) as file:
        for name, value in members.items():
            file.writestr(name, value)
    with pytest.raises(ValueError, match="Expected a plain or deflated member in 'header.json'"):
        SavedGraph(copy)
    with zipfile.ZipFile(copy, "w") as file:
        for name, value in members.items():
            file.writestr(name, value)
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("index.json", b"{}")
    with pytest.raises(ValueError, match="Expected each member once in 'index.json'"):
        SavedGraph(copy)
    with zipfile.ZipFile(copy, "w") as file:
        for name, value in members.items():
            if name != "index.json":
                file.writestr(name, value)
    with pytest.raises(ValueError, match=r"no item named 'index.json' in the archive"):
        SavedGraph(copy)
    whole = bytearray(path.read_bytes())
    place = whole.rindex(b"PK\x01\x02")  # the entry of the last member in the list
    struct.pack_into("<H", whole, place + 8, 1)  # encrypted
    copy.write_bytes(whole)
    with pytest.raises(ValueError, match="plain or deflated member in 'index.json'"):
        SavedGraph(copy)


def test_names_of_members_are_printed_without_control_characters(path, tmp_path):
    copy = tmp_path / "graph.zip"
    with zipfile.ZipFile(copy, "w") as file:
        file.writestr("a\x1b[2J\n", b"")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a\x1b[2J\n", b"")
    with pytest.raises(ValueError, match=r"Expected each member once in 'a\\x1b\[2J\\n'"):
        SavedGraph(copy)


def test_a_pipe_is_not_waited_for(tmp_path):
    import os

    os.mkfifo(tmp_path / "graph.zip")
    with pytest.raises(ValueError, match="got a pipe, a socket or a device"):
        SavedGraph(tmp_path / "graph.zip")


def test_a_description_that_cannot_be_read_again_is_not_written(tmp_path):
    frames = scene(2)
    tracker = Tracker(oracle(frames))
    with (
        pytest.raises(ValueError, match="Expected finite numbers in the description of a run"),
        GraphWriter(tmp_path / "graph.zip", tracker, {"fps": float("nan")}),
    ):
        pass
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith(".")] == []
    graph, _ = saved(tracker, frames, tmp_path / "graph.zip", about={"source": "video\udcff.mp4"})
    assert graph.about["source"] == "video?.mp4"
    assert json.loads(contents(tmp_path / "graph.zip")["header.json"])["version"] == 3
