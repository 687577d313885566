"""On real clips and the full reference numbers, where the folder with them lies beside the project."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tltm_graph import Tracker, Tracks, read_frames
from tltm_graph.association import GeometricAffinity
from tltm_graph.cli import main
from tltm_graph.detectors import PrecomputedDetector

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="needs the folder 'shared' beside the project")


def followed(source: str, detections: str, **parts) -> tuple[Tracks, tuple[str, ...]]:
    detector = PrecomputedDetector.from_file(SHARED / "data" / detections)
    frames = read_frames(SHARED / "data" / source)
    stream = ((frame.index, d) for frame, d in Tracker(detector, **parts).track(frames))
    return Tracks.from_stream(stream, detector.size), detector.class_names


@pytest.mark.slow
def test_two_children_on_a_bed():
    tracks, names = followed("clips/sam2_bedroom_two_kids.mp4", "clips/detections/clip_bedroom.json.gz")
    assert tracks.num_frames == 200
    children = sorted((t for t in tracks.values() if names[t.label] == "person"), key=len, reverse=True)
    girl, *boy = children
    assert len(girl) == 200, "one id for the girl, who is always seen"
    assert len(boy) == 2, "the boy is hidden for 79 frames: one id before, one after"
    assert sorted((t.frames[0], t.frames[-1]) for t in boy) == [(0, 29), (111, 199)], "shown from his second frame on"


def long_ones(**parts) -> list[tuple[str, int, int]]:
    tracks, names = followed("clips/sam2_dog_person.mp4", "clips/detections/clip_01_dog.json.gz", **parts)
    return sorted((names[t.label], t.frames[0], t.frames[-1]) for t in tracks.values() if len(t) > 20)


@pytest.mark.slow
def test_a_dog_and_a_person():
    long = long_ones()
    assert [name for name, *_ in long] == ["dog", "dog", "person"], "the dog leaves the picture once"
    assert long[2][1:] == (0, 288)


@pytest.mark.slow
def test_a_dog_and_a_person_by_hand():
    long = long_ones(affinity=GeometricAffinity())
    assert [name for name, *_ in long] == ["dog", "dog", "person"], "the dog leaves the picture once"
    assert long[2][1:] == (0, 288)


def whole_ones(**parts) -> set[str]:
    sequence = "horsejump-high"
    tracks, names = followed(
        f"davis2016/JPEGImages/480p/{sequence}", f"davis2016/detections/{sequence}.json.gz", **parts
    )
    return {names[t.label] for t in tracks.values() if len(t) >= 49}


@pytest.mark.slow
def test_a_folder_of_images():
    assert {"horse", "person"} <= whole_ones()


@pytest.mark.slow
def test_a_folder_of_images_by_hand():
    assert {"horse", "person"} <= whole_ones(affinity=GeometricAffinity())


@pytest.mark.slow
def test_every_reference_number():
    script = [sys.executable, "benchmarks/parity.py", "--fixtures", str(SHARED / "reference" / "parity")]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("|") > 50


def command(*arguments: object) -> None:
    assert main([str(argument) for argument in arguments]) == 0


def scores_of(folder: Path) -> dict[str, float]:
    return json.loads((folder / "scores.json").read_text())["scores"]["overall"]


@pytest.mark.slow
def test_davis_from_pictures_to_scores(tmp_path):
    data, video = SHARED / "data", "horsejump-high"
    detections = f"precomputed:{data}/davis2016/detections/{video}.json.gz"
    source, run = data / "davis2016/JPEGImages/480p" / video, tmp_path / "runs" / video
    command("track", "--source", source, "--detector", detections, "--output", run, "--no-overlay")
    truth = data / "davis2016_instances"
    command("convert", tmp_path / "runs", tmp_path / "png", "--to", "davis", "--like", truth)
    for side in ("runs", "png"):
        command(
            "eval",
            "--truth",
            truth,
            "--predictions",
            tmp_path / side,
            "--missing",
            "skip",
            "--output",
            tmp_path / f"e{side}",
        )
    assert scores_of(tmp_path / "eruns")["JF_mean"] == scores_of(tmp_path / "epng")["JF_mean"] > 0.7
    assert len(list((tmp_path / "png" / video).glob("*.png"))) == 50


@pytest.fixture(scope="module")
def campus(tmp_path_factory) -> Path:
    """Scores of TUD-Campus, from what was tracked and from the results it was converted to."""
    tmp_path = tmp_path_factory.mktemp("campus")
    sequence = SHARED / "data/mot15/TUD-Campus"
    detections = f"precomputed:{sequence}/det_sort_frcnn/det.txt"
    command(
        "track",
        "--source",
        sequence,
        "--detector",
        detections,
        "--output",
        tmp_path / "runs/TUD-Campus",
        "--no-overlay",
    )
    command("convert", tmp_path / "runs", tmp_path / "results", "--to", "mot")
    for side in ("runs", "results"):
        command("eval", "--truth", sequence, "--predictions", tmp_path / side, "--output", tmp_path / f"e{side}")
    return tmp_path


@pytest.mark.slow
def test_mot_from_detections_to_scores(campus):
    assert scores_of(campus / "eruns")["HOTA"] == scores_of(campus / "eresults")["HOTA"] > 0


@pytest.mark.xfail(reason="the association head reaches 0.43 on this short sequence, scores by hand 0.49")
def test_mot_is_followed_well(campus):
    assert scores_of(campus / "eruns")["HOTA"] > 0.45


@pytest.mark.slow
def test_mots_from_masks_to_scores(tmp_path):
    sequence = SHARED / "data/mots20/MOTS20-05"
    options = ["--output", tmp_path / "runs/MOTS20-05", "--no-overlay", "--max-frames", 30]
    command("track", "--source", sequence, "--detector", f"oracle:{sequence}?miss_rate=0.1", *options)
    command("convert", tmp_path / "runs", tmp_path / "results", "--to", "mots", "--like", sequence)
    command(
        "eval",
        "--truth",
        sequence,
        "--predictions",
        tmp_path / "results",
        "--oracle",
        "all",
        "--output",
        tmp_path / "e",
    )
    scores = scores_of(tmp_path / "e")
    assert scores["CLR_FP"] < 10
    assert scores["CLR_TP"] > 150
