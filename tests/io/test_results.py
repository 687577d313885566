import json

import pytest
import torch
from pycocotools import mask as coco_mask

from tests.cases import LEAVING, SIZE, drawn
from tltm_graph import MovingShapes, Tracks
from tltm_graph.io import TrackWriter, read_tracks


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


def test_round_trip(tmp_path):
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
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["[{", '[{"video_id": 1}]', "7"])
def test_bad_files(tmp_path, text):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(ValueError, match="Expected tracks as written by tltm_graph"):
        read_tracks(tmp_path / "t.json")
