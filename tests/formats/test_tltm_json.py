import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.formats.cases import as_videos, random_tracks, write_all
from tltm_graph.formats.tltm_json import TltmJsonWriter, read_tltm_json

NAMES = ("cat", "dog", "bird")


@settings(max_examples=15, deadline=None)
@given(seeds=st.lists(st.integers(0, 10_000), max_size=3), num_objects=st.integers(0, 5))
def test_round_trip(tmp_path_factory, seeds, num_objects):
    path = tmp_path_factory.mktemp("tltm") / "videos.json"
    videos = as_videos(*(random_tracks(seed, num_objects=num_objects) for seed in seeds))
    write_all(TltmJsonWriter(path, NAMES), videos)
    back = read_tltm_json(path, class_names=NAMES)
    assert [video.name for video in back] == [video.name for video in videos]
    for video, other in zip(videos, back, strict=True):
        expected = {i: replace(t, scores=(1.0,) * len(t)) for i, t in video.tracks().items()}
        assert other.tracks().tracks == expected, "the format is for truth: it has no scores"
        assert other.tracks().num_frames == video.num_frames


def test_numbers_of_videos_and_videos_without_annotations(tmp_path):
    frame = {"frame_name": "a/1.jpg"}
    entries = [
        {"video_id": -1, "height": 4, "width": 4, "frames": [frame]},
        {"video_id": 5, "height": 4, "width": 4, "frames": [{"frame_name": "b/1.jpg", "annotations": []}]},
        {"height": 4, "width": 4, "frames": [{"frame_name": "c/1.jpg"}]},
    ]
    (tmp_path / "v.json").write_text(json.dumps({"videos": entries}))
    videos = read_tltm_json(tmp_path / "v.json", images=tmp_path)
    assert [(video.name, video.id) for video in videos] == [("a", 6), ("b", 5), ("c", 7)]
    assert videos[0].load is None
    assert len(videos[1].tracks()) == 0
    assert videos[0].images == (tmp_path / "a/1.jpg",)
    with pytest.raises(FileNotFoundError, match="Expected a frame of video 'a'"):
        videos[0].frames()


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ([{"track_id": 1, "category_id": 1}], "Expected a box or a mask, got neither in track 1 in frame 0 of video 0"),
        ([{"track_id": 1, "category_id": 4, "bbox": [0, 0, 1, 1]}], r"category of \[1, 2, 3\], got 4"),
        ([{"track_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}] * 2, "each 'track_id' once in a frame"),
        ([{"category_id": 1, "bbox": [0, 0, 1, 1]}], "at least 0 as 'track_id', got None"),
        ([{"track_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "iscrowd": "0"}], "'iscrowd' as 0 or 1, got '0'"),
        ([{"track_id": 1, "category_id": 1, "segmentation": {"size": [4, 4], "counts": "0"}}], "damaged ones"),
    ],
)
def test_bad_annotations(tmp_path, annotations, message):
    frames = [{"frame_name": "a/1.jpg", "annotations": annotations}]
    (tmp_path / "v.json").write_text(json.dumps({"videos": [{"height": 4, "width": 4, "frames": frames}]}))
    with pytest.raises(ValueError, match=message) as error:
        read_tltm_json(tmp_path / "v.json", class_names=NAMES)[0].tracks()
    assert "v.json" in str(error.value)


@pytest.mark.parametrize("content", [[], {}, {"videos": [{"frames": []}]}, {"videos": [7]}])
def test_other_files(tmp_path, content):
    (tmp_path / "v.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"v\.json"):
        read_tltm_json(tmp_path / "v.json")


def test_after_an_error_nothing_is_left(tmp_path):
    with pytest.raises(ValueError, match="labels below 1"):
        write_all(TltmJsonWriter(tmp_path / "v.json", ("cat",)), as_videos(random_tracks(0)))
    assert list(tmp_path.iterdir()) == []
