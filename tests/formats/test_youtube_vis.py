import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from tests.cases import LEAVING, SIZE, drawn
from tests.formats.cases import as_videos, random_tracks, write_all
from tltm_graph import MovingShapes, Tracks
from tltm_graph.formats import TrackWriter, read_tracks
from tltm_graph.formats.youtube_vis import YoutubeVisWriter, read_youtube_vis
from tltm_graph.formats.youtube_vis_results import YoutubeVisResultsWriter, read_youtube_vis_results

SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_the_standard_fields(tmp_path):
    scene = MovingShapes(10, (48, 64), num_objects=4, seed=2)
    with TrackWriter(tmp_path / "tracks.json", video_id=7) as writer:
        for t in range(10):
            writer.write(t, scene.truth(t))
    entries = json.loads((tmp_path / "tracks.json").read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["tracks.json"]
    tracks = Tracks.from_stream(((t, scene.truth(t)) for t in range(10)), scene.size)
    assert [entry["track_id"] for entry in entries] == list(tracks)
    for entry in entries:
        track = tracks[entry["track_id"]]
        assert entry["video_id"] == 7
        assert entry["category_id"] == track.label + 1
        assert entry["score"] == pytest.approx(track.score, abs=1e-5)
        assert len(entry["segmentations"]) == 10
        seen = [t for t, rle in enumerate(entry["segmentations"]) if rle]
        assert seen == list(track.frames)
        for t in seen:
            truth = scene.truth(t)
            mask = truth.masks[truth.ids.tolist().index(entry["track_id"])]
            assert coco_mask.area(entry["segmentations"][t]) == mask.sum()


def test_what_a_tracker_writes_is_read(tmp_path):
    scene = MovingShapes(10, (48, 64), num_objects=4, seed=2)
    path = tmp_path / "tracks.json"
    with TrackWriter(path) as writer:
        for t in range(10):
            writer.write(t, scene.truth(t))
    tracks = read_tracks(path)
    assert tracks.size == (48, 64)
    assert tracks.num_frames == 10
    for t in range(10):
        assert torch.equal(tracks.at(t).ids, scene.truth(t).ids)
        torch.testing.assert_close(tracks.at(t).boxes, scene.truth(t).boxes)


def test_boxes_alone_and_objects_without_id(tmp_path):
    path = tmp_path / "tracks.json"
    with TrackWriter(path) as writer:
        for t, detections in enumerate(drawn(LEAVING)):
            writer.write(t, detections.replace(ids=torch.where(detections.ids == 1, -1, detections.ids)))
    tracks = read_tracks(path, SIZE)
    assert list(tracks) == [0]
    assert tracks[0].frames == tuple(range(7))
    assert tracks[0].masks is None
    assert read_tracks(path).size is None
    assert len(read_tracks(path).at(0)) == 1


def test_no_tracks_is_an_empty_list(tmp_path):
    with TrackWriter(tmp_path / "tracks.json") as writer:
        writer.write(0, drawn("..")[0])
    assert json.loads((tmp_path / "tracks.json").read_text()) == []
    assert len(read_tracks(tmp_path / "tracks.json").at(0)) == 0


def test_after_an_error_nothing_is_left(tmp_path):
    with pytest.raises(ValueError, match="Expected detections with ids"), TrackWriter(tmp_path / "t.json") as writer:
        writer.write(0, drawn("a")[0])
        writer.write(1, drawn("a")[0].replace(ids=None))
    for kind in (YoutubeVisWriter, YoutubeVisResultsWriter):
        with pytest.raises(ValueError, match="frames in order"), kind(tmp_path / "t.json") as writer:
            writer.begin(as_videos(random_tracks(0))[0])
            writer.write(3, [])
            writer.write(2, [])
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=15, deadline=None)
@given(seeds=st.lists(st.integers(0, 10_000), max_size=3), num_objects=st.integers(0, 5))
def test_results_come_back_as_they_were(tmp_path_factory, seeds, num_objects):
    path = tmp_path_factory.mktemp("results") / "results.json"
    videos = as_videos(*(random_tracks(seed, num_objects=num_objects) for seed in seeds))
    write_all(YoutubeVisResultsWriter(path, videos.class_names), videos)
    results = read_youtube_vis_results(path, videos)
    assert [video.tracks() for video in results] == [video.tracks() for video in videos]


@settings(max_examples=15, deadline=None)
@given(seeds=st.lists(st.integers(0, 10_000), max_size=3), num_objects=st.integers(0, 5))
def test_truth_comes_back_as_it_was(tmp_path_factory, seeds, num_objects):
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


def test_ids_that_repeat_are_numbered_on(tmp_path):
    videos = as_videos(random_tracks(1), random_tracks(1))
    write_all(YoutubeVisWriter(tmp_path / "t.json", videos.class_names), videos)
    ids = [entry["id"] for entry in json.loads((tmp_path / "t.json").read_text())["annotations"]]
    assert len(set(ids)) == len(ids) == 10
    assert min(ids) >= 1, "some tools take 0 for nothing"


def test_the_zip_to_submit(tmp_path):
    videos = as_videos(random_tracks(1))
    write_all(YoutubeVisResultsWriter(tmp_path / "r.zip", videos.class_names), videos)
    with zipfile.ZipFile(tmp_path / "r.zip") as archive:
        entries = json.loads(archive.read("results.json"))
    assert all(set(entry) == {"video_id", "category_id", "score", "segmentations"} for entry in entries)
    back = read_youtube_vis_results(tmp_path / "r.zip", videos)[0].tracks()
    for track, written in zip(back.values(), videos[0].tracks().values(), strict=True):
        assert (track.frames, track.masks, track.label) == (written.frames, written.masks, written.label)
        assert track.score == written.score, "one score a track is all that the standard has"
    track = next(iter(random_tracks(1).values()))
    boxes = as_videos(replace(random_tracks(1), tracks={1: replace(track, masks=None)}))
    with pytest.raises(ValueError, match="Expected masks to submit, got boxes alone for track 1 of video 'video0'"):
        write_all(YoutubeVisResultsWriter(tmp_path / "b.zip"), boxes)
    assert [path.name for path in tmp_path.iterdir()] == ["r.zip"]


def test_another_rule_for_score_and_class(tmp_path):
    videos = as_videos(random_tracks(1))
    writer = YoutubeVisResultsWriter(tmp_path / "r.json", score=lambda t: max(t.scores), label=lambda t: 0)
    write_all(writer, videos)
    for track, written in zip(read_tracks(tmp_path / "r.json").values(), videos[0].tracks().values(), strict=True):
        assert (track.score, track.label) == (max(written.scores), 0)


def test_other_ways_to_write_a_mask(tmp_path):
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


def test_a_track_that_is_nowhere_still_counts(tmp_path):
    content = _content()
    content["annotations"][0].update(segmentations=[None, None], bboxes=[None, None], areas=[None, None])
    track = _read(tmp_path, content)[0].tracks()[1]
    assert track.frames == (0,)
    assert coco_mask.area(track.masks[0]) == 0


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": -1}, "whole number of at least 0 as 'id', got -1"),
        ({"iscrowd": "0"}, "'iscrowd' as 0 or 1, got '0' in annotation 1"),
        ({"category_id": 1}, r"category of \[2\], got 1 in annotation 1 of video 'a'"),
        ({"segmentations": [None]}, "entry or null for each of the 2 frames, got 1"),
        (
            {"segmentations": [{"size": [4, 7], "counts": "0"}, None]},
            r"got one of size \[4, 7\] in frame 0 of annotation",
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
        ({"annotations": [{"video_id": 8}]}, "annotations of the 1 videos .* got some of video 8"),
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


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("[{", "damaged or cut-off"),
        (7, "a list with one entry a track, got a int"),
        ([{"video_id": 1}], "category of"),
        ([{"video_id": 9}], "for the 1 videos .* got some for video 9 in entry 0"),
        ([{"video_id": 1, "category_id": 9}], "category of"),
        ([{"video_id": 1, "category_id": 1}], "score as a finite number, got None in entry 0"),
        ([{"video_id": 1, "category_id": 1, "score": float("nan")}], "score as a finite number"),
        ([{"video_id": 1, "category_id": 1, "score": 1, "segmentations": [None]}], "each of the 8 frames, got 1"),
        ([{"video_id": 1, "category_id": 1, "score": 1}], "'segmentations' or 'bboxes'"),
        ([{"video_id": 1, "category_id": 1, "score": 1, "track_id": -1}], "at least 0 as 'track_id', got -1"),
        ([{"video_id": 1, "category_id": 1, "score": 1, "track_id": 2**70}], "at least 0 as 'track_id'"),
    ],
)
def test_bad_results(tmp_path, entry, message):
    (tmp_path / "r.json").write_text(entry if isinstance(entry, str) else json.dumps(entry))
    with pytest.raises(ValueError, match=message):
        read_youtube_vis_results(tmp_path / "r.json", as_videos(random_tracks(0)))[0].tracks()


def test_results_of_several_videos_are_no_single_one(tmp_path):
    videos = as_videos(random_tracks(0), random_tracks(1))
    write_all(YoutubeVisResultsWriter(tmp_path / "r.json"), videos)
    with pytest.raises(ValueError, match="tracks of one video"):
        read_tracks(tmp_path / "r.json")
    with pytest.raises(FileNotFoundError, match="Expected a file"):
        read_tracks(tmp_path / "missing.json")
    (tmp_path / "r.zip").write_bytes((tmp_path / "r.json").read_bytes())
    with pytest.raises(ValueError, match="damaged file"):
        read_tracks(tmp_path / "r.zip")


@pytest.mark.skipif(not SHARED.exists(), reason="needs the folder 'shared' beside the project")
def test_real_sequences_of_cells(tmp_path):
    for path, count in (("PhC-C2DH-U373_01", 8), ("Fluo-N2DH-GOWT1_01", 25), ("Fluo-N2DL-HeLa_01", 178)):
        videos = read_youtube_vis(SHARED / "cells" / f"{path}.json.gz")
        tracks = videos[0].tracks()
        assert len(tracks) == count
        write_all(YoutubeVisWriter(tmp_path / "t.json", videos.class_names, videos.category_ids), videos)
        assert read_youtube_vis(tmp_path / "t.json")[0].tracks() == tracks
        write_all(YoutubeVisResultsWriter(tmp_path / "r.json", videos.class_names), videos)
        back = read_youtube_vis_results(tmp_path / "r.json", videos)[0].tracks()
        assert {i: replace(t, areas=None) for i, t in tracks.items()} == back.tracks


def test_a_track_is_ranked_by_its_score_and_not_by_the_mean(tmp_path):
    rle = _content()["annotations"][0]["segmentations"][0]
    entries = [
        {"video_id": 1, "category_id": 1, "score": 0.5, "scores": [score, None], "segmentations": [rle, None]}
        for score in (0.49999, 0.50001, 0.5)
    ]
    (tmp_path / "r.json").write_text(json.dumps(entries))
    assert [track.score for track in read_tracks(tmp_path / "r.json").values()] == [0.5] * 3


def test_an_empty_mask_stands_for_null(tmp_path):
    content = _content()
    none = {"size": [4, 6], "counts": [24]}
    content["annotations"][0].update(segmentations=[none, content["annotations"][0]["segmentations"][0]])
    content["annotations"][0].update(bboxes=None, areas=None)
    assert _read(tmp_path, content)[0].tracks()[1].frames == (1,)


def test_results_have_no_crowds(tmp_path):
    truth = as_videos(_truth(random_tracks(1), 1))
    with pytest.raises(ValueError, match="Expected predictions, got a crowd region of the truth as track 2"):
        write_all(YoutubeVisResultsWriter(tmp_path / "r.json"), truth)
