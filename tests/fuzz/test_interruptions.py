"""Signals at random moments, and full disks: outputs are complete or not there."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases import names_in
from tests.formats.cases import as_videos, random_tracks, write_as
from tests.fuzz.isolation import Outcome, run
from tests.fuzz.seeds import FRAMES, build
from tests.training import training_runs
from tltm_graph import SavedGraph, open_videos, read_frames
from tltm_graph.formats.label_maps import read_label_map

pytestmark = pytest.mark.slow

MOMENTS = int(os.environ.get("MOMENTS", "3"))
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
VIDEOS, LENGTH = 30, 8
TRACK = "track --source shapes --max-frames 20 --output out --save-graph"


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Ground truth of many videos."""
    videos = as_videos(*(random_tracks(seed, LENGTH) for seed in range(VIDEOS)))
    return write_as(tmp_path_factory.mktemp("many"), "youtube_vis", videos)


@pytest.fixture
def folder(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    (work / "theirs.txt").write_text("theirs")
    return work


def check_run(folder: Path) -> int:
    """Check that a run is complete or not there; returns its number of frames."""
    if not (folder / "out").exists():
        return 0
    names = names_in(folder / "out")
    if names == []:
        return 0
    report = json.loads((folder / "out" / "run.json").read_text())
    assert names == sorted(report["files"])
    (video,) = open_videos(folder / "out")
    assert video.num_frames == len(SavedGraph(folder / "out")) == report["frames"]
    assert video.tracks().num_frames == report["frames"]
    assert len(list(read_frames(folder / "out" / "overlay.mp4"))) == report["frames"]
    return int(report["frames"])


def check_label_maps(folder: Path) -> int:
    """Check that all folders of label maps are complete; returns their number."""
    videos = names_in(folder / "out") if (folder / "out").exists() else []
    for video in videos:
        assert names_in(folder / "out" / video) == [f"{frame:05d}.png" for frame in range(LENGTH)]
        for frame in range(LENGTH):
            read_label_map(folder / "out" / video / f"{frame:05d}.png")
    return len(videos)


def check_scores(folder: Path) -> int:
    """Check that both reports are there or none."""
    names = names_in(folder / "out") if (folder / "out").exists() else []
    assert names in ([], ["scores.json", "scores.md"])
    if names:
        json.loads((folder / "out" / "scores.json").read_text())
    return len(names)


def nothing_temporary(folder: Path) -> None:
    assert [str(path) for path in folder.rglob("*") if ".partial" in path.name or path.suffix == ".old"] == []
    assert (folder / "theirs.txt").read_text() == "theirs"


CHECKS = {"track": check_run, "convert": check_label_maps, "eval": check_scores}


def command(name: str, many: Path) -> list[str]:
    words = {
        "track": TRACK,
        "convert": f"convert {many} out --to davis",
        "eval": f"eval --truth {many} --predictions {many} --output out",
    }
    return words[name].split()


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("name", CHECKS)
def test_a_signal_at_any_moment(folder, many, name, twice):
    whole = run(command(name, many), folder)
    assert whole.status == 0, whole.text
    complete = CHECKS[name](folder)
    assert complete
    chance = random.Random(f"{name} {twice}")
    for _ in range(MOMENTS):
        shutil.rmtree(folder / "out")
        number = chance.choice(SIGNALS)
        moment = chance.uniform(0, whole.seconds)
        times = ((moment, number), (moment + 0.01, number)) if twice else ((moment, number),)
        outcome = run(command(name, many), folder, signals=times)
        done = CHECKS[name](folder)
        nothing_temporary(folder)
        # Killed before the command began, which handles signals; or done when the signal came.
        assert outcome.status in (-number, 128 + number, 0) or (outcome.status, outcome.text) == (1, ""), outcome.text
        assert "Traceback" not in outcome.text
        assert (outcome.status == 0) <= (done == complete), outcome.text
        if outcome.status == 128 + number and done == 0:
            assert "error: interrupted" in outcome.text
        (folder / "out").mkdir(exist_ok=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_training_is_resumed_after_a_signal_at_any_moment(tmp_path, number):
    pytest.importorskip("lightning")
    chance = random.Random(number)
    output = tmp_path / "run"
    for attempt in range(max(2, MOMENTS // 3)):
        process = training_runs.start(output, *(["--resume"] if attempt else []), steps="400", checkpoint_every="2")
        process.join(chance.uniform(1.0, 5.0))
        os.kill(process.pid, number)
        status = training_runs.finish(process)
        assert status in (128 + number, -number), Path(f"{output}.log").read_text()
    assert not [path for path in output.rglob("*") if ".partial" in path.name]
    if not (output / "checkpoints").exists():
        return  # always stopped before the first step
    done = max(int(path.stem.removeprefix("step_")) for path in (output / "checkpoints").glob("*.ckpt"))
    process = training_runs.start(output, "--resume", steps=str(done + 1), checkpoint_every="2")
    assert training_runs.finish(process) == 0, Path(f"{output}.log").read_text()


# Full disks


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("valid")
    build(folder)
    return folder


def expect_nothing(folder: Path, outcome: Outcome, allowed: int = 0) -> None:
    assert outcome.fault is None, outcome.text
    assert outcome.status == 1
    assert outcome.text.count("error: ") == 1, outcome.text
    left = [
        path for path in folder.rglob("*") if path.is_file() and path.name not in ("theirs.txt", ".tltm_graph_files")
    ]
    assert len(left) <= allowed, left


@pytest.mark.parametrize("size", [1, 700, 3000])
@pytest.mark.parametrize(
    "words",
    [
        "track --source V/scene.mp4 --detector oracle:V/truth/csv.csv --output out --save-graph",
        "solve V/run --output out",
        "convert V/youtube_vis.json out.csv --to csv",
        "convert V/youtube_vis.json out.json.gz --to tltm",
        "convert V/csv.csv out --to davis",
        "convert V/csv.csv out.json --to youtube_vis",
        "eval --truth V/youtube_vis.json --predictions V/youtube_vis.json --output out",
        "view V/run --no-pictures --explained 0 --output out.html",
        "draw V/run --source V/scene.mp4 --output out.mp4",
        "draw V/run --source V/scene.mp4 --output out.gif",
        "explain V/run --frame 3 --object 0 --output out.json",
        "render --frames 2 --videos 1 --output out",
    ],
)
def test_a_full_disk_leaves_nothing(valid, folder, words, size):
    outcome = run(words.replace("V/", f"{valid}/").split(), folder, file=size)
    if outcome.status == 0:  # the output is smaller than that
        assert size > 1
        return
    # In a folder of label maps, whole videos may be complete.
    expect_nothing(folder, outcome, allowed=2 * FRAMES + 4 if "davis" in words else 0)
    nothing_temporary(folder)


def test_a_full_disk_in_the_middle(tmp_path):
    """On a file system of 60 kB, if this process may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        f"mount -t tmpfs -o size=60k none {disk} || exit 99; echo theirs > {disk}/theirs.txt; "
        f"{sys.executable} -m tltm_graph.cli {TRACK} --output {disk}/out; echo status $?; find {disk} -type f"
    )
    run = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    if run.returncode != 0 or "status" not in run.stdout:
        pytest.skip(f"cannot mount a file system: {run.stderr[-200:]}")
    assert "status 1" in run.stdout
    assert run.stderr.count("error: ") == 1, run.stderr
    assert "No space left" in run.stderr
    assert run.stdout.splitlines()[-1] == f"{disk}/theirs.txt", "nothing else is left"
