import signal

import pytest

from tltm_graph.cli import main
from tltm_graph.commands import render as command
from tltm_graph.commands.render import render
from tltm_graph.formats import open_videos
from tltm_graph.synthetic import SPLITS, STANDARD, moving_shapes

SMALL = {"frames": 3, "size": (48, 80)}


def test_the_first_videos_of_a_split(tmp_path):
    counts = render("standard", "test", tmp_path / "new" / "set", videos=2, **SMALL)
    assert (counts["videos"], counts["frames"], counts["interrupted"]) == (2, 6, 0)
    videos = open_videos(tmp_path / "new" / "set" / "instances.json")
    scenes = moving_shapes(STANDARD, SPLITS["test"])
    assert [video.name for video in videos] == [str(scenes[i].seed) for i in range(2)]
    assert {(video.num_frames, video.size) for video in videos} == {(3, (48, 80))}


def test_an_interrupt_ends_it_after_the_video(tmp_path, monkeypatch, capfd):
    scenes = moving_shapes(STANDARD, SPLITS["val"], **{"num_frames": 3, "size": (48, 80)})

    class Interrupting(list):
        def __iter__(self):
            yield self[0]
            signal.raise_signal(signal.SIGINT)
            yield self[1]

        def __getitem__(self, index):
            return self if isinstance(index, slice) else super().__getitem__(index)

    monkeypatch.setattr(command, "moving_shapes", lambda *_: Interrupting(scenes[:2]))
    counts = render("standard", "val", tmp_path / "set", **SMALL)
    assert "interrupted: finishing" in capfd.readouterr().err
    assert (counts["videos"], counts["interrupted"]) == (1, 1)
    assert len(open_videos(tmp_path / "set" / "instances.json")) == 1


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match="a difficulty of easy, standard, hard, got 'magic'"):
        render("magic", "val", tmp_path / "set")
    with pytest.raises(ValueError, match="a split of train, val, test, got 'magic'"):
        render("easy", "magic", tmp_path / "set")
    with pytest.raises(ValueError, match="at least one video of at least one frame, got 0 of 60"):
        render("easy", "val", tmp_path / "set", videos=0)
    with pytest.raises(ValueError, match="at most the 20 videos of 'val', got 21"):
        render("easy", "val", tmp_path / "set", videos=21)
    with pytest.raises(ValueError, match="at least 16×16"):
        render("easy", "val", tmp_path / "new" / "set", size=(8, 8))
    assert list(tmp_path.iterdir()) == [], "no folder was made for nothing"


def test_the_command_line(tmp_path, capsys):
    out = str(tmp_path / "set")
    arguments = ["render", "--difficulty", "easy", "--videos", "1", "--frames", "2", "--size", "48", "80"]
    assert main([*arguments, "--output", out]) == 0
    assert "1 videos, 2 frames" in capsys.readouterr().out
    assert main(["validate", f"{out}/instances.json", "--images", f"{out}/JPEGImages"]) == 0
    assert "0 errors" in capsys.readouterr().out
    assert main([*arguments, "--output", out]) == 1
    assert "error: Expected a new or empty folder" in capsys.readouterr().err
