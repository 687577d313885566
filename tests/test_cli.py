import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.commands.cases import scenes, video_set, write_videos
from tltm_graph import MovingShapes, SavedGraph, __version__, read_frames
from tltm_graph.cli import evaluate as cli_evaluate
from tltm_graph.cli import formats as cli_formats
from tltm_graph.cli import main
from tltm_graph.detectors import Detector
from tltm_graph.explanation import association_graph
from tltm_graph.formats import FORMATS, TrackWriter, open_videos, read_tracks
from tltm_graph.io import VideoWriter
from tltm_graph.metrics import FAMILIES, ORACLES, RULES

ROOT = Path(__file__).parents[1]


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


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


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
    assert set(run["milliseconds"]) >= {"read", "detect", "graph", "associate", "remember", "draw", "write"}
    assert all(stage["p50"] <= stage["p95"] for stage in run["milliseconds"].values())


def test_the_demo_scores_itself(tmp_path, capsys):
    assert main(["track", "--output", str(tmp_path / "a"), "--max-frames", "15"]) == 0
    assert "objects followed by one id" in capsys.readouterr().out
    assert files(tmp_path / "a") == {"tracks.json", "overlay.mp4", "run.json"}
    assert [frame.size for frame in read_frames(tmp_path / "a/overlay.mp4")] == 15 * [(192, 320)]
    run = json.loads((tmp_path / "a/run.json").read_text())
    assert run["settings"]["detector"] == "tltm:tltm-tiny-moving-shapes"
    assert "relation=TLTM" in run["tracker"], "its relation has learned, and is used"
    assert run["scores"]["recall"] > 0.5
    main(["track", "--output", str(tmp_path / "b"), "--max-frames", "15", "--no-overlay"])
    assert files(tmp_path / "b") == {"tracks.json", "run.json"}
    assert (tmp_path / "a/tracks.json").read_text() == (tmp_path / "b/tracks.json").read_text()


def test_an_easy_scene_by_its_truth(tmp_path):
    arguments = ["track", "--detector", "oracle", "--max-frames", "10", "--output", str(tmp_path)]
    assert main(arguments) == 0
    assert {frame.size for frame in read_frames(tmp_path / "overlay.mp4")} == {(360, 640)}
    run = json.loads((tmp_path / "run.json").read_text())
    assert "relation=None" in run["tracker"]
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
    assert main(["track", "--output", str(out), *arguments]) == 1
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
    assert "one of ['tltm-tiny-moving-shapes'], found no file 'magic'" in unknown
    assert "got 'tpu'" in wrong(tmp_path, capsys, "--device", "tpu")
    with pytest.raises(SystemExit) as stop:
        main(["track", "--solver", "magic"])
    assert stop.value.code == 2
    assert "invalid choice: 'magic'" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["track", "--detector", "oracle", "--output", str(tmp_path / "file" / "out")]) == 1
    assert "error: Expected a folder to write to" in capsys.readouterr().err


def test_inputs_are_not_written_over(video, tmp_path, capsys):
    out = tmp_path / "out"
    oracle = f"oracle:{video.parent}/truth.json"
    assert main(["track", "--source", str(video), "--detector", oracle, "--output", str(out)]) == 0
    before = {path: path.read_bytes() for path in out.iterdir()}
    for source, detector in ((out / "overlay.mp4", oracle), (video, f"oracle:{out}/tracks.json")):
        assert main(["track", "--source", str(source), "--detector", detector, "--output", str(out)]) == 1
        assert "is also an input, and would be lost" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.iterdir()} == before


class Stumbling(Detector):
    """A detector of somebody's own, with a mistake in it."""

    class_names = None

    def detect(self, frame, context=None):
        return {}["boxes"]


def test_a_mistake_in_a_detector_of_ones_own(video, tmp_path, capsys):
    line = wrong(tmp_path, capsys, "--source", str(video), "--detector", "tests.test_cli.Stumbling")
    assert "KeyError: 'boxes' (in " in line
    assert "test_cli.py, line" in line
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


def test_ctrl_c_leaves_valid_files(tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "experiments/run_vis.py", "--detector", "oracle", "--output", str(out), "--save-graph"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(out.glob(".overlay*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert files(out) == {"tracks.json", "overlay.mp4", "run.json", "graph.zip", "graph.png"}
    run = json.loads((out / "run.json").read_text())
    assert run["interrupted"]
    assert 0 < run["frames"] < 150
    assert len(list(read_frames(out / "overlay.mp4"))) == run["frames"] == read_tracks(out / "tracks.json").num_frames


def test_help_is_quick_and_importing_is_light():
    code = (
        "import sys, tltm_graph, tltm_graph.cli; print([m for m in ('torch', 'av', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
    shown = subprocess.run(
        [sys.executable, "experiments/run_vis.py", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
    )
    assert shown.returncode == 0
    for option in ("--source", "--detector", "--solver", "--output", "--max-frames", "--device", "--seed"):
        assert option in shown.stdout
    heavy = "('lightning', 'supervision', 'matplotlib')"
    heavy = f"import sys, tltm_graph.tracking; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True).stdout.strip() == "[]"


# eval, convert and validate


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Path:
    """Truth and predictions for three videos."""
    folder = tmp_path_factory.mktemp("sets")
    truth, found = scenes()
    write_videos(folder / "truth.json", "youtube_vis", video_set(truth))
    write_videos(folder / "found.json", "youtube_vis_results", video_set(found))
    write_videos(folder / "found.csv", "csv", video_set(found))
    write_videos(folder / "some.csv", "csv", video_set({"a": found["a"]}))
    return folder


def failed(capsys, *arguments: object) -> str:
    """Runs what must fail; returns its one line."""
    assert main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    lines = [line for line in captured.err.replace("\r", "\n").splitlines() if line.strip() and "videos/s" not in line]
    lines = [line for line in lines if not line.startswith(("scoring:", "converting:", "looking:"))]
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("error: ")
    assert captured.out == ""
    return lines[0]


def test_eval(sets, tmp_path, capsys):
    out = tmp_path / "out"
    status = main(
        ["eval", "--truth", f"{sets}/truth.json", "--predictions", f"{sets}/found.json", "--output", str(out)]
    )
    assert status == 0
    printed = capsys.readouterr().out
    assert files(out) == {"scores.json", "scores.md"}
    report = json.loads((out / "scores.json").read_text())
    for name in ("AP", "HOTA", "MOTA", "IDF1", "EdgeF1"):
        assert f"{100 * report['scores']['overall'][name]:.2f}" in printed
    for text in ("| AP ", "## By class", "## By video", f"written:\n  {out}/scores.json\n  {out}/scores.md"):
        assert text in printed
    assert (out / "scores.md").read_text().splitlines()[0] in printed


def test_eval_with_every_option(sets, tmp_path, capsys):
    arguments = f"""eval --truth {sets}/truth.json --predictions {sets}/some.csv --output {tmp_path}/out --missing skip
        --truth-format youtube_vis --predictions-format csv --metrics hota jf --on masks --rules plain --class-agnostic
        --oracle all --part train"""
    assert main(arguments.split()) == 0
    report = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert list(report["scores"]["per_video"]) == ["a"]
    assert list(report["oracles"]) == list(ORACLES)
    printed = capsys.readouterr().out
    assert all(f"| perfect {name}" in printed for name in ORACLES)
    assert "Note: 2 videos without predictions are not scored: b, c." in printed
    assert "| AP" not in printed


def test_eval_leaves_long_tables_to_the_file(sets, tmp_path, capsys):
    truth, _ = scenes(1)
    write_videos(tmp_path / "t.csv", "csv", video_set({f"v{n}": truth["a"] for n in range(41)}))
    arguments = f"eval --truth {tmp_path}/t.csv --predictions {tmp_path}/t.csv --output {tmp_path}/out --metrics clear"
    assert main(arguments.split()) == 0
    assert "## By video" not in capsys.readouterr().out
    assert "v40" in (tmp_path / "out" / "scores.md").read_text()


def test_eval_in_plain_words(sets, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    both = ("eval", "--output", out, "--truth", sets / "truth.json", "--predictions")
    assert "found nothing at" in failed(capsys, *both, sets / "none.json")
    assert "got none for 2 of them (b, c)" in failed(capsys, *both, sets / "some.csv")
    assert "Expected a format of" in failed(capsys, *both, sets / "some.csv", "--predictions-format", "magic")
    assert "'mot17' on boxes" in failed(capsys, *both, sets / "found.json", "--rules", "mot17", "--on", "masks")
    (tmp_path / "cut.json").write_text((sets / "found.json").read_text()[:-5])
    cut = failed(capsys, *both, tmp_path / "cut.json", "--predictions-format", "youtube_vis_results")
    assert "damaged or cut-off JSON" in cut
    assert not (tmp_path / "deep").exists()
    for wrong in (["--metrics", "magic"], ["--oracle", "luck"], ["--rules", "none"], ["--missing", "perhaps"]):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in (*both, sets / "found.json", *wrong)])
        assert stop.value.code == 2
        assert f"invalid choice: '{wrong[1]}'" in capsys.readouterr().err


def test_convert(sets, tmp_path, capsys):
    target = tmp_path / "new" / "tracks.csv"
    assert main(["convert", f"{sets}/found.json", str(target), "--to", "csv", "--like", f"{sets}/truth.json"]) == 0
    tracks = [video.tracks() for video in open_videos(target)]
    counts = f"{len(tracks)} videos, {sum(map(len, tracks))} tracks, "
    counts += f"{sum(len(track) for of in tracks for track in of.values())} observations"
    assert capsys.readouterr().out == f"{counts}\nwritten:\n  {target}\n"
    again = tmp_path / "dogs.json"
    options = ["--to", "youtube_vis", "--class-map", "same", "--target-classes", "dog", "--part", "train"]
    assert main(["convert", str(target), str(again), "--format", "csv", *options]) == 0
    assert open_videos(again).class_names == ("dog",)
    assert files(tmp_path) == {"new", "dogs.json"}


def test_convert_in_plain_words(sets, tmp_path, capsys):
    target = tmp_path / "deep" / "x.json"
    assert "found nothing at" in failed(capsys, "convert", "nowhere", target, "--to", "csv")
    assert "to write, got 'magic'" in failed(capsys, "convert", sets / "truth.json", target, "--to", "magic")
    assert "which is read" in failed(capsys, "convert", sets / "truth.json", sets / "truth.json", "--to", "youtube_vis")
    assert "class map of" in failed(
        capsys, "convert", sets / "truth.json", target, "--to", "csv", "--class-map", "magic"
    )
    assert not (tmp_path / "deep").exists()


def test_validate(sets, tmp_path, capsys):
    assert main(["validate", f"{sets}/truth.json"]) == 0
    assert capsys.readouterr().out.endswith("0 errors, 0 warnings\n")
    content = json.loads((sets / "truth.json").read_text())
    content["categories"].append({"id": 99, "name": "whale"})
    masks = content["annotations"][0]["segmentations"]
    frame = next(frame for frame, mask in enumerate(masks) if mask is not None)
    masks[frame]["counts"] = masks[frame]["counts"][:-1] + "1"
    (tmp_path / "bad.json").write_text(json.dumps(content))
    assert main(["validate", f"{tmp_path}/bad.json", "--output", f"{tmp_path}/problems.json"]) == 1
    printed = capsys.readouterr().out
    assert "error: video 'a': Expected runs that cover the 30×40 pixels" in printed
    assert f"frame {frame} of annotation 1" in printed
    assert "correct the file at this place" in printed
    assert "warning: No object of 1 of 4 classes (whale). To mend it: leave" in printed
    assert printed.endswith("1 error, 1 warning\n")
    assert len(json.loads((tmp_path / "problems.json").read_text())) == 2
    assert main(["validate", f"{tmp_path}/bad.json", "--most", "1"]) == 1
    assert "… and 1 more\n1 error, 1 warning\n" in capsys.readouterr().out
    assert "found nothing at" in failed(capsys, "validate", tmp_path / "none.json")
    assert "which is read" in failed(capsys, "validate", tmp_path / "bad.json", "--output", tmp_path / "bad.json")


@pytest.mark.parametrize("command", ["eval", "convert", "validate"])
def test_help_names_every_format(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    listed = {
        line.split()[0]: line.split()[1] for line in shown.split("w: written):\n")[1].split("\n\n")[0].splitlines()
    }
    assert listed == {
        name: ("r" if known.read is not None else "") + ("w" if known.write is not None else "")
        for name, known in FORMATS.items()
    }
    assert list(listed) == list(FORMATS) == list(cli_formats.FORMATS)


def test_names_on_the_command_line_are_those_of_the_metrics():
    assert cli_evaluate.FAMILIES == FAMILIES
    assert tuple(RULES) == cli_evaluate.RULES
    assert tuple(ORACLES) == cli_evaluate.ORACLES


@pytest.mark.parametrize("command", [[], ["eval"], ["convert"], ["validate"], ["render"]])
def test_help_imports_nothing_heavy(command):
    code = f"""
import sys
from tltm_graph.cli import main
try:
    main({[*command, "--help"]})
except SystemExit as stop:
    heavy = [name for name in ("torch", "numpy", "PIL", "pycocotools", "scipy", "tqdm") if name in sys.modules]
    sys.exit(f"imported {{heavy}}" if heavy else stop.code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "tltm-graph" in done.stdout


@pytest.mark.parametrize("command", ["eval", "convert"])
def test_ctrl_c_leaves_nothing_half_written(command, sets, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    out = tmp_path / "deep" / "out"
    if command == "eval":
        monkeypatch.setattr("tltm_graph.metrics.Evaluation.update", interrupted)
        arguments = [
            "eval",
            "--truth",
            f"{sets}/truth.json",
            "--predictions",
            f"{sets}/found.json",
            "--output",
            str(out),
        ]
    else:
        monkeypatch.setattr("tltm_graph.formats.csv_tracks.CsvWriter._end", interrupted)
        arguments = ["convert", f"{sets}/truth.json", str(out), "--to", "csv"]
    assert main(arguments) == 130
    assert "error: interrupted" in capsys.readouterr().err
    assert not (tmp_path / "deep").exists()
