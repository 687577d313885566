"""On real clips and the full reference numbers, where the folder with them lies beside the project."""

import subprocess
import sys
from pathlib import Path

import pytest

from tltm_graph import PrecomputedDetector, Tracker, Tracks, read_frames

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="needs the folder 'shared' beside the project")


def followed(source: str, detections: str) -> tuple[Tracks, tuple[str, ...]]:
    detector = PrecomputedDetector.from_file(SHARED / "data" / detections)
    frames = read_frames(SHARED / "data" / source)
    stream = ((frame.index, d) for frame, d in Tracker(detector).track(frames))
    return Tracks.from_stream(stream, detector.size), detector.class_names


def test_two_children_on_a_bed():
    tracks, names = followed("clips/sam2_bedroom_two_kids.mp4", "clips/detections/clip_bedroom.json.gz")
    assert tracks.num_frames == 200
    children = sorted((t for t in tracks.values() if names[t.label] == "person"), key=len, reverse=True)
    girl, *boy = children
    assert len(girl) == 200, "one id for the girl, who is always seen"
    assert len(boy) == 2, "the boy is hidden for 79 frames: one id before, one after"
    assert sorted((t.frames[0], t.frames[-1]) for t in boy) == [(0, 29), (110, 199)]


def test_a_dog_and_a_person():
    tracks, names = followed("clips/sam2_dog_person.mp4", "clips/detections/clip_01_dog.json.gz")
    long = sorted((names[t.label], t.frames[0], t.frames[-1]) for t in tracks.values() if len(t) > 20)
    assert [name for name, *_ in long] == ["dog", "dog", "person"], "the dog leaves the picture once"
    assert long[2][1:] == (0, 288)


def test_a_folder_of_images():
    tracks, names = followed("davis2016/JPEGImages/480p/horsejump-high", "davis2016/detections/horsejump-high.json.gz")
    whole = [names[t.label] for t in tracks.values() if len(t) >= 49]
    assert {"horse", "person"} <= set(whole)


def test_every_reference_number():
    script = [sys.executable, "benchmarks/parity.py", "--fixtures", str(SHARED / "reference" / "parity")]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("|") > 50
