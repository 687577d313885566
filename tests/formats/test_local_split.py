import pytest

from tltm_graph.formats import Video, VideoSet, local_split
from tltm_graph.formats.video import is_held_out


def test_the_parts_are_the_whole_and_never_change():
    videos = VideoSet([Video(f"video{i}", id=i) for i in range(2000)], ("cat",), name="all")
    train, val = local_split(videos, "train"), local_split(videos, "val")
    assert {v.name for v in train} | {v.name for v in val} == {v.name for v in videos}
    assert len(train) + len(val) == 2000
    assert len(val) == pytest.approx(200, abs=40)
    assert val.class_names == ("cat",)
    assert [v.name for v in val][:3] == ["video0", "video8", "video12"], "frozen: papers compare on it"
    assert all(is_held_out(video.name) for video in val)


def test_other_videos_do_not_move_one():
    few = VideoSet([Video("video8", id=1), Video("video1", id=2)])
    assert [v.name for v in local_split(few, "val")] == ["video8"]
