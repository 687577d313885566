from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.formats.strategies import SIZE, video_of
from tltm_graph.formats import Video, VideoSet, local_split
from tltm_graph.formats.video import is_held_out
from tltm_graph.structures import Observation, Tracks

NAMES = ("a", "b", "c")


def pictures(folder: Path, count: int) -> tuple[Path, ...]:
    for number in range(count):
        Image.fromarray(np.full((*SIZE, 3), number, np.uint8)).save(folder / f"{number}.png")
    return tuple(folder / f"{number}.png" for number in range(count))


def test_frames(tmp_path):
    video = Video("v", 3, SIZE, images=pictures(tmp_path, 3), fps=10.0)
    frames = list(video.frames())
    assert [int(frame.image.max()) for frame in frames] == [0, 1, 2]
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.2])
    assert [frame.time for frame in Video("v", images=video.images).frames()][1] == pytest.approx(1 / 30)


def test_frames_that_are_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="frames of video 'v', got its tracks only"):
        Video("v", 3).frames()
    paths = pictures(tmp_path, 3)
    paths[1].unlink()
    with pytest.raises(FileNotFoundError, match=r"a frame of video 'v' at '.*1.png', found none"):
        Video("v", images=paths).frames()


def test_blank_frames():
    frames = list(Video("v", 3, SIZE, fps=10.0).blank_frames())
    assert [(frame.index, tuple(frame.image.shape), int(frame.image.max())) for frame in frames] == [
        (number, (3, *SIZE), 0) for number in range(3)
    ]
    assert frames[2].time == pytest.approx(0.2)
    assert list(Video("v", 0, SIZE).blank_frames()) == []
    for video in (Video("v", None, SIZE), Video("v", 3)):
        with pytest.raises(ValueError, match="Expected the length and size of video 'v', got"):
            video.blank_frames()


def test_tracks_are_read_at_each_call():
    calls = []

    def load() -> Tracks:
        calls.append(1)
        return Tracks({}, SIZE, 3)

    video = Video("v", 3, SIZE, load=load)
    assert calls == []
    assert video.tracks() == video.tracks() == Tracks({}, SIZE, 3)
    assert len(calls) == 2
    with pytest.raises(ValueError, match="Expected tracks of video 'v', got a video without annotations"):
        Video("v").tracks()


def test_a_set_is_a_sequence():
    videos = VideoSet(
        [Video(name, id=number) for number, name in enumerate(NAMES, start=5)], ("cat", "dog"), name="set"
    )
    assert [video.name for video in videos] == list(NAMES)
    assert (len(videos), videos[0].name, videos[-1].name) == (3, "a", "c")
    assert videos.category_ids == (1, 2)
    assert videos.named("b") is videos[1]
    assert videos.named("x") is None
    part = videos[1:]
    assert isinstance(part, VideoSet)
    assert [video.name for video in part] == ["b", "c"]
    assert (part.class_names, part.category_ids, part.name) == (videos.class_names, videos.category_ids, "set")
    assert part.named("a") is None
    assert repr(videos) == "VideoSet('set', 3 videos, 2 classes)"
    assert repr(VideoSet([])) == "VideoSet('videos', 0 videos, no classes)"
    assert videos[1] in videos
    with pytest.raises(IndexError):
        videos[3]


def test_an_empty_set():
    empty = VideoSet([], ())
    assert list(empty) == list(empty[:]) == []
    assert empty.category_ids == ()
    assert VideoSet([]).category_ids is None
    assert VideoSet([], ("a",), (7,)).category_ids == (7,)


def test_every_video_once():
    for videos, message in (
        ([Video("a", id=1), Video("a", id=2)], "each video once in 'set', got name 'a' twice"),
        ([Video("a", id=1), Video("b", id=1)], "each video once in 'set', got id 1 twice"),
    ):
        with pytest.raises(ValueError, match=message):
            VideoSet(videos, name="set")


def test_numbers_class_filter():
    with pytest.raises(ValueError, match="a number for each of the 2 classes of 'set', got 1"):
        VideoSet([], ("a", "b"), (7,), name="set")
    with pytest.raises(ValueError, match="a number for each of the 0 classes"):
        VideoSet([], None, (7,))


def test_a_video_equals_only_itself():
    tracks = Tracks.from_observations([(0, Observation(1, (0.0, 0.0, 1.0, 1.0)))], SIZE, 1)
    one, other = video_of(tracks), video_of(tracks)
    assert one == one
    assert one != other


def test_the_parts_are_disjoint_complete_and_fixed():
    videos = VideoSet([Video(f"video{i}", id=i) for i in range(2000)], ("cat",), name="all")
    train, val = local_split(videos, "train"), local_split(videos, "val")
    assert {v.name for v in train} | {v.name for v in val} == {v.name for v in videos}
    assert len(train) + len(val) == 2000
    assert len(val) == pytest.approx(200, abs=40)
    assert val.class_names == ("cat",)
    assert [v.name for v in val][:3] == ["video0", "video8", "video12"], "frozen: papers compare on it"
    assert all(is_held_out(video.name) for video in val)


def test_the_part_of_a_video_does_not_depend_on_other_videos():
    few = VideoSet([Video("video8", id=1), Video("video1", id=2)])
    assert [v.name for v in local_split(few, "val")] == ["video8"]
