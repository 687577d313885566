import json

import pytest
import torch

from tests.training.datasets import SHARED, write_datasets, write_stills, write_videos
from tltm_graph.formats import COCO, YOUTUBE_VIS_2019
from tltm_graph.training import ImageFiles, VideoFiles


def test_videos_of_a_file(tmp_path):
    write_datasets(tmp_path)
    folder = tmp_path / "datasets/youtube_vis_2019"
    for part in ("train", "val"):
        description = VideoFiles(str(folder / "train.json"), str(folder / "train/JPEGImages"), part=part)
        assert str(description.open(YOUTUBE_VIS_2019)).endswith("train.json: 1 videos, 4 pairs")
        (video,) = description.videos(YOUTUBE_VIS_2019)
        assert len(list(video.frames())) == video.truth().num_frames == 5
    assert description.open(YOUTUBE_VIS_2019).source.videos[0].truth(0).masks.any()


def test_what_is_skipped_is_counted(tmp_path):
    path, images = tmp_path / "train.json", tmp_path / "frames"
    write_videos(path, images, ["fine", "no pictures", "no objects", "boxes", "short"], ("cat", "dog"))
    next((images / "no pictures").iterdir()).unlink()
    content = json.loads(path.read_text())
    ids = {video["file_names"][0].partition("/")[0]: video["id"] for video in content["videos"]}
    content["annotations"] = [a for a in content["annotations"] if a["video_id"] != ids["no objects"]]
    for annotation in content["annotations"]:
        if annotation["video_id"] == ids["boxes"]:
            annotation["segmentations"] = [None] * 5
        if annotation["video_id"] == ids["short"]:
            annotation["segmentations"][1:] = annotation["bboxes"][1:] = [None] * 4
    path.write_text(json.dumps(content))
    opened = VideoFiles(str(path), str(images)).open(("cat", "dog"))
    assert opened.found == "2 videos"
    assert opened.skipped == {
        "with a single annotated frame": 1,
        "with objects that have no mask": 1,
        "without objects of these classes": 1,
        "without their pictures": 1,
    }
    assert "; skipped: 1 with a single annotated frame, 1 with objects" in str(opened)
    (images / "fine" / "00000.jpg").unlink()
    (images / "short" / "00000.jpg").unlink()
    with pytest.raises(
        ValueError, match=r"Expected something to learn from in '.*', got 1 with .*3 without their pict"
    ):
        VideoFiles(str(path), str(images)).open(("cat", "dog"))


def test_stills_and_their_classes(tmp_path):
    write_stills(tmp_path / "coco.json", tmp_path / "images", COCO, SHARED)
    path, images = str(tmp_path / "coco.json"), str(tmp_path / "images")
    opened = ImageFiles(path, images, class_map="coco_to_youtube_vis_2019").open(YOUTUBE_VIS_2019)
    assert str(opened) == f"{path}: 3 images, 3 pairs"
    pair = opened.source.pair(0, torch.Generator().manual_seed(0))
    names = {YOUTUBE_VIS_2019[label] for label in pair.previous.labels.tolist()}
    assert names <= {"person", "sedan", "motorbike", "airplane", "train", "truck", "boat", "cat", "dog", "horse"}
    with pytest.raises(ValueError, match=r"Expected the classes of the model, .*, got \['bicycle', .*class_map"):
        ImageFiles(path, images).open(YOUTUBE_VIS_2019)
    with pytest.raises(ValueError, match=r"got 3 without objects of these classes"):
        table = tmp_path / "map.json"
        table.write_text('{"classes": {"toaster": "cat"}}')
        ImageFiles(path, images, class_map=str(table)).open(("cat",))
