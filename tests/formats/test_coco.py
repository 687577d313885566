import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import coco

from tests.formats.cases import as_videos, random_tracks, write_all
from tltm_graph.formats.coco import CocoWriter, read_coco
from tltm_graph.formats.video import Video
from tltm_graph.ops import decode_rle, encode_rle
from tltm_graph.structures import Observation, Tracks

SIZE = (10, 12)
SQUARE = [2.0, 3.0, 8.0, 3.0, 8.0, 7.0, 2.0, 7.0]
BOX = (0.0, 0.0, 2.0, 2.0)


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
    """The data set with other values in its first annotation; None removes a field."""
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
    assert first[1].masks == first[2].masks, "compressed and uncompressed run lengths"


def test_masks_equal_pycocotools(tmp_path):
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


def test_images_of_a_joint_data_set_are_in_subfolders(tmp_path):
    content = data_set()
    content["images"][0]["dataset"] = "coco"
    videos = read_coco(saved(tmp_path / "coco.json", content), "frames")
    assert [str(video.images[0]) for video in videos] == ["frames/coco/000000000007.jpg", "frames/000000000003.jpg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], r"got no list of 'images'; results are read by read_coco_results"),
        ({"videos": []}, "got no list of 'images'"),
        (data_set(images=[{"id": 1}]), "'id', 'file_name', 'height' and 'width' in image 0 of"),
        (data_set(images=[{"id": 1, "file_name": "a", "height": 0, "width": 1}]), "got 0 and 1 in image 0 of"),
        (data_set(images=data_set()["images"][:1] * 2), "Expected each image once in '.*', got id 7 twice"),
        (data_set(annotations={}), "Expected 'annotations' as a list in '.*', got a dict"),
        (data_set(categories=[]), "got 18 in annotation 11 of"),
        (
            data_set(annotations=data_set()["annotations"][:1] * 2),
            "unique number as 'id' in annotation 1 of '.*', got 11",
        ),
        (data_set(annotations=[{"image_id": 7}]), "unique number as 'id' in annotation 0 of '.*', got None"),
        (data_set(annotations=[3]), "unique number as 'id' in annotation 0 of '.*', got None"),
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
def test_unknown_images_and_categories_are_refused_at_once(tmp_path, values, message):
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
        ({"segmentation": {"size": [10, 12], "counts": [5, 6]}}, "Expected runs that cover 10×12 pixels, got 11"),
        ({"segmentation": {"size": [10, 12], "counts": "05"}}, "Expected runs that cover .* got damaged ones"),
        ({"segmentation": "mask"}, "Expected a mask as run lengths"),
        ({"segmentation": []}, "Expected 'segmentation' in all annotations of an image or in none, got none"),
        ({"iscrowd": 2}, "Expected 'iscrowd' as 0 or 1, got 2"),
        ({"area": "big"}, "as a finite number, got 'big'"),
    ],
)
def test_damaged_annotations_are_named(tmp_path, values, message):
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


def test_data_sets_round_trip(tmp_path):
    videos = read_coco(saved(tmp_path / "coco.json", data_set()))
    path = tmp_path / "again.json"
    write_all(CocoWriter(path, videos.class_names, videos.category_ids), videos)
    read = read_coco(path)
    assert (read.class_names, read.category_ids) == (videos.class_names, videos.category_ids)
    for before, after in zip(videos, read, strict=True):
        assert (before.name, before.id, before.size) == (after.name, after.id, after.size)
        assert before.tracks() == after.tracks()
    reference = coco.COCO(str(path))
    assert [len(reference.getAnnIds(imgIds=[image])) for image in (7, 3)] == [3, 0]
    np.testing.assert_array_equal(reference.annToMask(reference.anns[1])[3:7, 2:8], 1)


def test_missing_areas_are_those_of_the_mask_or_the_box(tmp_path):
    scene = random_tracks(0, num_frames=1)
    rows = [(t, row._replace(mask=None)) for t, observations in scene.observations() for row in observations]
    videos = as_videos(scene, Tracks.from_observations(rows, scene.size, 1))
    write_all(CocoWriter(tmp_path / "coco.json", videos.class_names), videos)
    with_masks, with_boxes = (video.tracks() for video in read_coco(tmp_path / "coco.json"))
    assert len(with_masks) == len(with_boxes) > 1
    for track in with_masks.values():
        assert track.areas == (decode_rle(track.masks, scene.size).sum().item(),)
    for track in with_boxes.values():
        x0, y0, x1, y1 = track.boxes[0]
        assert track.areas == ((x1 - x0) * (y1 - y0),)


@pytest.mark.parametrize(
    ("video", "observation", "message"),
    [
        (Video("v", 2, SIZE), Observation(1, BOX), "Expected still images"),
        (Video("v", 1, None), Observation(1, BOX), "Expected the size of image 'v'"),
        (Video("v", 1, SIZE), Observation(1, BOX, label=3), "Expected labels below 1"),
    ],
)
def test_the_writer_refuses_and_leaves_nothing(tmp_path, video, observation, message):
    with pytest.raises(ValueError, match=message), CocoWriter(tmp_path / "out.json", ["cat"]) as writer:
        writer.begin(video)
        writer.write(0, [observation])
    assert list(tmp_path.iterdir()) == []


def test_the_writer_needs_class_names_and_each_image_once(tmp_path):
    with pytest.raises(ValueError, match="Expected class names for a COCO data set"):
        CocoWriter(tmp_path / "out.json")
    still = Video("v", 1, SIZE)
    with (
        pytest.raises(ValueError, match="Expected each image once, got id 1 twice"),
        CocoWriter(tmp_path / "out.json", ["cat"]) as writer,
    ):
        writer.begin(still)
        writer.begin(still)
