import json
import zipfile
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from tests.cases import LEAVING, SIZE, drawn, names_in
from tests.formats.cases import as_videos, random_tracks, write_all
from tests.formats.strategies import SHARED, block, needs_shared
from tltm_graph import MovingShapes, Tracks
from tltm_graph.formats.youtube_vis import read_youtube_vis
from tltm_graph.formats.youtube_vis_results import (
    TrackWriter,
    YoutubeVisResultsWriter,
    read_tracks,
    read_youtube_vis_results,
)


def test_the_standard_fields(tmp_path):
    scene = MovingShapes(10, (48, 64), num_objects=4, seed=2)
    with TrackWriter(tmp_path / "tracks.json", video_id=7) as writer:
        for t in range(10):
            writer.write(t, scene.truth(t))
    entries = json.loads((tmp_path / "tracks.json").read_text())
    assert names_in(tmp_path) == ["tracks.json"]
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


def test_tracker_output_round_trips(tmp_path):
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
    with pytest.raises(ValueError, match="frames in order"), YoutubeVisResultsWriter(tmp_path / "t.json") as writer:
        writer.begin(as_videos(random_tracks(0))[0])
        writer.write(3, [])
        writer.write(2, [])
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=15, deadline=None)
@given(seeds=st.lists(st.integers(0, 10_000), max_size=3), num_objects=st.integers(0, 5))
def test_results_round_trip(tmp_path_factory, seeds, num_objects):
    path = tmp_path_factory.mktemp("results") / "results.json"
    videos = as_videos(*(random_tracks(seed, num_objects=num_objects) for seed in seeds))
    write_all(YoutubeVisResultsWriter(path, videos.class_names), videos)
    results = read_youtube_vis_results(path, videos)
    assert [video.tracks() for video in results] == [video.tracks() for video in videos]


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
    with pytest.raises(ValueError, match="Expected masks to submit, got boxes .* track 1 of video 'video0'"):
        write_all(YoutubeVisResultsWriter(tmp_path / "b.zip"), boxes)
    assert names_in(tmp_path) == ["r.zip"]


def test_custom_rules_for_score_and_class(tmp_path):
    videos = as_videos(random_tracks(1))
    writer = YoutubeVisResultsWriter(tmp_path / "r.json", score=lambda t: max(t.scores), label=lambda t: 0)
    write_all(writer, videos)
    for track, written in zip(read_tracks(tmp_path / "r.json").values(), videos[0].tracks().values(), strict=True):
        assert (track.score, track.label) == (max(written.scores), 0)


def test_the_track_score_wins_over_the_mean_of_its_frames(tmp_path):
    rle = block(0, 0, 4, 4)
    entries = [
        {"video_id": 1, "category_id": 1, "score": 0.5, "scores": [score, None], "segmentations": [rle, None]}
        for score in (0.49999, 0.50001, 0.5)
    ]
    (tmp_path / "r.json").write_text(json.dumps(entries))
    assert [track.score for track in read_tracks(tmp_path / "r.json").values()] == [0.5] * 3


def test_results_have_no_crowds(tmp_path):
    tracks = random_tracks(1)
    videos = as_videos(replace(tracks, tracks={2: replace(next(iter(tracks.values())), crowd=True)}))
    with pytest.raises(ValueError, match="Expected a prediction, got a crowd region as track 2 of video 'video0'"):
        write_all(YoutubeVisResultsWriter(tmp_path / "r.json"), videos)


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


def test_tracks_of_several_videos_are_refused(tmp_path):
    videos = as_videos(random_tracks(0), random_tracks(1))
    write_all(YoutubeVisResultsWriter(tmp_path / "r.json"), videos)
    with pytest.raises(ValueError, match="tracks of one video"):
        read_tracks(tmp_path / "r.json")
    with pytest.raises(FileNotFoundError, match="Expected a file"):
        read_tracks(tmp_path / "missing.json")
    (tmp_path / "r.zip").write_bytes((tmp_path / "r.json").read_bytes())
    with pytest.raises(ValueError, match="damaged file"):
        read_tracks(tmp_path / "r.zip")


@needs_shared
@pytest.mark.parametrize(
    ("name", "count"), [("PhC-C2DH-U373_01", 8), ("Fluo-N2DH-GOWT1_01", 25), ("Fluo-N2DL-HeLa_01", 178)]
)
def test_real_sequences_of_cells(tmp_path, name, count):
    videos = read_youtube_vis(SHARED / "cells" / f"{name}.json.gz")
    tracks = videos[0].tracks()
    assert len(tracks) == count
    write_all(YoutubeVisResultsWriter(tmp_path / "r.json", videos.class_names), videos)
    back = read_youtube_vis_results(tmp_path / "r.json", videos)[0].tracks()
    assert {i: replace(t, areas=None) for i, t in tracks.items()} == back.tracks
