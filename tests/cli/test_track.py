import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cases import contents
from tests.cli.cases import files
from tltm_graph import Detections, MovingShapes, SavedGraph, Tracker, __version__, read_frames
from tltm_graph.cli import main, running
from tltm_graph.detectors import Detector
from tltm_graph.explanation import association_graph
from tltm_graph.formats import COCO, TrackWriter
from tltm_graph.formats.youtube_vis_results import read_tracks
from tltm_graph.io import VideoWriter
from tltm_graph.io.output import write_atomically, write_together
from tltm_graph.ops.rle import decode_rle

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "docs" / "clips" / "dog_person.mp4"


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """A clip of 12 frames with its true tracks and detections beside it."""
    folder = tmp_path_factory.mktemp("clip")
    scene = MovingShapes(12, (96, 128), num_objects=3, seed=4)
    with VideoWriter(folder / "clip.mp4", 25) as clip, TrackWriter(folder / "truth.json") as truth:
        for frame in scene:
            clip.write(frame.image)
            truth.write(frame.index, scene.truth(frame.index))
    entries = [
        {"height": 96, "width": 128, "m": [{"category": "shape", "score": 0.9, "bbox": [10 + t, 10, 30, 30]}]}
        for t in range(12)
    ]
    (folder / "detections.json").write_text(json.dumps(entries))
    return folder / "clip.mp4"


def test_everything_is_written(video, tmp_path, capsys):
    out = tmp_path / "out"
    oracle = f"oracle:{video.parent}/truth.json"
    options = ["--save-graph", "--seed", "3", "--device", "cpu"]
    status = main(["track", "--source", str(video), "--detector", oracle, "--output", str(out), *options])
    assert status == 0
    assert files(out) == {"tracks.json", "overlay.mp4", "run.json", "graph.zip", "graph.png"}
    assert "12 frames" in capsys.readouterr().out
    overlay = list(read_frames(out / "overlay.mp4"))
    assert len(overlay) == 12
    assert overlay[0].size == (96, 128)
    tracks, truth = read_tracks(out / "tracks.json"), read_tracks(video.parent / "truth.json")
    assert [t.frames for t in tracks.values()] == [t.frames for t in truth.values()]
    graph = association_graph(SavedGraph(out / "graph.zip"))
    assert graph.number_of_nodes() == sum(map(len, truth.values()))
    run = json.loads((out / "run.json").read_text())
    assert run["settings"]["seed"] == 3
    assert run["versions"]["tltm-graph"] == __version__
    assert set(run["milliseconds"]) >= {"read", "detect", "graph", "score", "solve", "update", "draw", "write"}
    assert all(stage["p50"] <= stage["p95"] for stage in run["milliseconds"].values())


@pytest.mark.slow
def test_a_rendered_scene_is_scored(tmp_path, capsys):
    assert main(["track", "--source", "shapes", "--output", str(tmp_path / "a"), "--max-frames", "15"]) == 0
    assert "objects followed by one id" in capsys.readouterr().out
    assert files(tmp_path / "a") == {"tracks.json", "overlay.mp4", "run.json"}
    assert [frame.size for frame in read_frames(tmp_path / "a/overlay.mp4")] == 15 * [(360, 640)]
    run = json.loads((tmp_path / "a/run.json").read_text())
    assert run["settings"]["detector"] == "oracle"
    assert run["scores"]["recall"] > 0.5
    main(["track", "--source", "shapes", "--output", str(tmp_path / "b"), "--max-frames", "15", "--no-overlay"])
    assert files(tmp_path / "b") == {"tracks.json", "run.json"}
    assert (tmp_path / "a/tracks.json").read_text() == (tmp_path / "b/tracks.json").read_text()


def test_an_easy_scene_by_its_truth(tmp_path):
    arguments = ["track", "--source", "shapes", "--detector", "oracle", "--max-frames", "10", "--output", str(tmp_path)]
    assert main(arguments) == 0
    assert {frame.size for frame in read_frames(tmp_path / "overlay.mp4")} == {(360, 640)}
    run = json.loads((tmp_path / "run.json").read_text())
    assert "appearance=None" in run["tracker"]
    assert run["scores"]["recall"] == run["scores"]["whole_share"] == 1


@pytest.mark.parametrize("solver", ["greedy", "argmax"])
def test_solvers(video, tmp_path, solver):
    arguments = ["track", "--source", str(video), "--detector", f"precomputed:{video.parent}/detections.json"]
    assert main([*arguments, "--solver", solver, "--output", str(tmp_path), "--no-overlay"]) == 0
    assert len(read_tracks(tmp_path / "tracks.json", (96, 128))) == 1


def test_a_folder_equals_its_video(video, tmp_path):
    """The same pictures give the same tracks, whatever they come in."""
    (tmp_path / "frames").mkdir()
    for frame in read_frames(video):
        Image.fromarray(frame.image.numpy().transpose(1, 2, 0)).save(tmp_path / f"frames/{frame.index}.png")
    detector = f"oracle:{video.parent}/truth.json?jitter=0.1"
    for name, source in (("a", video), ("b", tmp_path / "frames")):
        main(
            ["track", "--source", str(source), "--detector", detector, "--output", str(tmp_path / name), "--no-overlay"]
        )
    assert (tmp_path / "a/tracks.json").read_text() == (tmp_path / "b/tracks.json").read_text()


def wrong(tmp_path, capsys, *arguments: str) -> str:
    """Runs what must fail; returns its one line."""
    out = tmp_path / "deep" / "out"
    assert main(["track", "--source", "shapes", "--output", str(out), *arguments]) == 1
    captured = capsys.readouterr()
    lines = [line for line in captured.err.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    assert not (tmp_path / "deep").exists(), "nothing half-written is left"
    return lines[0]


def test_bad_sources(video, tmp_path, capsys):
    oracle = f"oracle:{video.parent}/truth.json"
    assert "found nothing at" in wrong(tmp_path, capsys, "--source", "missing.mp4", "--detector", oracle)
    (tmp_path / "empty").mkdir()
    assert "Expected images" in wrong(tmp_path, capsys, "--source", str(tmp_path / "empty"), "--detector", oracle)
    sizes = tmp_path / "sizes"
    sizes.mkdir()
    for t, size in enumerate([(96, 128), (96, 128), (90, 128)]):
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(sizes / f"{t}.png")
    assert "got 90×128" in wrong(tmp_path, capsys, "--source", str(sizes), "--detector", oracle)


def test_bad_detections(video, tmp_path, capsys):
    def detected(**changes) -> str:
        entries = json.loads((video.parent / "detections.json").read_text())
        entries[7]["m"][0].update(changes)
        (tmp_path / "d.json").write_text(json.dumps(entries))
        return wrong(tmp_path, capsys, "--source", str(video), "--detector", f"precomputed:{tmp_path}/d.json")

    assert "finite 'scores'" in detected(score=float("nan"))
    assert "finite 'boxes'" in detected(bbox=[0, float("nan"), 3, 3])
    assert "Expected boxes in an image" in detected(bbox=[900, 0, 3, 3])

    entries = json.loads((video.parent / "detections.json").read_text())
    for name, other in (("short", entries[:5]), ("long", entries * 2)):
        (tmp_path / f"{name}.json").write_text(json.dumps(other))
        line = wrong(tmp_path, capsys, "--source", str(video), "--detector", f"precomputed:{tmp_path}/{name}.json")
        assert "for 12 frames" in line
        assert "another video" in line
    (tmp_path / "big.json").write_text(json.dumps([{**entry, "height": 999} for entry in entries]))
    line = wrong(tmp_path, capsys, "--source", str(video), "--detector", f"precomputed:{tmp_path}/big.json")
    assert "has them for 999×128" in line


def test_bad_names_and_folders(video, tmp_path, capsys):
    assert "got 'magic'" in wrong(tmp_path, capsys, "--source", str(video), "--detector", "magic")
    unknown = wrong(tmp_path, capsys, "--source", str(video), "--detector", "tltm:magic")
    assert "one of ['centermask-pico', 'tltm-pico'], found no file 'magic'" in unknown
    assert "got 'tpu'" in wrong(tmp_path, capsys, "--device", "tpu")
    with pytest.raises(SystemExit) as stop:
        main(["track", "--source", "shapes", "--solver", "magic"])
    assert stop.value.code == 2
    assert "invalid choice: 'magic'" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["track", "--source", "shapes", "--output", str(tmp_path / "file" / "out")]) == 1
    message = f"error: Expected a folder to write to for '{tmp_path}/file/out/tracks.json', got: Not a directory"
    assert message in capsys.readouterr().err


def test_inputs_are_not_written_over(video, tmp_path, capsys):
    out = tmp_path / "out"
    oracle = f"oracle:{video.parent}/truth.json"
    assert main(["track", "--source", str(video), "--detector", oracle, "--output", str(out)]) == 0
    before = contents(out)
    capsys.readouterr()
    for source, detector in ((out / "overlay.mp4", oracle), (video, f"oracle:{out}/tracks.json")):
        for more in ([], ["--overwrite"]):
            assert main(["track", "--source", str(source), "--detector", detector, "--output", str(out), *more]) == 1
            error = capsys.readouterr().err
            assert "error: Expected an output that is not an input, got " in error
            assert "tracking" not in error, "before the work"
    assert contents(out) == before


@pytest.mark.slow
def test_a_file_of_an_older_run_that_is_the_input_stays(video, tmp_path):
    """Without an overlay, the overlay of the older run would be removed."""
    out = tmp_path / "out"
    oracle = f"oracle:{video.parent}/truth.json"
    assert main(["track", "--source", str(video), "--detector", oracle, "--output", str(out)]) == 0
    overlay = (out / "overlay.mp4").read_bytes()
    arguments = ["--source", str(out / "overlay.mp4"), "--detector", oracle, "--output", str(out), "--no-overlay"]
    assert main(["track", *arguments]) == 0
    assert files(out) == {"tracks.json", "overlay.mp4", "run.json"}
    assert (out / "overlay.mp4").read_bytes() == overlay


class Stumbling(Detector):
    """A detector of somebody's own, with a mistake in it."""

    class_names = None

    def detect(self, frame, context=None):
        return {}["boxes"]


def test_an_error_in_the_detector_of_the_user(video, tmp_path, capsys):
    line = wrong(tmp_path, capsys, "--source", str(video), "--detector", "tests.cli.test_track.Stumbling")
    assert "KeyError: 'boxes' (in " in line
    assert "test_track.py, line" in line
    assert "Expected a source, got an empty name" in wrong(tmp_path, capsys, "--source", "")


def test_a_truncated_video_still_gives_its_tracks(tmp_path, capsys):
    scene = MovingShapes(40, (120, 160), seed=1)
    with VideoWriter(tmp_path / "whole.mp4") as clip, TrackWriter(tmp_path / "truth.json") as truth:
        for frame in scene:
            clip.write(frame.image)
            truth.write(frame.index, scene.truth(frame.index))
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "broken.mp4").write_bytes(data[: len(data) * 2 // 3])
    detector = f"oracle:{tmp_path}/truth.json"
    out = tmp_path / "out"
    status = main(["track", "--source", str(tmp_path / "broken.mp4"), "--detector", detector, "--output", str(out)])
    assert status == 0
    assert "warning: " in capsys.readouterr().err
    tracks = read_tracks(out / "tracks.json")
    assert 5 < tracks.num_frames < 40
    assert len(list(read_frames(out / "overlay.mp4"))) == tracks.num_frames


@pytest.mark.slow
def test_ctrl_c_leaves_valid_files(tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "experiments/run_vis.py", "--source", "shapes", "--output", str(out), "--save-graph"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(out.glob(".run*/.overlay*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    assert files(out) == {path.name for path in out.glob(".run*")}, "all files appear at the end"
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=120)
    assert process.returncode in (130, 143), error  # two signals at once arrive in any order
    assert "Traceback" not in error
    assert files(out) == {"tracks.json", "overlay.mp4", "run.json", "graph.zip", "graph.png"}
    run = json.loads((out / "run.json").read_text())
    assert run["interrupted"] == signal.Signals(process.returncode - 128).name
    assert 0 < run["frames"] < 150
    assert len(list(read_frames(out / "overlay.mp4"))) == run["frames"] == read_tracks(out / "tracks.json").num_frames


SIGNALS = [name for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)]


class Signalled(Detector):
    """Detector of one box, whose process gets signals in one of the frames."""

    class_names = None

    def __init__(self, name: str, frame: int = 2, times: int = 1) -> None:
        self.number, self.frame, self.times = signal.Signals[name], frame, times
        if frame < 0:
            signal.raise_signal(self.number)

    def detect(self, frame, context=None):
        for _ in range(self.times if frame.index == self.frame else 0):
            signal.raise_signal(self.number)
        return Detections(torch.tensor([[10.0, 10, 40, 30]]), torch.tensor([0.9]), torch.tensor([0])), None


def track_signalled(video: Path, out: Path, options: str) -> int:
    """Track the video with a detector that gets signals; returns the exit status."""
    detector = f"tests.cli.test_track.Signalled:{options}"
    return main(["track", "--source", str(video), "--detector", detector, "--output", str(out), "--no-overlay"])


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_ends_the_video_at_the_current_frame(video, tmp_path, capfd, name, times):
    handlers = {number: signal.getsignal(number) for number in map(signal.Signals.__getitem__, SIGNALS)}
    status = track_signalled(video, tmp_path / "out", f"{name}?times={times}")
    assert status == 128 + signal.Signals[name]
    assert capfd.readouterr().err.count("interrupted: finishing this frame and closing the files\n") == 1
    assert files(tmp_path / "out") == {"tracks.json", "run.json"}
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (run["interrupted"], run["frames"]) == (name, 3)
    assert read_tracks(tmp_path / "out" / "tracks.json", (96, 128)).num_frames == 3
    assert {number: signal.getsignal(number) for number in handlers} == handlers


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("place", ["detector", "start"])
def test_a_signal_before_the_first_frame(video, tmp_path, capfd, monkeypatch, name, place):
    def start(tracker: Tracker):
        signal.raise_signal(signal.Signals[name])
        return before(tracker)

    before = Tracker.start
    if place == "start":
        monkeypatch.setattr(Tracker, "start", start)
    status = track_signalled(video, tmp_path / "out", f"{name}?frame={-1 if place == 'detector' else 99}")
    assert status == 128 + signal.Signals[name]
    captured = capfd.readouterr()
    assert [line for line in captured.err.splitlines() if "error" in line] == ["error: interrupted"]
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_signal_after_two_seconds_ends_the_command_at_once(video, tmp_path, capfd, monkeypatch):
    out = tmp_path / "out"
    assert track_signalled(video, out, "SIGTERM?frame=99") == 0
    before = contents(out)
    monkeypatch.setattr(running, "_REPEATED", 0.0)
    for folder in (out, tmp_path / "new"):
        assert track_signalled(video, folder, "SIGTERM?times=2") == 143
        assert capfd.readouterr().err.endswith("error: interrupted\n")
    assert contents(out) == before
    assert files(tmp_path) == {"out"}


@pytest.mark.skipif("SIGHUP" not in SIGNALS, reason="Windows has no SIGHUP")
def test_a_signal_that_nohup_ignores(video, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert track_signalled(video, tmp_path, "SIGHUP?times=2") == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["interrupted"], run["frames"]) == (None, 12)


@pytest.mark.slow
def test_a_new_run_removes_the_files_of_the_old_one_only(video, tmp_path):
    arguments = ["track", "--source", str(video), "--detector", f"oracle:{video.parent}/truth.json"]
    arguments += ["--output", str(tmp_path), "--max-frames", "2", "--no-overlay"]
    assert main([*arguments, "--save-graph"]) == 0
    assert files(tmp_path) == {"tracks.json", "run.json", "graph.zip", "graph.png"}
    (tmp_path / "thesis.txt").write_text("theirs")
    (tmp_path / "graph.png").write_text("theirs, under the name of ours")
    with write_atomically(tmp_path / "graph.html") as page:
        page.write_text("of the command view")
    with write_together(tmp_path, "scores") as folder:
        (folder / "scores.json").write_text("of the command evaluate")
    kept = {name: contents(tmp_path)[name] for name in ("thesis.txt", "graph.png", "graph.html", "scores.json")}
    assert main(arguments) == 0
    assert files(tmp_path) == {"tracks.json", "run.json", *kept}
    assert contents(tmp_path).items() >= kept.items()


@pytest.mark.parametrize("kind", ["file", "link"])
@pytest.mark.parametrize("name", ["tracks.json", "run.json"])
def test_files_of_another_origin_are_replaced_on_request_alone(video, tmp_path, capsys, name, kind):
    (tmp_path / "theirs.txt").write_text("theirs")
    out = tmp_path / "out"
    out.mkdir()
    if kind == "file":
        (out / name).write_text("theirs")
    else:
        (out / name).symlink_to(tmp_path / "theirs.txt")
    before = contents(tmp_path)
    arguments = ["track", "--source", str(video), "--detector", "tests.cli.test_track.Signalled:SIGTERM?frame=9"]
    arguments += ["--max-frames", "2", "--no-overlay"]
    assert main([*arguments, "--output", str(out)]) == 1
    error = capsys.readouterr().err
    assert f"{name}' of another origin" in error if kind == "file" else "got a symbolic link of that name" in error
    assert "tracking" not in error, "before the work"
    assert contents(tmp_path) == before
    assert main([*arguments, "--output", str(out), "--overwrite"]) == 0
    assert read_tracks(out / "tracks.json", (96, 128)).num_frames == 2
    assert (tmp_path / "theirs.txt").read_text() == "theirs"
    assert main([*arguments, "--output", str(out)]) == 0, "they are of the package now"


MY_DETECTOR = """
import torch
from tltm_graph import Detections, Detector

class Mine(Detector):
    class_names = None

    def detect(self, frame, context=None):
        return Detections(torch.tensor([[10.0, 10, 40, 30]]), torch.tensor([0.9]), torch.tensor([0])), None
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["script", "module"])
@pytest.mark.parametrize("detector", ["my_detector.Mine", "oracle"])
def test_files_named_like_packages_are_not_executed(tmp_path, way, detector):
    traps = ["pyg_lib", "torch_scatter", "torch_sparse", "torch_cluster", "openvino", "matplotlib", "supervision", "av"]
    if way == "script":  # with -m, Python itself searches the working folder for the modules of the first imports
        traps.append("json")
    for name in traps:
        (tmp_path / f"{name}.py").write_text(f"open('executed {name}', 'w')\n")
    (tmp_path / "my_detector.py").write_text(MY_DETECTOR)
    script = Path(sys.executable).with_name("tltm-graph")
    command = [str(script)] if way == "script" else [sys.executable, "-m", "tltm_graph.cli"]
    arguments = ["track", "--source", "shapes", "--detector", detector, "--max-frames", "2", "--save-graph"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert not list(tmp_path.glob("executed*"))
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "out" / "track") == {"tracks.json", "overlay.mp4", "run.json", "graph.zip", "graph.png"}


PLAIN = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from tltm_graph.cli import main

sys.exit(main({arguments!r}))
"""


def without(missing: list[str], *arguments: str) -> subprocess.CompletedProcess:
    """Run a command on an installation that lacks packages of the extra ``viz``."""
    code = PLAIN.format(missing=missing, arguments=list(arguments))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)


@pytest.mark.slow
def test_a_plain_installation_tracks_without_overlay(tmp_path):
    missing = ["supervision", "matplotlib"]
    arguments = ["track", "--source", "shapes", "--max-frames", "3", "--output", str(tmp_path / "out")]
    done = without(missing, *arguments, "--save-graph")
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "out") == {"tracks.json", "run.json", "graph.zip"}
    for name, package in (("overlay.mp4", "supervision"), ("graph.png", "matplotlib")):
        assert f"warning: {name} is not written: Expected '{package}'" in done.stderr
    assert "'tltm-graph[viz]'" in done.stderr
    other = [*arguments[:-1], str(tmp_path / "c")]
    assert "warning" not in without(missing, *other, "--no-overlay").stderr
    done = without(
        ["openvino"], "track", "--source", str(CLIP), "--backend", "openvino", "--output", str(tmp_path / "b")
    )
    assert done.returncode == 1
    assert "error: Expected 'openvino' for the backend 'openvino', found none" in done.stderr
    assert "'tltm-graph[openvino]'" in done.stderr
    done = without(missing, "view", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    done = without(["supervision"], "draw", str(tmp_path / "out"))
    assert "error: Expected 'supervision'" in done.stderr


@pytest.mark.slow
def test_importing_the_package_warns_of_nothing():
    done = subprocess.run(
        [sys.executable, "-c", "from tltm_graph import Tracker, TLTM"], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    """Run of the model in the package on the first frames of a real video."""
    out = tmp_path_factory.mktemp("real")
    assert main(["track", "--source", str(CLIP), "--max-frames", "12", "--output", str(out)]) == 0
    return out


@pytest.mark.slow
def test_a_real_video_is_tracked_by_default(real):
    run = json.loads((real / "run.json").read_text())
    assert run["settings"]["detector"] == "tltm:tltm-pico"
    assert files(real) == {"tracks.json", "overlay.mp4", "run.json"}
    tracks = read_tracks(real / "tracks.json")
    whole = {COCO[track.label]: track for track in tracks.values() if len(track) > 9}
    assert whole.keys() == {"person", "dog"}
    assert min(tracks) == 1, "ids count from 1"
    for track in whole.values():
        for box, rle in zip(track.boxes, track.masks, strict=True):
            area = (box[2] - box[0]) * (box[3] - box[1])
            assert 0.2 < decode_rle([rle], (480, 854)).sum() / area < 0.95


@pytest.mark.slow
def test_only_some_classes(real, tmp_path, capsys):
    arguments = ["track", "--source", str(CLIP), "--max-frames", "12", "--output", str(tmp_path), "--no-overlay"]
    assert main([*arguments, "--classes", "dog", "cat"]) == 0
    dogs, everything = read_tracks(tmp_path / "tracks.json"), read_tracks(real / "tracks.json")
    assert {track.label for track in dogs.values()} == {COCO.index("dog")}
    assert max(map(len, dogs.values())) == max(len(t) for t in everything.values() if t.label == COCO.index("dog"))
    assert main([*arguments, "--classes", "dog", "unicorn"]) == 1
    assert "Expected classes among person, bicycle" in capsys.readouterr().err


@pytest.mark.slow
def test_openvino_gives_the_same_tracks(real, tmp_path, video, capsys):
    pytest.importorskip("tltm_graph.detectors.centermask.openvino_backend", exc_type=ImportError)
    arguments = ["track", "--source", str(CLIP), "--max-frames", "12", "--backend", "openvino", "--no-overlay"]
    assert main([*arguments, "--output", str(tmp_path)]) == 0
    ours, theirs = read_tracks(tmp_path / "tracks.json"), read_tracks(real / "tracks.json")
    assert ours.keys() == theirs.keys()
    for track_id, track in ours.items():
        assert track.frames == theirs[track_id].frames
        assert np.abs(np.array(track.boxes) - np.array(theirs[track_id].boxes)).max() < 1e-2
    line = wrong(tmp_path, capsys, "--source", str(video), "--detector", "oracle", "--backend", "openvino")
    assert "Expected a detector tltm:WEIGHTS for --backend openvino, got 'oracle'" in line
    twice = "tltm:centermask-pico?backend=torch"
    line = wrong(tmp_path, capsys, "--source", str(video), "--detector", twice, "--backend", "openvino")
    assert "Expected one backend, got --backend openvino and another in" in line


@pytest.mark.slow
def test_fusion_and_appearance_can_be_switched_off(real, tmp_path):
    arguments = ["track", "--source", str(CLIP), "--max-frames", "4", "--no-overlay", "--output"]
    for option in ("fusion", "appearance"):
        assert main([*arguments, str(tmp_path / option), f"--no-{option}"]) == 0
        run = json.loads((tmp_path / option / "run.json").read_text())
        assert run["settings"][option] is False
        assert ("with ResFuser" in run["tracker"]) == (option != "fusion")
        assert ("appearance=None" in run["tracker"]) == (option == "appearance")
    with_both = json.loads((real / "run.json").read_text())["tracker"]
    assert "with ResFuser" in with_both
    assert "appearance=TLTM" in with_both


def test_nothing_to_switch_off(video, tmp_path, capsys):
    for option in ("fusion", "appearance"):
        line = wrong(tmp_path, capsys, "--source", str(video), "--detector", "oracle", f"--no-{option}")
        assert f"Expected a detector tltm:WEIGHTS for --no-{option}, got 'oracle'" in line


@pytest.mark.slow
@pytest.mark.parametrize("size", [(16, 16), (90, 40), (33, 4000)])
def test_frames_of_any_size(tmp_path, size):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(2):
        Image.fromarray(np.full(size, 100 + i, dtype=np.uint8)).save(pictures / f"{i}.png")  # grey
    assert main(["track", "--source", str(pictures), "--output", str(tmp_path / "out")]) == 0
    assert files(tmp_path / "out") == {"tracks.json", "overlay.mp4", "run.json"}


@pytest.mark.slow
def test_a_video_of_nothing_known(tmp_path, capsys):
    pictures = np.zeros((3, 60, 80, 3), dtype=np.uint8)
    with VideoWriter(tmp_path / "black.mp4") as writer:
        for picture in pictures:
            writer.write(torch.from_numpy(picture).permute(2, 0, 1))
    detector = "tltm:centermask-pico?score_threshold=0.9"
    arguments = ["--source", str(tmp_path / "black.mp4"), "--detector", detector, "--output", str(tmp_path / "out")]
    assert main(["track", *arguments]) == 0
    assert main(["track", *arguments, "--classes", "toaster"]) == 0
    line, toasters = [line for line in capsys.readouterr().out.splitlines() if line.startswith("no object")]
    assert float(re.search(r"0\.\d\d", toasters)[0]) <= float(re.search(r"0\.\d\d", line)[0])
    assert re.fullmatch(r"no object was detected: best score 0\.\d\d, threshold 0\.9", line)


def test_detections_too_weak_to_start_a_track(video, tmp_path, capsys):
    image = {"height": 96, "width": 128}
    found = [[{"category": "shape", "score": 0.12 - 0.01 * (i % 2), "bbox": [10, 10, 30, 30]}] for i in range(12)]
    for name, objects in (("weak", found), ("none", [[]] * 12)):
        entries = [image | {"m": rows} for rows in objects]
        (tmp_path / f"{name}.json").write_text(json.dumps(entries))
        detector = f"precomputed:{tmp_path}/{name}.json"
        arguments = ["track", "--source", str(video), "--detector", detector, "--output", str(tmp_path / name)]
        assert main([*arguments, "--no-overlay"]) == 0
    weak, none = [line for line in capsys.readouterr().out.splitlines() if line.startswith("no ")]
    assert weak == "no track was started: the best score of a detection was 0.12, threshold 0.3"
    assert none.startswith("no object was detected: lower the detector's score_threshold")


@pytest.mark.parametrize(
    ("option", "value"), [("trail", "-1"), ("seed", "-1"), ("seed", "9" * 30), ("seed", "9" * 400)]
)
def test_numbers_that_are_not_valid(video, tmp_path, capsys, option, value):
    line = wrong(tmp_path, capsys, "--source", str(video), f"--{option}", value)
    assert f"Expected a finite number {'of at least 0' if option == 'trail' else 'from 0 to 9.22337e+18'}" in line
    assert f"for --{option}, got {value}" in line
