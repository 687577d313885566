import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from tests.formats.cases import as_videos, random_tracks, write_all
from tests.formats.strategies import SHARED, needs_shared
from tltm_graph.formats.youtube_vis import YoutubeVisWriter, read_youtube_vis
from tltm_graph.structures import Tracks


def _content():
    rle = {"size": [4, 6], "counts": coco_mask.encode(torch.eye(4, 6).byte().numpy().copy("F"))["counts"].decode()}
    return {
        "videos": [{"id": 7, "height": 4, "width": 6, "length": 2, "file_names": ["a/0.jpg", "a/1.jpg"]}],
        "categories": [{"id": 2, "name": "cat"}],
        "annotations": [
            {
                "id": 1,
                "video_id": 7,
                "category_id": 2,
                "iscrowd": 0,
                "segmentations": [rle, None],
                "bboxes": [[0, 0, 4, 4], None],
                "areas": [4, None],
            }
        ],
    }


def _read(folder, content):
    (folder / "t.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return read_youtube_vis(folder / "t.json")


@settings(max_examples=15, deadline=None)
@given(seeds=st.lists(st.integers(0, 10_000), max_size=3), num_objects=st.integers(0, 5))
def test_truth_round_trips(tmp_path_factory, seeds, num_objects):
    path = tmp_path_factory.mktemp("truth") / "truth.json"
    tracks = [_truth(random_tracks(seed, num_objects=num_objects), 100 * n + 1) for n, seed in enumerate(seeds)]
    videos = as_videos(*tracks)
    write_all(YoutubeVisWriter(path, videos.class_names, (3, 10, 11)), videos)
    back = read_youtube_vis(path)
    assert back.class_names == videos.class_names
    assert back.category_ids == (3, 10, 11)
    for video, written in zip(back, tracks, strict=True):
        assert {i: replace(t, areas=None) for i, t in video.tracks().items()} == written.tracks
        assert video.tracks().num_frames == written.num_frames


def _truth(tracks: Tracks, first_id: int) -> Tracks:
    renamed = {first_id + n: replace(t, scores=(1.0,) * len(t), crowd=n == 1) for n, t in enumerate(tracks.values())}
    return replace(tracks, tracks=renamed)


def test_repeated_ids_are_renumbered(tmp_path):
    videos = as_videos(random_tracks(1), random_tracks(1))
    write_all(YoutubeVisWriter(tmp_path / "t.json", videos.class_names), videos)
    ids = [entry["id"] for entry in json.loads((tmp_path / "t.json").read_text())["annotations"]]
    assert len(set(ids)) == len(ids) == 10
    assert min(ids) >= 1, "some tools treat 0 as no track"


def test_after_an_error_nothing_is_left(tmp_path):
    with pytest.raises(ValueError, match="frames in order"), YoutubeVisWriter(tmp_path / "t.json") as writer:
        writer.begin(as_videos(random_tracks(0))[0])
        writer.write(3, [])
        writer.write(2, [])
    assert list(tmp_path.iterdir()) == []


def test_mask_encodings(tmp_path):
    content = _content()
    square = {"size": [4, 6], "counts": [5, 2, 2, 2, 13]}  # columns first: 2×2 pixels from (1, 1)
    polygon = [[1, 1, 3, 1, 3, 3, 1, 3]]
    content["annotations"][0]["segmentations"] = [square, polygon]
    del content["annotations"][0]["bboxes"], content["annotations"][0]["areas"], content["annotations"][0]["iscrowd"]
    track = _read(tmp_path, content)[0].tracks()[1]
    assert track.masks[0] == track.masks[1]
    assert track.boxes == ((1.0, 1.0, 3.0, 3.0),) * 2
    assert track.areas is None


def test_without_annotations(tmp_path):
    for change in ({"annotations": None}, {}):
        content = {key: value for key, value in _content().items() if key != "annotations"} | change
        videos = _read(tmp_path, content)
        assert [video.num_frames for video in videos] == [2]
        with pytest.raises(ValueError, match="Expected tracks of video 'a', got a video without annotations"):
            videos[0].tracks()
    assert len(_read(tmp_path, {**_content(), "annotations": []})[0].tracks()) == 0


def test_a_track_without_observations_still_counts(tmp_path):
    content = _content()
    content["annotations"][0].update(segmentations=[None, None], bboxes=[None, None], areas=[None, None])
    track = _read(tmp_path, content)[0].tracks()[1]
    assert track.frames == (0,)
    assert coco_mask.area(track.masks[0]) == 0


def test_an_empty_mask_stands_for_null(tmp_path):
    content = _content()
    none = {"size": [4, 6], "counts": [24]}
    content["annotations"][0].update(segmentations=[none, content["annotations"][0]["segmentations"][0]])
    content["annotations"][0].update(bboxes=None, areas=None)
    assert _read(tmp_path, content)[0].tracks()[1].frames == (1,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": -1}, "whole number of at least 0 as 'id', got -1"),
        ({"iscrowd": "0"}, "'iscrowd' as 0 or 1, got '0' in annotation 1"),
        ({"category_id": 1}, r"category of \[2\], got 1 in annotation 1 of video 'a'"),
        ({"segmentations": [None]}, "entry or null for each of the 2 frames, got 1"),
        (
            {"segmentations": [{"size": [4, 7], "counts": "0"}, None]},
            r"got size \[4, 7\] in frame 0 of annotation",
        ),
        ({"segmentations": [None, {"size": [4, 6], "counts": "0"}]}, "got damaged ones .* in frame 1 of annotation 1"),
        ({"segmentations": [None, 7]}, "run lengths .* or as polygons, got 7 in frame 1"),
        ({"segmentations": [[[1, 2, 3]], None]}, "at least three corners"),
        ({"bboxes": [[0, 0, 4], None]}, "four finite numbers"),
        ({"bboxes": [[0, 0, -4, 1], None]}, "width and height of at least 0"),
        ({"segmentations": None, "bboxes": None}, "Expected 'segmentations' or 'bboxes', got neither"),
    ],
)
def test_bad_annotations_are_named(tmp_path, change, message):
    content = _content()
    content["annotations"][0].update(change)
    videos = _read(tmp_path, content)
    with pytest.raises(ValueError, match=message) as error:
        videos[0].tracks()
    assert "t.json" in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"videos": None}, "got no list of 'videos'"),
        ({"annotations": {}}, "Expected 'annotations' as a list or null"),
        ({"videos": [{**_content()["videos"][0], "file_names": "abc"}]}, "no list of names"),
        ({"categories": None}, "Expected 'categories'"),
        ({"categories": [{"id": 1, "name": "a"}] * 2}, "each category once"),
        ({"videos": [{"id": 7, "file_names": []}]}, "Expected 'id', 'height', 'width' and 'file_names' in video 0"),
        ({"videos": _content()["videos"] * 2}, "each video once"),
        ({"annotations": [{"video_id": 8}]}, "annotations of the 1 videos .* got video 8"),
        ({"annotations": [{"id": 8}]}, "Expected 'video_id' in every element of 'annotations' .* element 0"),
    ],
)
def test_bad_files_of_annotations(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        _read(tmp_path, {**_content(), **change})


def test_the_same_annotation_twice(tmp_path):
    content = _content()
    content["annotations"] *= 2
    with pytest.raises(ValueError, match="each annotation once, got the id twice: annotation 1"):
        _read(tmp_path, content)[0].tracks()


@pytest.mark.parametrize("cut", [1, 2, 30, 200, 400, 10_000])
def test_a_cut_off_file(tmp_path, cut):
    with pytest.raises(ValueError, match="t.json"):
        _read(tmp_path, json.dumps(_content())[:-cut])


@pytest.mark.parametrize("text", ["[1]", "7", '{"a": 1} x', '{"annotations": [{"video_id": 1},]}', "{1: 2}"])
def test_other_files(tmp_path, text):
    with pytest.raises(ValueError, match=r"t\.json"):
        _read(tmp_path, text)


@needs_shared
@pytest.mark.parametrize(
    ("name", "count"), [("PhC-C2DH-U373_01", 8), ("Fluo-N2DH-GOWT1_01", 25), ("Fluo-N2DL-HeLa_01", 178)]
)
def test_real_sequences_of_cells(tmp_path, name, count):
    videos = read_youtube_vis(SHARED / "cells" / f"{name}.json.gz")
    tracks = videos[0].tracks()
    assert len(tracks) == count
    write_all(YoutubeVisWriter(tmp_path / "t.json", videos.class_names, videos.category_ids), videos)
    assert read_youtube_vis(tmp_path / "t.json")[0].tracks() == tracks
