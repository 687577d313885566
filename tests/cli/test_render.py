import json
import signal

import numpy as np
import pytest
import torch

from tests.cases import contents, names_in
from tltm_graph.cli import main
from tltm_graph.cli.render import exit_status, render, write_scenes
from tltm_graph.formats import open_videos, validate
from tltm_graph.synthetic import STANDARD, TEST, VAL, MovingShapes, moving_shapes

SMALL = {"frames": 3, "size": (48, 80)}


def test_the_first_videos_of_a_split(tmp_path):
    counts = render(difficulty="standard", split="test", output=tmp_path / "new" / "set", videos=2, **SMALL)
    assert (counts["videos"], counts["frames"], counts["interrupted"]) == (2, 6, 0)
    videos = open_videos(tmp_path / "new" / "set" / "instances.json")
    scenes = moving_shapes(STANDARD, TEST)
    assert [video.name for video in videos] == [str(scenes[i].seed) for i in range(2)]
    assert {(video.num_frames, video.size) for video in videos} == {(3, (48, 80))}


def test_an_interrupt_ends_it_after_the_video(tmp_path, monkeypatch, capfd):
    scenes = moving_shapes(STANDARD, VAL, **{"num_frames": 3, "size": (48, 80)})

    class Interrupting(list):
        def __iter__(self):
            yield self[0]
            signal.raise_signal(signal.SIGINT)
            yield self[1]

        def __getitem__(self, index):
            return self if isinstance(index, slice) else super().__getitem__(index)

    monkeypatch.setattr("tltm_graph.synthetic.moving_shapes", lambda *_: Interrupting(scenes[:2]))
    counts = render(difficulty="standard", split="val", output=tmp_path / "set", **SMALL)
    assert "interrupted: finishing" in capfd.readouterr().err
    assert (counts["videos"], counts["interrupted"]) == (1, signal.SIGINT)
    assert exit_status(counts) == 130
    assert exit_status({**counts, "interrupted": 0}) == 0
    assert len(open_videos(tmp_path / "set" / "instances.json")) == 1


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match="a difficulty of easy, standard, hard, got 'magic'"):
        render(difficulty="magic", split="val", output=tmp_path / "set")
    with pytest.raises(ValueError, match="a split of train, val, test, got 'magic'"):
        render(difficulty="easy", split="magic", output=tmp_path / "set")
    with pytest.raises(ValueError, match="at least one video of at least one frame, got 0 of 60"):
        render(difficulty="easy", split="val", output=tmp_path / "set", videos=0)
    with pytest.raises(ValueError, match="at most the 20 videos of 'val', got 21"):
        render(difficulty="easy", split="val", output=tmp_path / "set", videos=21)
    with pytest.raises(ValueError, match="at least 16×16"):
        render(difficulty="easy", split="val", output=tmp_path / "new" / "set", size=(8, 8))
    assert list(tmp_path.iterdir()) == [], "no folder was made for nothing"


def test_the_command_line(tmp_path, capsys):
    out = str(tmp_path / "set")
    arguments = ["render", "--difficulty", "easy", "--videos", "1", "--frames", "2", "--size", "48", "80"]
    assert main([*arguments, "--output", out]) == 0
    assert "1 videos, 2 frames" in capsys.readouterr().out
    assert main(["validate", f"{out}/instances.json", "--images", f"{out}/JPEGImages"]) == 0
    assert "0 errors" in capsys.readouterr().out
    assert main([*arguments, "--videos", "2", "--output", out]) == 0
    assert len(open_videos(f"{out}/instances.json")) == 2, "its own folder is replaced"
    assert names_in(tmp_path) == ["set"]


@pytest.mark.parametrize("name", ["thesis.txt", ".hidden", "JPEGImages/0000000/thesis.txt", "instances.json"])
def test_a_folder_with_files_of_another_origin_is_replaced_on_request_alone(tmp_path, capsys, name):
    out = tmp_path / "set"
    arguments = ["render", "--videos", "1", "--frames", "2", "--size", "48", "80", "--output", str(out)]
    assert main(arguments) == 0
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text("theirs")
    before = contents(tmp_path)
    capsys.readouterr()
    assert main(arguments) == 1
    assert f"{name}' of another origin" in capsys.readouterr().err
    assert contents(tmp_path) == before
    assert main([*arguments, "--overwrite"]) == 0
    assert names_in(out) == ["JPEGImages", "frames.json", "instances.json"]
    assert (out / name).exists() == (name == "instances.json")


@pytest.mark.slow
def test_written_scenes_match_rendered_ones(tmp_path):
    scenes = moving_shapes(STANDARD, VAL, num_frames=12, size=(96, 160))[:3]
    counts = write_scenes(scenes, tmp_path / "set")
    videos = open_videos(tmp_path / "set" / "instances.json", images=tmp_path / "set" / "JPEGImages")
    assert videos.class_names == MovingShapes.class_names
    assert [video.name for video in videos] == [str(scene.seed) for scene in scenes]
    assert [problem for problem in validate(videos) if problem.kind == "error"] == []
    frame_facts = json.loads((tmp_path / "set" / "frames.json").read_text())
    tracks = 0
    for video, scene in zip(videos, scenes, strict=True):
        found = video.tracks()
        tracks += len(found)
        for frame, t in zip(video.frames(), range(12), strict=True):
            truth, read = scene.truth(t), found.at(t)
            assert torch.equal(read.masks if len(read) else truth.masks, truth.masks)
            assert torch.equal(read.boxes, truth.boxes)
            assert torch.equal(read.labels, truth.labels)
            difference = frame.image.float() - scene.frame(t).image.float()
            assert difference.abs().mean() < 4, "except for the loss of JPEG"
        assert frame_facts[video.name]["times"] == pytest.approx([scene.frame(t).time for t in range(12)])
        assert frame_facts[video.name]["degraded"] == [t for t in range(12) if scene.degraded(t)]
    assert counts == {"videos": 3, "frames": 36, "tracks": tracks}


def test_ids_follow_objects(tmp_path):
    scene = MovingShapes(30, (96, 160), seed=3, difficulty=STANDARD)
    write_scenes([scene], tmp_path / "set")
    found = open_videos(tmp_path / "set" / "instances.json")[0].tracks()
    seen = [scene.truth(t).ids.tolist() for t in range(30)]
    expected = {i: tuple(t for t in range(30) if i in seen[t]) for i in sorted({i for ids in seen for i in ids})}
    assert sorted(track.frames for track in found.values()) == sorted(expected.values())


def test_nothing_is_left_after_an_error(tmp_path):
    def broken():
        yield MovingShapes(2, (32, 48), seed=1)
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        write_scenes(broken(), tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_bad_scenes_and_folders(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(
        FileExistsError, match="replace one that tltm-graph wrote, got '.*thesis.txt' of another origin"
    ):
        write_scenes([MovingShapes(1, (32, 32))], tmp_path / "full")
    assert (tmp_path / "full" / "thesis.txt").exists()
    with pytest.raises(ValueError, match="at least one scene to write, got none"):
        write_scenes([], tmp_path / "none")
    with pytest.raises(ValueError, match="different seeds, got seed 4 twice"):
        write_scenes([MovingShapes(1, (32, 32), seed=4)] * 2, tmp_path / "twice")


def test_scenes_without_objects(tmp_path):
    write_scenes([MovingShapes(2, (32, 48), num_objects=0)], tmp_path / "set")
    (video,) = open_videos(tmp_path / "set" / "instances.json", images=tmp_path / "set" / "JPEGImages")
    assert len(video.tracks()) == 0
    assert np.array_equal([frame.index for frame in video.frames()], [0, 1])
