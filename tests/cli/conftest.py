"""Data sets and a run that several commands read."""

from pathlib import Path

import pytest

from benchmarks.shapes_model import TINY
from tests.cli.cases import scenes, video_set, write_videos
from tltm_graph.cli import main


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """A run on objects that are missed at times, found twice or not there, with boxes that jump."""
    folder = tmp_path_factory.mktemp("run")
    noisy = "oracle?miss_rate=0.1&jitter=0.05&false_positives=0.5"
    options = ["--detector", noisy, "--max-frames", "12", "--save-graph", "--no-overlay"]
    assert main(["track", "--source", "shapes", "--output", str(folder), *options]) == 0
    return folder


@pytest.fixture(scope="session")
def related_run(tmp_path_factory) -> Path:
    """A run with an appearance model."""
    folder = tmp_path_factory.mktemp("related")
    options = ["--detector", f"tltm:{TINY}", "--max-frames", "3", "--save-graph", "--no-overlay"]
    assert main(["track", "--source", "shapes", "--output", str(folder), *options]) == 0
    return folder


@pytest.fixture(scope="session")
def sets(tmp_path_factory) -> Path:
    """Truth and predictions for three videos."""
    folder = tmp_path_factory.mktemp("sets")
    truth, found = scenes()
    write_videos(folder / "truth.json", "youtube_vis", video_set(truth))
    write_videos(folder / "found.json", "youtube_vis_results", video_set(found))
    write_videos(folder / "found.csv", "csv", video_set(found))
    write_videos(folder / "some.csv", "csv", video_set({"a": found["a"]}))
    return folder
