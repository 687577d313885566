import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.formats.cases import write_all
from tltm_graph import MovingShapes, Tracks
from tltm_graph.detectors.precomputed import PrecomputedDetector
from tltm_graph.formats.coco_results import CocoImageResultsWriter, CocoResultsWriter, read_coco_results
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.structures import Observation

SIZE = (10, 12)
SQUARE = [2.0, 3.0, 8.0, 3.0, 8.0, 7.0, 2.0, 7.0]
BOX = (0.0, 0.0, 2.0, 2.0)
NAMES = ("one", "two", "three")


def saved(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def some_tracks(seed: int, num_frames: int, start: int = 0) -> Tracks:
    """Similar objects that overlap, leave and come back, with 32-bit scores as from a detector."""
    scene = MovingShapes(num_frames + start, (32, 40), num_objects=4, seed=seed, min_area=1)
    stream = ((t - start, scene.truth(t)) for t in range(start, num_frames + start))
    tracks = Tracks.from_stream(stream, scene.size, num_frames)
    rng = np.random.default_rng(seed)
    rows = (
        (t, row._replace(score=float(np.float32(rng.random())), label=int(rng.integers(3))))
        for t, observations in tracks.observations()
        for row in observations
    )
    return Tracks.from_observations(list(rows), scene.size, num_frames)


def thinned(tracks: Tracks) -> Tracks:
    """The tracks without masks and without the objects of frame 2."""
    rows = [(t, row._replace(mask=None)) for t, observations in tracks.observations() if t != 2 for row in observations]
    return Tracks.from_observations(rows, tracks.size, tracks.num_frames)


def video_of(name: str, number: int, tracks: Tracks) -> Video:
    return Video(name, tracks.num_frames, tracks.size, number, load=lambda: tracks)


@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
def test_results_of_videos_round_trip(tmp_path, suffix):
    nothing = Tracks({}, (32, 40), 3)
    all_tracks = [some_tracks(0, 6), nothing, thinned(some_tracks(1, 5)), some_tracks(2, 1, start=3)]
    videos = VideoSet([video_of(f"v{i}", 10 - i, tracks) for i, tracks in enumerate(all_tracks)], NAMES, (5, 9, 2))
    path = tmp_path / f"results{suffix}"
    write_all(CocoResultsWriter(path, NAMES, (5, 9, 2)), videos)
    read = read_coco_results(path, videos)
    assert [(v.name, v.id, v.size, v.num_frames) for v in read] == [
        (v.name, v.id, v.size, v.num_frames) for v in videos
    ]
    for video, tracks in zip(read, all_tracks, strict=True):
        assert video.tracks() == tracks
    assert len(all_tracks[0]) > 1
    shuffled = read_coco_results(path, videos.select(videos.videos[::-1]))
    assert [video.tracks() for video in shuffled] == all_tracks[::-1], "the order of the videos does not matter"
    opened = gzip.open if suffix.endswith("gz") else open
    with opened(path, "rt") as file:
        entries = json.load(file)
    frames = {(entry["video_id"], entry["frame"]) for entry in entries}
    assert len({entry["image_id"] for entry in entries}) == len(frames), "image ids are unique over videos"
    starts = {10: 0, 9: 6, 8: 9, 7: 14}
    assert all(entry["image_id"] == starts[entry["video_id"]] + entry["frame"] for entry in entries)
    assert {entry["category_id"] for entry in entries} == {5, 9, 2}


def test_a_detector_reads_the_results_of_a_video(tmp_path):
    tracks = some_tracks(0, 4)
    path = tmp_path / "results.json"
    write_all(CocoResultsWriter(path, NAMES), VideoSet([video_of("v", 1, tracks)], NAMES))
    detector = PrecomputedDetector.from_file(path)
    assert detector.size == tracks.size
    for frame, rows in tracks.observations():
        boxes = [(x, y, x + w, y + h) for x, y, w, h in (row["bbox"] for row in detector.rows.get(frame, []))]
        assert boxes == [row.box for row in rows]


def test_results_of_images_are_under_their_ids(tmp_path):
    path = tmp_path / "results.json"
    videos = VideoSet([video_of("a", 7, some_tracks(7, 1)), video_of("b", 3, some_tracks(3, 1))], NAMES, (5, 9, 2))
    write_all(CocoImageResultsWriter(path, NAMES, (5, 9, 2)), videos)
    entries = json.loads(path.read_text())
    assert {entry["image_id"] for entry in entries} == {7, 3}
    assert {entry["category_id"] for entry in entries} <= {5, 9, 2}
    assert [video.tracks() for video in read_coco_results(path, videos)] == [video.tracks() for video in videos]
    with pytest.raises(ValueError, match=r"Expected still images \(videos of one frame\), got 4 in 'v'"):
        CocoImageResultsWriter(tmp_path / "other.json").begin(video_of("v", 1, some_tracks(0, 4)))


def result(**values) -> dict:
    mask = coco_mask.frPyObjects([SQUARE], *SIZE)[0]
    entry = {"image_id": 0, "category_id": 1, "bbox": [2, 3, 6, 4], "score": 0.5}
    entry["segmentation"] = {"size": list(mask["size"]), "counts": mask["counts"].decode()}
    return {key: value for key, value in (entry | values).items() if value is not ...}


def test_results_of_other_software_have_no_ids(tmp_path):
    videos = VideoSet([Video("v", 3, SIZE, id=4)], ("dog",))
    path = saved(tmp_path / "r.json", [result(), result(image_id=2), result(score=1), result(image_id=2, bbox=...)])
    tracks = read_coco_results(path, videos)[0].tracks()
    assert [(track.frames, track.score) for track in tracks.values()] == [
        ((0,), 0.5),
        ((2,), 0.5),
        ((0,), 1),
        ((2,), 0.5),
    ]
    assert tracks[3].boxes == ((2, 3, 8, 7),)
    unsized = VideoSet([Video("v", None, None)], None)
    tracks = read_coco_results(saved(tmp_path / "r.json", [result(category_id=3)]), unsized)[0].tracks()
    assert (tracks.size, tracks.num_frames, tracks[0].label) == (SIZE, 1, 2)


def test_no_results(tmp_path):
    videos = VideoSet([Video("v", 3, SIZE)], ("dog",))
    path = tmp_path / "r.json"
    write_all(CocoResultsWriter(path), videos.select([]))
    assert json.loads(path.read_text()) == []
    tracks = read_coco_results(path, videos)[0].tracks()
    assert (len(tracks), tracks.num_frames, tracks.size) == (0, 3, SIZE)
    assert len(read_coco_results(path, videos.select([]))) == 0


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"images": []}, "Expected a list of COCO results in '.*', got a dict"),
        ([1], "Expected a list of COCO results"),
        ([result(image_id=3)], "Expected frames from 0 to 2 of video 'v', got 3 in entry 0 of '.*r.json'"),
        ([result(image_id=-1)], "Expected frames from 0 to 2 of video 'v', got -1"),
        ([result(image_id="0")], "Expected frames from 0 to 2 of video 'v', got '0'"),
        (
            [result(video_id=9, frame=0)],
            "Expected results for the videos or images of 'videos', got one for 9 in entry 0",
        ),
        ([result(video_id=1)], "Expected frames from 0 to 2 of video 'v', got None"),
        ([result(track_id=1), result()], "Expected 'track_id' in all results of '.*' or in none, got none in entry 1"),
    ],
)
def test_results_of_another_data_set_are_refused_at_once(tmp_path, entries, message):
    with pytest.raises(ValueError, match=message):
        read_coco_results(saved(tmp_path / "r.json", entries), VideoSet([Video("v", 3, SIZE)], ("dog",)))


def test_results_for_several_videos_need_video_ids(tmp_path):
    videos = VideoSet([Video("v", 3, SIZE), Video("w", 3, SIZE, id=2)], ("dog",))
    with pytest.raises(
        ValueError, match="Expected 'video_id' and 'frame' in results for 2 videos, got none in entry 0"
    ):
        read_coco_results(saved(tmp_path / "r.json", [result()]), videos)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"category_id": 2}, "got 2 in"),
        ({"score": "high"}, "Expected a score as a finite number, got 'high'"),
        ({"score": ...}, "Expected a 'score', got none"),
        ({"bbox": [1, 2]}, "Expected a box"),
        ({"bbox": ..., "segmentation": ...}, "Expected a box or a mask, got neither"),
        ({"track_id": -1}, "a whole number of at least 0 as 'track_id', got -1"),
        ({"segmentation": {"size": [5, 5], "counts": "0"}}, r"Expected a mask of 10×12 pixels .* \[5, 5\]"),
        ({"segmentation": {"size": [10, 12], "counts": "07"}}, "Expected runs that cover"),
    ],
)
def test_damaged_results_are_named(tmp_path, values, message):
    videos = read_coco_results(
        saved(tmp_path / "r.json", [result(**values)]), VideoSet([Video("v", 3, SIZE)], ("dog",))
    )
    with pytest.raises(ValueError, match=f"{message}.*entry 0 of '.*r.json' \\(frame 0 of video 'v'\\)"):
        videos[0].tracks()


def test_an_object_twice_in_a_frame(tmp_path):
    path = saved(tmp_path / "r.json", [result(track_id=1), result(track_id=1)])
    videos = read_coco_results(path, VideoSet([Video("v", 3, SIZE)], ("dog",)))
    with pytest.raises(ValueError, match=r"got id 1 twice in frame 0, in video 'v' of '.*r.json'"):
        videos[0].tracks()


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        (Observation(1, BOX, crowd=True), "got a crowd region .*object 1 in frame 0"),
        (Observation(1, BOX, score=float("nan")), "all finite, got .* and nan"),
        (Observation(1, (0.0, 0.0, float("inf"), 1.0)), "all finite, got"),
    ],
)
def test_the_writer_refuses_and_leaves_nothing(tmp_path, observation, message):
    with pytest.raises(ValueError, match=message), CocoResultsWriter(tmp_path / "out.json") as writer:
        writer.begin(Video("v", 1, SIZE))
        writer.write(0, [observation])
    assert list(tmp_path.iterdir()) == []
