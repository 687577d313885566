"""What a saved graph may name, and how commands refuse the rest."""

import os
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from benchmarks.shapes_model import TINY
from tests.explanation.saved_runs import change
from tltm_graph.cli import main
from tltm_graph.cli.recorded import RunSettings

CALLED: list[str] = []


def detector(argument: str = "") -> None:
    """Stand-in for code that a graph must not call."""
    CALLED.append(argument)


def about(graph: Path, **values: object) -> Path:
    return change(graph, header=lambda header: header["about"].update(values))


@pytest.fixture
def related(related_run, tmp_path) -> Path:
    """Copy of a run with an appearance model."""
    return shutil.copy(related_run / "graph.zip", tmp_path / "graph.zip")


COMMANDS = {
    "view": ["--no-pictures", "--explained", "1"],
    "explain": ["--frame", "1", "--object", "0"],
    "solve": ["--output", "solved"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "named",
    [
        "tests.cli.test_recorded.detector:now",
        "tests.cli.test_recorded.detector",
        "os.system:touch ran",
        "tltm_graph.models.model_for_tracking:centermask-pico",
        "torchvision:maskrcnn_resnet50_fpn_v2",
        "transformers:facebook/mask2former",
        "oracle:tracks.json",
        "precomputed:detections.json",
        "tltm:",
        "tltm:..",
        "tltm:../model.safetensors",
        "tltm:/etc/passwd",
        "tltm:.\\model",
        "tltm:C:model",
        "tltm:x\n\x1b[2J",
        "TLTM:centermask-pico",
        "",
    ],
)
def test_a_graph_runs_nothing_that_it_names(related, tmp_path, monkeypatch, capsys, command, named):
    monkeypatch.chdir(tmp_path)
    about(related, detector=named)
    assert main([command, str(related), *COMMANDS[command]]) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error: Expected ")
    assert "--weights" in message or "'detector' as a text" in message
    assert "\x1b" not in message
    assert CALLED == []
    assert [path.name for path in tmp_path.iterdir()] == ["graph.zip"]


def test_the_words_of_the_user_are_followed(related, capsys):
    about(related, detector="os.system:true")
    explain = ["explain", str(related), *COMMANDS["explain"]]
    assert main([*explain, "--weights", f"tltm:{TINY}"]) == 0
    assert "appearance\n" in capsys.readouterr().out
    assert main([*explain, "--weights", "tests.cli.test_recorded.detector:mine"]) == 1
    assert CALLED.pop() == "mine"
    assert "got a NoneType: inherit from" in capsys.readouterr().err
    assert main([*explain, "--weights", "tltm:centermask-pico"]) == 1
    assert "a trained appearance model" in capsys.readouterr().err


@pytest.mark.parametrize("channels", [None, 7])
def test_embeddings_of_another_model_are_refused(related, capsys, channels):
    def narrow(tensors):
        if channels is None:
            del tensors["current.embeddings"]
        else:
            tensors["current.embeddings"] = tensors["current.embeddings"][:, :channels]

    change(related, tensors=narrow)
    assert main(["explain", str(related), *COMMANDS["explain"], "--weights", f"tltm:{TINY}"]) == 1
    assert f"Expected embeddings of 128 channels in '{related}'" in (error := capsys.readouterr().err)
    assert f"got {channels}: name the model of the run" in error


def test_a_model_beside_the_graph_is_read_without_its_options(related, tmp_path, capsys):
    for path in Path(TINY).parent.glob(f"{Path(TINY).stem}*"):
        shutil.copy(path, tmp_path)
    about(related, detector=f"tltm:{Path(TINY).name}?weights=/etc/passwd&backend=nonsense&device=cuda")
    assert main(["explain", str(related), *COMMANDS["explain"]]) == 0
    assert "appearance\n" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_a_link_beside_the_graph_leads_nowhere_else(related, tmp_path, capsys, suffix):
    other = tmp_path / "other"
    other.mkdir()
    for ending in (".safetensors", ".json"):
        source = Path(TINY).with_suffix(ending)
        if ending == suffix:
            shutil.copy(source, other / f"model{ending}")
            (tmp_path / f"model{ending}").symlink_to(other / f"model{ending}")
        else:
            shutil.copy(source, tmp_path / f"model{ending}")
    about(related, detector="tltm:model.safetensors")
    assert main(["explain", str(related), *COMMANDS["explain"]]) == 1
    assert "leads out of the folder" in capsys.readouterr().err


def test_code_in_a_checkpoint_beside_the_graph_is_not_run(related, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pth").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    about(related, detector="tltm:model.pth")
    assert main(["explain", str(related), *COMMANDS["explain"]]) == 1
    assert "it asks for 'os.system'" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("command", [["view", "--explained", "0"], ["draw"], ["explain", *COMMANDS["explain"]]])
@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("http://127.0.0.1:PORT/clip.mp4", "may not name an address"),
        ("http:/127.0.0.1:PORT/clip.mp4", "may not name an address"),
        ("HTTP://127.0.0.1:PORT/clip.mp4", "may not name an address"),
        ("rtsp://127.0.0.1:PORT/x", "may not name an address"),
        ("udp://127.0.0.1:PORT", "may not name an address"),
        ("concat:a.mp4|b.mp4", "may not name an address"),
        ("file:clip.mp4", "may not name an address"),
        ("//server/share/clip.mp4", "may not name an address"),
        ("\\\\server\\share\\clip.mp4", "may not name an address"),
        ("0", "no such file"),
        ("/dev/video0", "no such file"),
        ("/dev/zero", "is no regular file"),
        ("pipe", "is no regular file"),
        ("folder", "is no regular file"),
        ("folder/*.png", "is no regular file"),
        ("*/**/*.png", "no such file"),
        ("/*/*/*.jpg", "no such file"),
        ("remote.m3u8", "Expected a readable video"),
        ("remote.mp4", "Expected a readable video"),
        ("list.ffconcat", "Expected a readable video"),
        ("words.txt", "Expected a readable video"),
        (None, "it names none"),
    ],
)
def test_a_graph_opens_no_address_device_or_pipe(run, tmp_path, monkeypatch, capsys, command, named, message):
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *args):
            pass

    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("folder").mkdir()
    os.mkfifo("folder/0.png")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        port = str(server.server_port)
        address = f"http://127.0.0.1:{port}/clip.mp4"
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.5,\n{address}\n#EXT-X-ENDLIST\n"
        Path("remote.m3u8").write_text(playlist)
        Path("remote.mp4").write_text(playlist)
        Path("list.ffconcat").write_text(f"ffconcat version 1.0\nfile {address}\n")
        Path("words.txt").write_text("secret")
        graph = shutil.copy(run / "graph.zip", tmp_path / "graph.zip")
        about(graph, source=None if named is None else named.replace("PORT", port))
        extra = ["--picture", "p.png"] if command[0] == "explain" else []
        before = set(tmp_path.iterdir())
        assert main([command[0], str(graph), *command[1:], *extra]) == 1
        server.shutdown()
        thread.join()
    assert message in capsys.readouterr().err
    assert asked == []
    assert set(tmp_path.iterdir()) == before


def test_a_local_video_that_a_graph_names_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["render", "--output", "data", "--videos", "1", "--frames", "3", "--size", "48", "80"]) == 0
    (folder,) = Path("data/JPEGImages").iterdir()
    for number, source in enumerate((folder, f"{folder}/*.jpg")):
        out = f"out{number}"
        options = ["--detector", "tltm:centermask-pico", "--no-overlay", "--save-graph"]
        assert main(["track", "--source", str(source), "--output", out, *options]) == 0
        assert main(["view", out, "--explained", "0"]) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("solver", "none"),
        ("solver", ["hungarian"]),
        ("solver", None),
        ("manager", {"motion": {}}),
        ("manager", {"min_hits": "2"}),
        ("manager", {"min_hits": 1e30}),
        ("manager", {"new_track_threshold": float("nan")}),
        ("manager", {"max_time_since_update": True}),
        ("manager", {"unknown": 1}),
        ("manager", []),
        ("seed", -1),
        ("seed", 2**70),
        ("seed", "0"),
        ("seed", 0.5),
        ("fps", float("inf")),
        ("fps", 0),
        ("fps", "25"),
        ("fps", True),
        ("related", "yes"),
        ("source", 5),
        ("source", "a" * 5000),
        ("source", "a\0b"),
        ("detector", None),
        ("detector", "a" * 5000),
    ],
)
def test_settings_of_another_type_or_range(name, value):
    valid = {"solver": "hungarian", "detector": "oracle", "source": "shapes", "fps": 25.0, "manager": {"min_hits": 3}}
    settings = RunSettings.read(valid, Path("graph.zip"))
    assert (settings.solver, settings.seed, settings.manager) == ("hungarian", 0, {"min_hits": 3})
    with pytest.raises(ValueError, match=rf"^Expected .*'{name}'.* 'header.json' of 'graph.zip', got"):
        RunSettings.read({**valid, name: value}, Path("graph.zip"))


def test_a_long_rendered_scene_is_refused(run, tmp_path, capsys):
    graph = shutil.copy(run / "graph.zip", tmp_path / "graph.zip")

    def later(index):
        index["parts"][-1]["frames"][-1] = 100_000

    change(graph, index=later)
    assert main(["mistakes", str(graph)]) == 1
    assert "Expected frames of a rendered scene, from 0 to 149, got frame 100000" in capsys.readouterr().err


def test_names_are_printed_without_control_characters(run, tmp_path, capsys):
    graph = shutil.copy(run / "graph.zip", tmp_path / "graph.zip")

    def rename(header):
        header["class_names"] = [f"\x1b[2J{name}\n\u202e" for name in header["class_names"]]

    change(graph, header=rename)
    assert main(["solve", str(graph), "--output", str(tmp_path / "solved"), "--max-time-since-update", "0"]) == 0
    capsys.readouterr()
    for arguments in (
        ["explain", str(graph)],
        ["explain", str(graph), "--frame", "2", "--object", "0"],
        ["diff", str(graph), str(tmp_path / "solved")],
        ["mistakes", str(tmp_path / "solved")],
    ):
        assert main(arguments) == 0
        printed = capsys.readouterr().out
        assert "\\x1b[2J" in printed
        assert all(one.isprintable() or one == "\n" for one in printed)
