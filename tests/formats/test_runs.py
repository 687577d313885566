import json
from pathlib import Path

import pytest

from tests.formats.cases import as_videos, random_tracks, write_all
from tltm_graph.formats.runs import read_runs
from tltm_graph.formats.youtube_vis_results import YoutubeVisResultsWriter
from tltm_graph.structures import Tracks

CLASSES = ["cat", "dog", "bird"]


def write_run(folder: Path, tracks: Tracks, class_names: list[str] | None = CLASSES, **report) -> Path:
    """Write the two files of ``tltm-graph track`` that are read."""
    folder.mkdir(parents=True)
    videos = as_videos(tracks, class_names=None if class_names is None else tuple(class_names))
    write_all(YoutubeVisResultsWriter(folder / "tracks.json", class_names), videos)
    (folder / "run.json").write_text(json.dumps({"class_names": class_names, "frames": tracks.num_frames, **report}))
    return folder


def constant(tracks: Tracks) -> dict:
    """Properties that the format stores: one class for each track."""
    return {i: (t.frames, t.boxes, t.masks, t.label) for i, t in tracks.items()}


def test_one_run(tmp_path):
    tracks = random_tracks(1)
    folder = write_run(tmp_path / "clip", tracks)
    for path in (folder, folder / "tracks.json", str(folder)):
        videos = read_runs(path)
        (video,) = videos
        assert (video.name, video.num_frames) == ("clip", 8)
        assert videos.class_names == ("cat", "dog", "bird")
        assert constant(video.tracks()) == constant(tracks)


def test_a_run_is_named_like_its_folder_from_any_directory(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "clip", random_tracks(1))
    monkeypatch.chdir(folder)
    assert [video.name for video in read_runs(".")] == ["clip"]
    assert [video.name for video in read_runs("tracks.json")] == ["clip"]


def test_many_runs(tmp_path):
    tracks = {name: random_tracks(seed) for seed, name in enumerate(("b", "a", "c"))}
    for name, of in tracks.items():
        write_run(tmp_path / name, of)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes.txt").touch()
    videos = read_runs(tmp_path)
    assert [(video.name, video.id) for video in videos] == [("a", 1), ("b", 2), ("c", 3)]
    for video in videos:
        assert constant(video.tracks()) == constant(tracks[video.name])


def test_runs_of_different_classes(tmp_path):
    write_run(tmp_path / "a", random_tracks(1), ["cat", "dog", "bird"])
    write_run(tmp_path / "b", random_tracks(2), ["fish", "bird", "cat"])
    videos = read_runs(tmp_path)
    assert videos.class_names == ("cat", "dog", "bird", "fish")
    names = [{i: videos.class_names[t.label] for i, t in video.tracks().items()} for video in videos]
    assert names[0] == {i: ("cat", "dog", "bird")[t.label] for i, t in random_tracks(1).items()}
    assert names[1] == {i: ("fish", "bird", "cat")[t.label] for i, t in random_tracks(2).items()}
    write_run(tmp_path / "c", random_tracks(3), None)
    with pytest.raises(ValueError, match=r"class names in all runs of '.*' or in none, got them in some"):
        read_runs(tmp_path)


def test_without_classes_and_without_objects(tmp_path):
    write_run(tmp_path / "none" / "a", Tracks({}, (30, 44), 5), None)
    videos = read_runs(tmp_path / "none")
    assert videos.class_names is None
    assert (len(videos[0].tracks()), videos[0].tracks().num_frames) == (0, 5)
    write_run(tmp_path / "empty", Tracks({}, None, 0))
    (video,) = read_runs(tmp_path / "empty")
    assert (video.num_frames, video.tracks().num_frames) == (0, 0)


def test_files_of_two_runs(tmp_path):
    """Frames beyond the end in the report would be lost silently."""
    for frames in (3, 20):
        (video,) = read_runs(write_run(tmp_path / str(frames), random_tracks(1), frames=frames))
        with pytest.raises(ValueError, match=rf"over the {frames} frames of 'run.json', got 8 in '.*tracks"):
            video.tracks()


def test_folders_without_a_valid_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a folder that tltm-graph track wrote, found none at '.*none'"):
        read_runs(tmp_path / "none")
    with pytest.raises(ValueError, match=r"Expected 'tracks.json' in '.*' or in its folders, got none"):
        read_runs(tmp_path)
    folder = write_run(tmp_path / "a", random_tracks(1))
    texts = ["[]", "{}", '{"frames": null}', '{"frames": "8"}', "null", '{"frames": true}', '{"frames": -1}']
    names = ("[1]", "[[]]", '"ab"', '["a", "a"]', "{}", "5")
    for report in (*texts, '{"frames": 1e9}', *(f'{{"frames": 8, "class_names": {value}}}' for value in names)):
        (folder / "run.json").write_text(report)
        with pytest.raises(ValueError, match=r"^Expected .* in the report '.*run.json', got"):
            read_runs(folder)
    (folder / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"a report of tltm-graph track in '.*run.json', got a damaged"):
        read_runs(folder)
    (folder / "run.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"a report of tltm-graph track, found none at '.*run.json'"):
        read_runs(folder)
