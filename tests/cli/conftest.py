"""Data sets and a run that several commands read."""

from pathlib import Path

import pytest

from tests.cli.cases import scenes, video_set, write_videos
from tltm_graph.cli import main


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    assert main(["track", "--source", "shapes", "--output", str(folder), "--max-frames", "12", "--save-graph", "--no-overlay"]) == 0
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
