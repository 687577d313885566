import json

import numpy as np
import pytest
import torch

from tltm_graph import MovingShapes
from tltm_graph.formats import open_videos, validate
from tltm_graph.synthetic import STANDARD, VAL, moving_shapes, write_scenes


def test_what_is_written_is_what_was_rendered(tmp_path):
    scenes = moving_shapes(STANDARD, VAL, num_frames=12, size=(96, 160))[:3]
    counts = write_scenes(scenes, tmp_path / "set")
    videos = open_videos(tmp_path / "set" / "instances.json", images=tmp_path / "set" / "JPEGImages")
    assert videos.class_names == MovingShapes.class_names
    assert [video.name for video in videos] == [str(scene.seed) for scene in scenes]
    assert [problem for problem in validate(videos) if problem.kind == "error"] == []
    facts = json.loads((tmp_path / "set" / "frames.json").read_text())
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
            assert difference.abs().mean() < 4, "but for the loss of JPEG"
        assert facts[video.name]["times"] == pytest.approx([scene.frame(t).time for t in range(12)])
        assert facts[video.name]["degraded"] == [t for t in range(12) if scene.degraded(t)]
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


def test_bad_input(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(ValueError, match="a new or empty folder to write to, got .*full"):
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
