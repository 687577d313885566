import gzip
import json

import pytest
from hypothesis import given, settings

from tests.formats.strategies import SHARED, SIZE, block, needs_shared, random_tracks, same_again, video_of, written
from tltm_graph.formats.bdd100k import BDD100K_CLASSES, Bdd100kWriter, read_bdd100k
from tltm_graph.formats.video import Video
from tltm_graph.structures import Observation, Tracks

BOX = (0.0, 0.0, 1.0, 1.0)
RLE = block(1, 2, 3, 5)


def label(**changes) -> dict:
    return {"id": "3", "category": "car", "rle": dict(RLE), **changes}


def frame(index: int, *labels: dict, **changes) -> dict:
    return {"name": f"v-{index + 1:07d}.jpg", "videoName": "v", "frameIndex": index, "labels": [*labels], **changes}


def tracks_of(path, *frames: dict) -> Tracks:
    (path / "a.json").write_text(json.dumps(frames), encoding="utf-8")
    (video,) = read_bdd100k(path / "a.json")
    return video.tracks()


@pytest.mark.parametrize("with_masks", [False, True])
def test_tracks_round_trip(tmp_path_factory, with_masks):
    @given(first=random_tracks(8, with_masks, least=1.0), second=random_tracks(8, with_masks, least=1.0))
    @settings(max_examples=30, deadline=None)
    def check(first: Tracks, second: Tracks) -> None:
        path = tmp_path_factory.mktemp("bdd") / "results.json"
        written(Bdd100kWriter(path, BDD100K_CLASSES), [video_of(first, "one"), video_of(second, "two")])
        videos = read_bdd100k(path)
        for name, tracks in (("one", first), ("two", second)):
            video = videos.named(name)
            if tracks.num_frames == 0:
                assert video is None, "a video without frames is not in a list of frames"
            else:
                assert (video.tracks().tracks, video.num_frames) == (tracks.tracks, tracks.num_frames)

    check()


@given(random_tracks(8))
@settings(max_examples=20, deadline=None)
def test_any_box_round_trips_except_for_the_last_bit(tmp_path_factory, tracks):
    path = tmp_path_factory.mktemp("bdd") / "results.json"
    written(Bdd100kWriter(path, BDD100K_CLASSES), [video_of(tracks)])
    for video in read_bdd100k(path):
        for track_id, track in video.tracks().items():
            for box, expected in zip(track.boxes, tracks[track_id].boxes, strict=True):
                last_bit = max(3e-16, 2**-52 * max(map(abs, expected)))
                assert box == pytest.approx(expected, rel=0, abs=last_bit)


@pytest.mark.parametrize("edge", [0.3, 0.1, 1e-164, 0.7, 0.9999999999999999])
def test_boxes_without_width_round_trip(tmp_path, edge):
    rows = [(0, Observation(1, (edge, edge, edge, edge)))]
    written(Bdd100kWriter(tmp_path / "a.json", ["car"]), [video_of(Tracks.from_observations(rows, None))])
    (box,) = read_bdd100k(tmp_path / "a.json")[0].tracks()[1].boxes
    assert box == pytest.approx((edge,) * 4, abs=3e-16)


def test_labels(tmp_path):
    boxed = {"id": "10", "category": "rider", "box2d": {"x1": 1.5, "y1": 2, "x2": 3.5, "y2": 2}, "score": 0.25}
    tracks = tracks_of(
        tmp_path,
        frame(1, label(attributes=None), boxed),
        frame(0, label(attributes={"crowd": True, "occluded": False}), label(id="4", category="other person")),
        frame(2, label(id="5", attributes={"ignored": True}), labels=None),
    )
    assert (tracks.num_frames, tracks.size, list(tracks)) == (3, SIZE, [3, 4, 10, 11])
    assert (tracks[3].frames, tracks[3].labels, tracks[3].crowd) == ((1,), (2,), False)
    assert (tracks[3].boxes, tracks[3].masks) == (((2.0, 1.0, 5.0, 3.0),), (RLE,)), "the tight box"
    assert (tracks[11].frames, tracks[11].labels, tracks[11].crowd) == ((0,), (2,), True), "object 3, where not scored"
    assert (tracks[4].labels, tracks[4].crowd) == ((0,), True)
    assert (tracks[10].boxes, tracks[10].scores) == (((1.5, 2.0, 4.5, 3.0),), (0.25,))
    assert tracks[10].masks is None


def test_ids_that_are_not_numbers_are_numbered(tmp_path):
    tracks = tracks_of(tmp_path, frame(0, label(id="b"), label(id="10", category="bus")), frame(1, label(id="a")))
    assert {track_id: track.labels for track_id, track in tracks.items()} == {1: (4,), 2: (2,), 3: (2,)}
    assert list(tracks_of(tmp_path, frame(0, label(id="01"), label(id="1")))) == [1, 2]
    assert list(tracks_of(tmp_path, frame(0, label(id=12)))) == [12]


def test_layouts(tmp_path):
    for name in ("v1", "v2"):
        frames = [frame(0, label(), videoName=None), frame(1, videoName=None)]
        with gzip.open(tmp_path / f"{name}.json.gz", "wt") as file:
            json.dump({"config": None, "frames": frames}, file)
    videos = read_bdd100k(tmp_path)
    assert [(v.name, v.id, v.num_frames, v.size) for v in videos] == [("v1", 1, 2, SIZE), ("v2", 2, 2, SIZE)]
    assert videos[0].frame_names == ("v-0000001", "v-0000002")
    assert videos[1].tracks()[3].frames == (0,)
    (tmp_path / "none.json").write_text("[]", encoding="utf-8")
    assert len(read_bdd100k(tmp_path / "none.json")) == 0
    (tmp_path / "sized.json").write_text(
        json.dumps([frame(0, size={"height": 4, "width": 5}, labels=None)]), encoding="utf-8"
    )
    assert read_bdd100k(tmp_path / "sized.json")[0].tracks() == Tracks({}, (4, 5), 1)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ({"labels": []}, r"Expected a list of frames, or an object with 'frames', in '.*a\.json'"),
        ([1], "Expected a list of frames"),
        ([frame(0), frame(2)], r"Expected 'frameIndex' 0 to 1, each once, in the 2 frames of video 'v' .* \[0, 2\]"),
        ([frame(0), frame(0)], "Expected 'frameIndex' 0 to 1, each once"),
        ([frame(None or 0, frameIndex=None)], "Expected 'frameIndex' 0 to 0"),
    ],
)
def test_errors_in_a_file_are_raised_at_once(tmp_path, frames, message):
    (tmp_path / "a.json").write_text(json.dumps(frames), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_bdd100k(tmp_path / "a.json")


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="Expected files of BDD100K tracks"):
        read_bdd100k(tmp_path)
    with pytest.raises(FileNotFoundError, match="Expected a file with BDD100K tracks"):
        read_bdd100k(tmp_path / "nothing.json")
    (tmp_path / "a.json").write_text('[{"name": ', encoding="utf-8")
    with pytest.raises(ValueError, match="got a damaged or cut-off JSON file"):
        read_bdd100k(tmp_path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([{"category": "car"}], r"Expected labels with an 'id', got .* in '.*a\.json', video 'v', frame 0"),
        ([label(category=None)], r"Expected a 'category'.* in '.*a\.json', video 'v', frame 0, object '3'"),
        ([label(attributes=[1])], "Expected a 'category', a text, and 'attributes', an object"),
        ([label(rle=None)], "Expected 'rle' or 'box2d', got neither .* object '3': turn polygons"),
        ([label(rle={"counts": "x"})], "Expected 'rle' with its 'size'"),
        ([label(), label(id="4", rle=block(0, 0, 1, 1, (5, 5)))], r"Expected a mask of 6×10 .* object '4'"),
        ([label(rle={**RLE, "counts": RLE["counts"][:-1]})], r"Expected runs that cover the 6×10 .* object '3'"),
        ([label(score="high")], "Expected a score as a finite number, got 'high' in .* object '3'"),
        ([label(box2d={"x1": 0, "y1": 0, "x2": 1})], "Expected 'box2d' with finite x1, y1, x2 and y2"),
        ([label(box2d={"x1": 0, "y1": 0, "x2": 1, "y2": float("nan")})], "Expected 'box2d' with finite"),
        ([label(box2d={"x1": 5, "y1": 0, "x2": 1, "y2": 1})], "Expected 'box2d' with a size of at least 0"),
        ([label(), label()], r"got id 3 twice in frame 0, in '.*a\.json', video 'v'"),
    ],
)
def test_errors_in_labels_are_raised_with_the_tracks(tmp_path, labels, message):
    with pytest.raises(ValueError, match=message):
        tracks_of(tmp_path, frame(0, *labels))


def test_written_fields(tmp_path):
    rows = [
        (1, Observation(7, (0.0, 1.0, 3.0, 4.5), 0.5, 0, RLE)),
        (1, Observation(8, BOX, 1.0, 1, None, crowd=True)),
    ]
    path = tmp_path / "new" / "a.json"
    written(Bdd100kWriter(path, ["person", "tree"]), [video_of(Tracks.from_observations(rows, SIZE, 2))])
    first, second = json.loads(path.read_text())
    assert first == {"name": "clip-0000001.jpg", "videoName": "clip", "frameIndex": 0, "labels": []}
    assert second["labels"] == [
        {
            "id": "7",
            "category": "pedestrian",
            "box2d": {"x1": 0, "y1": 1, "x2": 2, "y2": 3.5},
            "score": 0.5,
            "attributes": {"crowd": False},
            "rle": {"counts": RLE["counts"], "size": [6, 10]},
        },
        {
            "id": "8",
            "category": "tree",
            "box2d": {"x1": 0, "y1": 0, "x2": 0, "y2": 0},
            "score": 1,
            "attributes": {"crowd": True},
        },
    ]


def test_writer_refuses_and_leaves_nothing(tmp_path):
    def one(row: Observation, *class_names: str) -> None:
        written(
            Bdd100kWriter(tmp_path / "a.json", class_names or None),
            [video_of(Tracks.from_observations([(2, row)], SIZE))],
        )

    with pytest.raises(
        ValueError, match=r"Expected a class of BDD100K .* got 'dog' for object 3 in frame 2 of video 'c"
    ):
        one(Observation(3, BOX), "dog")
    with pytest.raises(ValueError, match="got 'unknown' for object 3 .* name the classes"):
        one(Observation(3, BOX))
    with pytest.raises(ValueError, match="all finite, got .* for object 3 in frame 2"):
        one(Observation(3, BOX, float("nan")), "car")
    with pytest.raises(KeyError), Bdd100kWriter(tmp_path / "a.json", ["car"]) as writer:
        writer.begin(Video("clip"))
        writer.write(0, [Observation(3, BOX)])
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    written(Bdd100kWriter(tmp_path / "a.json", ["car"]), [])
    assert json.loads((tmp_path / "a.json").read_text()) == []


@needs_shared
@pytest.mark.parametrize(("name", "count"), [("sample", 1768), ("preds", 1567)])
def test_real_files_round_trip(tmp_path, name, count):
    videos = read_bdd100k(SHARED / "bdd100k_masks" / "seg_track" / f"seg_track_{name}.json.gz")
    tracks = videos[0].tracks()
    assert (len(tracks), sum(map(len, tracks.values())), tracks.size) == (90, count, (720, 1280))
    written(Bdd100kWriter(tmp_path / "a.json", videos.class_names), list(videos))
    again = read_bdd100k(tmp_path / "a.json")
    same_again(videos, again)
    assert again[0].frame_names == videos[0].frame_names
    if name == "sample":
        regions = {track_id: len(track) for track_id, track in tracks.items() if track.crowd}
        assert regions == {420467: 8, 421687: 2, 417639: 3, 417966: 4}
