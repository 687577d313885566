"""Each tensor of a saved graph is checked, whether or not there are checksums."""

import shutil
import zipfile

import pytest
import torch

from tests.explanation.saved_runs import change, contents, oracle, related, saved, scene
from tltm_graph import SavedGraph, Tracker
from tltm_graph.published import published_tracker


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    frames = scene(8)
    path = tmp_path_factory.mktemp("graph") / "graph.zip"
    saved(Tracker(oracle(frames)), frames, path, frames_each=4)
    return path


def second(values):
    """Value of the second row in the first."""
    values[0] = values[1]


def setting(name, position, value):
    def apply(tensors):
        tensors[name][position] = value

    return apply


def replaced(name, make):
    def apply(tensors):
        tensors[name] = make(tensors[name])

    return apply


def twice(name):
    """Some value twice in the last frame."""

    def apply(tensors):
        tensors[name][-2:] = 1

    return apply


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("field", "apply"),
    [
        ("count.current", setting("count.current", slice(None), 0)),
        ("count.current", setting("count.current", 0, -1)),
        ("count.edge", setting("count.edge", 0, 10**6)),
        ("count.previous", lambda tensors: tensors.pop("count.previous")),
        ("time", setting("time", 0, NAN)),
        ("time", replaced("time", lambda value: value[:-1])),
        ("current.scores", setting("current.scores", 0, NAN)),
        ("current.scores", setting("current.scores", 0, INF)),
        ("current.boxes", setting("current.boxes", (0, 0), NAN)),
        ("current.boxes", setting("current.boxes", (0, 0), 1e9)),
        ("current.boxes", setting("current.boxes", (0, 0), 9e6)),
        ("current.boxes", replaced("current.boxes", lambda value: value[:, :3])),
        ("current.boxes", replaced("current.boxes", lambda value: value.int())),
        ("current.boxes", replaced("current.boxes", lambda value: value.to(torch.complex64))),
        ("current.labels", setting("current.labels", 0, 99)),
        ("current.labels", setting("current.labels", 0, -1)),
        ("previous.labels", setting("previous.labels", 0, 99)),
        ("current.ids", twice("current.ids")),
        ("current.ids", setting("current.ids", 0, -2)),
        ("previous.ids", twice("previous.ids")),
        ("current.track", twice("current.track")),
        ("current.partner", twice("current.partner")),
        ("current.partner", setting("current.partner", 0, 0)),
        ("current.born", setting("current.born", slice(None), True)),
        ("previous.missed", setting("previous.missed", slice(None), True)),
        ("previous.missed", replaced("previous.missed", lambda value: value.int())),
        ("previous.time_since_update", setting("previous.time_since_update", 0, -1)),
        ("previous.miss", setting("previous.miss", 0, -INF)),
        ("current.birth", setting("current.birth", 0, NAN)),
        ("current.margin", setting("current.margin", 0, NAN)),
        ("current.margin", replaced("current.margin", lambda value: torch.cat([value, value]))),
        ("edge.index", setting("edge.index", (0, 0), 99)),
        ("edge.index", setting("edge.index", (0, 1), -1)),
        ("edge.index", lambda tensors: second(tensors["edge.index"])),
        ("edge.score", setting("edge.score", 0, NAN)),
        ("mask.length", setting("mask.length", 0, 10**9)),
        ("mask.length", lambda tensors: tensors.pop("mask.length")),
        ("mask.size", setting("mask.size", 0, 63)),
        ("mask.size", setting("mask.size", 0, 0)),
        ("mask.text", setting("mask.text", 0, 200)),
        ("mask.text", setting("mask.text", slice(0, 9), 111)),
        ("mask.length", replaced("mask.text", lambda value: value[:-1])),
        ("current.drawn", lambda tensors: tensors.update({"current.drawn": tensors["current.boxes"].clone()})),
        ("unknown", lambda tensors: tensors.update(unknown=torch.zeros(1))),
        ("memory.ids", lambda tensors: tensors.pop("memory.ids")),
        ("memory.scores", replaced("memory.scores", lambda value: torch.full((1,), NAN))),
        ("memory.motion.places", replaced("memory.motion.places", lambda value: torch.zeros(0, 2, 4))),
        ("memory.motion.noise", replaced("memory.motion.noise", lambda value: torch.zeros(5, 2))),
    ],
)
def test_a_wrong_tensor_is_named(path, tmp_path, field, apply):
    copy = shutil.copy(path, tmp_path / "graph.zip")
    graph = SavedGraph(change(copy, tensors=apply))
    message = rf"^Expected .*'?{field.replace('.', '[.]')}.* '?frames/00000000[.]safetensors' of '.*graph.zip'"
    with pytest.raises(ValueError, match=message):
        list(graph)
    with pytest.raises(ValueError, match="Expected"):
        graph.detections(0)


@pytest.mark.parametrize(
    ("published", "field", "apply"),
    [
        (False, "memory.motion.time", setting("memory.motion.time", 0, 100.0)),
        (False, "memory.motion.places", setting("memory.motion.places", (0, 0, 0), NAN)),
        (False, "memory.motion.observations", setting("memory.motion.observations", (0, 0), -1.0)),
        (False, "memory.ids", setting("memory.ids", 0, 2**40)),
        (False, "memory.ids", lambda tensors: second(tensors["memory.ids"])),
        (False, "memory.mean_embeddings", replaced("memory.mean_embeddings", lambda value: value[:, :5])),
        (True, "memory.boxes", setting("memory.boxes", (0, 0), 1e6)),
        (True, "memory.updated", setting("memory.updated", 0, 100.0)),
        (True, "memory.hits", replaced("memory.hits", lambda value: value.float())),
        (True, "memory.embeddings", setting("memory.embeddings", (0, 0), INF)),
        (True, "memory.unknown", lambda tensors: tensors.update({"memory.unknown": torch.zeros(1)})),
    ],
)
def test_the_memory_is_checked(tmp_path, published, field, apply):
    model, frames, path = related(), scene(6), tmp_path / "graph.zip"
    tracker = published_tracker(model, model) if published else Tracker(model)
    graph, _ = saved(tracker, frames, path, frames_each=3)
    state = graph.state_before(3, tracker.track_manager)
    assert len(state.memory) > 1
    graph = SavedGraph(change(path, tensors=apply, part=1))
    assert len(list(graph.decisions(until=2))) == 3
    with pytest.raises(ValueError, match=rf"'{field}' in 'frames/00000003.safetensors'"):
        graph.state_before(3, tracker.track_manager)


def test_the_memory_of_another_track_manager_is_refused(path):
    manager = published_tracker(related()).track_manager
    with pytest.raises(ValueError, match="Expected the memory of a PublishedTrackManager in .* without 'hits'"):
        SavedGraph(path).state_before(5, manager)


def test_damage_is_found_by_checksums(path, tmp_path):
    members = contents(path)
    for name in ("header.json", "frames/00000004.safetensors"):
        content = bytearray(members[name])
        place = content.index(b"triangle") if name == "header.json" else len(content) // 2
        content[place] ^= 1
        copy = tmp_path / "graph.zip"
        with zipfile.ZipFile(copy, "w") as file:
            for one, value in members.items():
                file.writestr(one, bytes(content) if one == name else value)
        with pytest.raises(ValueError, match=rf"the checksum of 'index.json' for '{name}' of .*, got another"):
            list(SavedGraph(copy))


def test_version_2_is_read_without_checksums(path, tmp_path):
    copy = shutil.copy(path, tmp_path / "graph.zip")

    def plain(index):
        del index["header_sha256"]
        for part in index["parts"]:
            del part["sha256"]

    change(copy, header=lambda header: header.update(version=2), index=plain)
    assert [one.tracks.tolist() for one in SavedGraph(copy)] == [one.tracks.tolist() for one in SavedGraph(path)]
    change(copy, tensors=setting("current.scores", 0, NAN), index=plain)
    with pytest.raises(ValueError, match=r"'current.scores' in 'frames/00000000.safetensors'"):
        list(SavedGraph(copy))
