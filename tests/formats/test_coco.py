import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import coco
from pycocotools import mask as coco_mask

from tltm_graph import MovingShapes, Tracks
from tltm_graph.detectors.precomputed import PrecomputedDetector
from tltm_graph.formats.coco import CocoWriter, read_coco
from tltm_graph.formats.coco_results import CocoImageResultsWriter, CocoResultsWriter, read_coco_results
from tltm_graph.formats.video import Video, VideoSet
from tltm_graph.ops import decode_rle, encode_rle
from tltm_graph.structures import Observation

SIZE = (10, 12)
SQUARE = [2.0, 3.0, 8.0, 3.0, 8.0, 7.0, 2.0, 7.0]


def data_set(**changes) -> dict:
    """Two images: one with a polygon, run lengths of both kinds and a crowd, one without objects."""
    pixels = np.zeros(SIZE, bool)
    pixels[1:4, 2:6] = True
    (packed,) = encode_rle(torch.from_numpy(pixels)[None])
    flat = pixels.ravel(order="F").astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    rest = {"image_id": 7, "iscrowd": 0}
    content = {
        "info": {"year": 2017},
        "images": [
            {"id": 7, "file_name": "000000000007.jpg", "height": 10, "width": 12},
            {"id": 3, "file_name": "000000000003.jpg", "height": 4, "width": 5},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}],
        "annotations": [
            {**rest, "id": 11, "category_id": 18, "bbox": [2.5, 3, 5.5, 4], "segmentation": [SQUARE], "area": 24.5},
            {**rest, "id": 10, "category_id": 1, "bbox": [2, 1, 4, 3], "segmentation": packed, "area": 12},
            {
                **rest,
                "id": 12,
                "category_id": 1,
                "bbox": [2, 1, 4, 3],
                "segmentation": {"size": [10, 12], "counts": counts},
                "area": 12,
                "iscrowd": 1,
            },
        ],
    }
    return content | changes


def saved(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def changed(tmp_path: Path, **values) -> Path:
    """The data set with other values in its first annotation; None takes one away."""
    content = data_set()
    content["annotations"][0] |= values
    content["annotations"][0] = {key: value for key, value in content["annotations"][0].items() if value is not None}
    return saved(tmp_path / "coco.json", content)


def test_images_are_videos_of_one_frame(tmp_path):
    videos = read_coco(saved(tmp_path / "coco.json", data_set()), tmp_path / "images")
    assert [(v.name, v.id, v.size, v.num_frames) for v in videos] == [
        ("000000000007", 7, (10, 12), 1),
        ("000000000003", 3, (4, 5), 1),
    ]
    assert (videos.class_names, videos.category_ids) == (("person", "dog"), (1, 18))
    assert videos[0].images == (tmp_path / "images" / "000000000007.jpg",)
    first, second = (video.tracks() for video in videos)
    assert (len(second), second.size, second.num_frames) == (0, (4, 5), 1)
    assert [track.label for track in first.values()] == [1, 0, 0]
    assert [track.crowd for track in first.values()] == [False, False, True]
    assert [track.areas for track in first.values()] == [(24.5,), (12.0,), (12.0,)]
    assert first[0].boxes == ((2.5, 3, 8.0, 7),)
    assert first[1].masks == first[2].masks, "run lengths in both ways"


def test_masks_are_those_of_the_reference(tmp_path):
    path = saved(tmp_path / "coco.json", data_set())
    reference = coco.COCO(str(path))
    tracks = read_coco(path)[0].tracks()
    for annotation, track in zip(data_set()["annotations"], tracks.values(), strict=True):
        expected = reference.annToMask(reference.anns[annotation["id"]])
        np.testing.assert_array_equal(decode_rle(track.masks, SIZE)[0].numpy(), expected)
    assert decode_rle(tracks[0].masks, SIZE)[0, 3:7, 2:8].all()


def test_several_polygons_are_one_object(tmp_path):
    other = [0, 8, 4, 8, 4, 10, 0, 10]
    path = changed(tmp_path, segmentation=[SQUARE, other], bbox=[0, 3, 8, 7])
    (mask,) = decode_rle(read_coco(path)[0].tracks()[0].masks, SIZE)
    assert mask.sum() == 6 * 4 + 4 * 2


def test_a_missing_box_is_tight_and_a_missing_area_unknown(tmp_path):
    tracks = read_coco(changed(tmp_path, bbox=None, area=None))[0].tracks()
    assert tracks[0].boxes == ((2.0, 3.0, 8.0, 7.0),)
    assert tracks[0].areas is None


def test_boxes_alone(tmp_path):
    content = data_set()
    for annotation in content["annotations"]:
        del annotation["segmentation"]
    tracks = read_coco(saved(tmp_path / "coco.json", content))[0].tracks()
    assert all(track.masks is None for track in tracks.values())


def test_without_annotations(tmp_path):
    content = data_set()
    del content["annotations"], content["categories"]
    videos = read_coco(saved(tmp_path / "coco.json", content))
    with pytest.raises(ValueError, match="got a video without annotations"):
        videos[0].tracks()
    assert len(read_coco(saved(tmp_path / "none.json", {"images": []}))) == 0
    empty = read_coco(saved(tmp_path / "empty.json", data_set(annotations=[])))
    assert [len(video.tracks()) for video in empty] == [0, 0]


def test_names_are_made_unique(tmp_path):
    files = ["a/1.jpg", "b/1.jpg", "2.jpg", "c/3.jpg", "c/3.png"]
    images = [{"id": i, "file_name": file, "height": 4, "width": 5} for i, file in enumerate(files)]
    videos = read_coco(saved(tmp_path / "coco.json", data_set(images=images, annotations=[])))
    assert [video.name for video in videos] == ["a/1", "b/1", "2", "c/3.jpg", "c/3.png"]


def test_the_folder_of_an_image_of_a_joint_data_set(tmp_path):
    content = data_set()
    content["images"][0]["dataset"] = "coco"
    videos = read_coco(saved(tmp_path / "coco.json", content), "frames")
    assert [str(video.images[0]) for video in videos] == ["frames/coco/000000000007.jpg", "frames/000000000003.jpg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], r"got no list of 'images'; results are read by read_coco_results"),
        ({"videos": []}, "got no list of 'images'"),
        (data_set(images=[{"id": 1}]), "Expected images with 'id', 'file_name', 'height' and 'width' in '.*image 0"),
        (data_set(images=[{"id": 1, "file_name": "a", "height": 0, "width": 1}]), "Expected images with"),
        (data_set(images=data_set()["images"][:1] * 2), "Expected each image once in '.*', got id 7 twice"),
        (data_set(annotations={}), "Expected 'annotations' as a list in '.*', got a dict"),
        (data_set(categories=[]), "got 18 in annotation 11 of"),
        (data_set(annotations=data_set()["annotations"][:1] * 2), "no two alike, in '.*', got 11 in annotation 1"),
        (data_set(annotations=[{"image_id": 7}]), "Expected annotations with a number each as 'id'.* got None"),
        (data_set(annotations=[3]), "Expected annotations with a number each as 'id'.* got None"),
    ],
)
def test_damaged_data_sets(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_coco(saved(tmp_path / "coco.json", content))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image_id": 8}, "got image 8 in annotation 11"),
        ({"category_id": 2}, "got 2 in annotation 11 of '.*coco.json'"),
    ],
)
def test_unknown_images_and_categories_are_told_at_once(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        read_coco(changed(tmp_path, **values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bbox": [1, 2, 3]}, r"Expected a box .* of four finite numbers, got \[1, 2, 3\]"),
        ({"bbox": [1, 2, -3, 4]}, "Expected a box with a width and height of at least 0"),
        ({"bbox": [2, 3, 12, 4]}, r"Expected boxes in an image of 10×12 pixels \(H×W\), got \[2, 3, 14, 7\]"),
        ({"segmentation": [[1, 2, 3, 4]]}, "Expected polygons .* of at least three corners"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "Expected polygons"),
        ({"segmentation": [["a"] * 6]}, "Expected polygons"),
        ({"segmentation": {"size": [12, 10], "counts": "0"}}, r"Expected a mask of 10×12 pixels .* \[12, 10\]"),
        ({"segmentation": {"size": [10, 12], "counts": [5, 6]}}, "Expected runs that cover .*, got 11 pixels"),
        ({"segmentation": {"size": [10, 12], "counts": "05"}}, "Expected runs that cover .* got damaged ones"),
        ({"segmentation": "mask"}, "Expected a mask as run lengths"),
        ({"segmentation": []}, "Expected 'segmentation' in all annotations of an image or in none, got none"),
        ({"iscrowd": 2}, "Expected 'iscrowd' as 0 or 1, got 2"),
        ({"area": "big"}, "as a finite number, got 'big'"),
    ],
)
def test_damaged_annotations_are_told_with_their_place(tmp_path, values, message):
    videos = read_coco(changed(tmp_path, **values))
    with pytest.raises(
        ValueError, match=f"{message}.* annotation 11, image 7 \\('000000000007.jpg'\\) of '.*coco.json'"
    ):
        videos[0].tracks()


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "cut.json").write_text(json.dumps(data_set())[:-20])
    with pytest.raises(ValueError, match=r"a COCO data set in '.*cut.json', got a damaged or cut-off JSON file"):
        read_coco(tmp_path / "cut.json")
    with pytest.raises(FileNotFoundError):
        read_coco(tmp_path / "none.json")


# Writing


def some_tracks(seed: int, num_frames: int, start: int = 0) -> Tracks:
    """Overlapping look-alikes that leave and come back; numbers as a detector gives them."""
    scene = MovingShapes(num_frames + start, (32, 40), num_objects=4, seed=seed, min_area=1)
    stream = ((t - start, scene.truth(t)) for t in range(start, num_frames + start))
    tracks = Tracks.from_stream(stream, scene.size, num_frames)
    rng = np.random.default_rng(seed)
    rows = (
        (t, row._replace(score=float(np.float32(rng.random())), label=int(rng.integers(3))))
        for t, seen in tracks.observations()
        for row in seen
    )
    return Tracks.from_observations(list(rows), scene.size, num_frames)


def shorter(tracks: Tracks) -> Tracks:
    """Without masks, and without the objects of one frame."""
    rows = [(t, row._replace(mask=None)) for t, seen in tracks.observations() if t != 2 for row in seen]
    return Tracks.from_observations(rows, tracks.size, tracks.num_frames)


def video_of(name: str, number: int, tracks: Tracks) -> Video:
    return Video(name, tracks.num_frames, tracks.size, number, load=lambda: tracks)


def write(writer, videos: VideoSet) -> Path:
    with writer:
        for video in videos:
            writer.begin(video)
            for frame, rows in video.tracks().observations():
                writer.write(frame, rows)
    return writer.path


NAMES = ("one", "two", "three")


@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
def test_results_of_videos_come_back_exactly(tmp_path, suffix):
    nothing = Tracks({}, (32, 40), 3)
    all_tracks = [some_tracks(0, 6), nothing, shorter(some_tracks(1, 5)), some_tracks(2, 1, start=3)]
    videos = VideoSet([video_of(f"v{i}", 10 - i, tracks) for i, tracks in enumerate(all_tracks)], NAMES, (5, 9, 2))
    path = write(CocoResultsWriter(tmp_path / f"results{suffix}", NAMES, (5, 9, 2)), videos)
    read = read_coco_results(path, videos)
    assert [(v.name, v.id, v.size, v.num_frames) for v in read] == [
        (v.name, v.id, v.size, v.num_frames) for v in videos
    ]
    for video, tracks in zip(read, all_tracks, strict=True):
        assert video.tracks() == tracks
    assert len(all_tracks[0]) > 1
    shuffled = read_coco_results(path, videos.select(videos.videos[::-1]))
    assert [video.tracks() for video in shuffled] == all_tracks[::-1], "the order of the videos does not count"
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
    path = write(CocoResultsWriter(tmp_path / "results.json", NAMES), VideoSet([video_of("v", 1, tracks)], NAMES))
    detector = PrecomputedDetector.from_file(path)
    assert detector.size == tracks.size
    for frame, rows in tracks.observations():
        boxes = [(x, y, x + w, y + h) for x, y, w, h in (row["bbox"] for row in detector.rows.get(frame, []))]
        assert boxes == [row.box for row in rows]


def test_results_of_images_are_under_their_ids(tmp_path):
    truth = read_coco(saved(tmp_path / "coco.json", data_set()))
    predicted = truth.select([video_of(v.name, v.id, some_tracks(v.id, 1)) for v in truth])
    sizes = VideoSet([video_of(v.name, v.id, v.tracks()) for v in predicted], truth.class_names, truth.category_ids)
    rows = [
        (v, [row._replace(id=i, label=0) for i, row in enumerate(next(v.tracks().observations())[1])]) for v in sizes
    ]
    with CocoImageResultsWriter(tmp_path / "results.json", truth.class_names, truth.category_ids) as writer:
        for video, seen in rows:
            writer.begin(video)
            writer.write(0, seen)
    entries = json.loads((tmp_path / "results.json").read_text())
    assert {entry["image_id"] for entry in entries} == {7, 3}
    assert {entry["category_id"] for entry in entries} == {1}
    for video, (_, seen) in zip(read_coco_results(tmp_path / "results.json", sizes), rows, strict=True):
        assert [row for _, found in video.tracks().observations() for row in found] == seen
    with pytest.raises(ValueError, match=r"Expected still images \(videos of one frame\), got 4 in 'v'"):
        CocoImageResultsWriter(tmp_path / "other.json").begin(video_of("v", 1, some_tracks(0, 4)))


def result(**values) -> dict:
    mask = coco_mask.frPyObjects([SQUARE], *SIZE)[0]
    entry = {"image_id": 0, "category_id": 1, "bbox": [2, 3, 6, 4], "score": 0.5}
    entry["segmentation"] = {"size": list(mask["size"]), "counts": mask["counts"].decode()}
    return {key: value for key, value in (entry | values).items() if value is not ...}


def test_results_of_others_have_no_ids(tmp_path):
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
    path = write(CocoResultsWriter(tmp_path / "r.json"), videos.select([]))
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
def test_results_of_something_else_are_told_at_once(tmp_path, entries, message):
    with pytest.raises(ValueError, match=message):
        read_coco_results(saved(tmp_path / "r.json", entries), VideoSet([Video("v", 3, SIZE)], ("dog",)))


def test_results_for_several_videos_have_to_tell_which(tmp_path):
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
def test_damaged_results_are_told_with_their_place(tmp_path, values, message):
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


def test_a_data_set_comes_back_exactly(tmp_path):
    videos = read_coco(saved(tmp_path / "coco.json", data_set()))
    path = write(CocoWriter(tmp_path / "again.json", videos.class_names, videos.category_ids), videos)
    read = read_coco(path)
    assert (read.class_names, read.category_ids) == (videos.class_names, videos.category_ids)
    for before, after in zip(videos, read, strict=True):
        assert (before.name, before.id, before.size) == (after.name, after.id, after.size)
        assert before.tracks() == after.tracks()
    reference = coco.COCO(str(path))
    assert [len(reference.getAnnIds(imgIds=[image])) for image in (7, 3)] == [3, 0]
    np.testing.assert_array_equal(reference.annToMask(reference.anns[1])[3:7, 2:8], 1)


def test_areas_that_are_not_annotated(tmp_path):
    scene = some_tracks(0, 1)
    boxes = shorter(scene)
    videos = VideoSet([video_of("masks", 1, scene), video_of("boxes", 2, boxes)], NAMES)
    read = read_coco(write(CocoWriter(tmp_path / "coco.json", NAMES), videos))
    for track in read[0].tracks().values():
        assert track.areas == (decode_rle(track.masks, (32, 40)).sum().item(),)
    for track in read[1].tracks().values():
        x0, y0, x1, y1 = track.boxes[0]
        assert track.areas == ((x1 - x0) * (y1 - y0),)


def test_what_cannot_be_written(tmp_path):
    row = Observation(1, (0.0, 0.0, 2.0, 2.0))
    still, path = Video("v", 1, SIZE), tmp_path / "out.json"
    with pytest.raises(ValueError, match="Expected class names for a COCO data set"):
        CocoWriter(path)
    cases = [
        (
            CocoResultsWriter(path),
            still,
            row._replace(crowd=True),
            "got a crowd region of the truth as object 1 in frame 0",
        ),
        (
            CocoResultsWriter(path),
            still,
            row._replace(score=float("nan")),
            "all finite, got .* and nan",
        ),
        (CocoResultsWriter(path), still, row._replace(box=(0.0, 0.0, float("inf"), 1.0)), "all finite, got"),
        (CocoWriter(path, NAMES), Video("v", 2, SIZE), row, "Expected still images"),
        (CocoWriter(path, NAMES), Video("v", 1, None), row, "Expected the size of image 'v'"),
        (CocoWriter(path, NAMES), still, row._replace(label=3), "Expected labels below 3"),
    ]
    for writer, video, wrong, message in cases:
        with pytest.raises(ValueError, match=message), writer:
            writer.begin(video)
            writer.write(0, [wrong])
        assert list(tmp_path.iterdir()) == [], "nothing is left"
    with pytest.raises(ValueError, match="Expected each image once, got id 1 twice"), CocoWriter(path, NAMES) as writer:
        writer.begin(still)
        writer.begin(still)
