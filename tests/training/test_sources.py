import json

import pytest
import torch

from tests.training.datasets import SHARED, write_datasets, write_stills, write_videos
from tltm_graph import MovingShapes
from tltm_graph.formats import COCO, YOUTUBE_VIS_2019
from tltm_graph.io import read_frames
from tltm_graph.training import FrameGaps, ImageFiles, RenderedVideos, UnlabelledVideos, VideoFiles

SHAPES = MovingShapes.class_names


def test_videos_of_a_file(tmp_path):
    write_datasets(tmp_path)
    folder = tmp_path / "datasets/youtube_vis_2019"
    for part in ("train", "val"):
        description = VideoFiles(str(folder / "train.json"), str(folder / "train/JPEGImages"), part=part)
        assert str(description.open(YOUTUBE_VIS_2019)).endswith("train.json: 1 videos, 4 pairs")
        (video,) = description.videos(YOUTUBE_VIS_2019)
        assert len(list(video.frames())) == video.truth().num_frames == 5
    assert description.open(YOUTUBE_VIS_2019).pairs.videos[0].truth(0).masks.any()


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
    assert opened.contents == "2 videos"
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
        ValueError, match=r"Expected videos or images to train on in '.*', got 1 with .*3 without their pict"
    ):
        VideoFiles(str(path), str(images)).open(("cat", "dog"))


def test_stills_and_their_classes(tmp_path):
    write_stills(tmp_path / "coco.json", tmp_path / "images", COCO, SHARED)
    path, images = str(tmp_path / "coco.json"), str(tmp_path / "images")
    opened = ImageFiles(path, images, class_map="coco_to_youtube_vis_2019").open(YOUTUBE_VIS_2019)
    assert str(opened) == f"{path}: 3 images, 3 pairs"
    pair = opened.pairs.pair(0, torch.Generator().manual_seed(0))
    names = {YOUTUBE_VIS_2019[label] for label in pair.previous.labels.tolist()}
    assert names <= {"person", "sedan", "motorbike", "airplane", "train", "truck", "boat", "cat", "dog", "horse"}
    with pytest.raises(ValueError, match=r"Expected the classes of the model, .*, got \['bicycle', .*class_map"):
        ImageFiles(path, images).open(YOUTUBE_VIS_2019)
    with pytest.raises(ValueError, match=r"got 3 without objects of these classes"):
        table = tmp_path / "map.json"
        table.write_text('{"classes": {"toaster": "cat"}}')
        ImageFiles(path, images, class_map=str(table)).open(("cat",))


def rendered(**options):
    return RenderedVideos(num_scenes=2, num_frames=4, size=(48, 80), **options)


def test_rendered_scenes():
    opened = rendered().open(SHAPES)
    assert str(opened) == "rendered scenes (standard, train): 2 videos, 6 pairs"
    pair = opened.pairs.pair(0, torch.Generator().manual_seed(0))
    assert pair.current_image.shape == (3, 48, 80)
    videos = rendered(split="val").videos(SHAPES)
    assert [video.name for video in videos] == ["scene 0", "scene 1"]
    truth, frames = videos[1].truth(), list(videos[1].frames())
    assert len(frames) == truth.num_frames == 4
    scene = rendered(split="val").scenes[1]
    assert frames[2].image.equal(scene.frame(2).image)
    assert truth.at(2).masks.equal(scene.truth(2).masks)


def test_scenes_are_not_kept():
    """Two thousand of them would fill the memory."""
    opened = RenderedVideos(size=(48, 80), num_frames=4).open(SHAPES)
    assert len(opened.pairs) == 2000 * 3
    assert not any(isinstance(video, MovingShapes) for video in opened.pairs.videos)


def test_scenes_of_other_classes():
    with pytest.raises(
        ValueError, match=r"Expected a model of the classes of the rendered scenes, \['disc', .*'cat'\]"
    ):
        rendered().open(("cat",))
    with pytest.raises(ValueError, match="Expected a difficulty of .*got 'odd' and 'train'"):
        rendered(difficulty="odd")


def test_gaps_between_frames(tmp_path):
    gaps = FrameGaps(max_gap=2, wide_gap=7, wide_probability=0.5)
    write_videos(tmp_path / "train.json", tmp_path / "frames", ["a"], ("cat", "dog"))
    files = VideoFiles(str(tmp_path / "train.json"), str(tmp_path / "frames"), gaps=gaps)
    for pairs in (rendered(gaps=gaps).open(SHAPES).pairs, files.open(("cat", "dog")).pairs):
        assert (pairs.max_gap, pairs.wide_gap, pairs.wide_probability) == (2, 7, 0.5)


def test_videos_without_annotations(tmp_path):
    write_videos(tmp_path / "train.json", tmp_path / "frames", ["one", "two"], ("cat", "dog"))
    paths = [str(tmp_path / "frames" / name) for name in ("one", "two")]
    opened = UnlabelledVideos(paths, max_side=16, gaps=FrameGaps(max_gap=2)).open(("cat",))
    assert str(opened) == f"{paths[0]}, {paths[1]}: 2 videos, 8 pairs"
    pair = opened.pairs[0]
    assert len(pair.previous) == len(pair.current) == 0
    assert max(pair.current_image.shape) == 16
    large = UnlabelledVideos(paths).open(("cat",)).pairs[0]
    assert large.current_image.shape[1:] == next(iter(read_frames(paths[0]))).size, "smaller pictures are not enlarged"


def test_bad_videos_without_annotations(tmp_path):
    with pytest.raises(
        ValueError, match="Expected at least one video and a max_side of at least 1 pixel, got 0 and 480"
    ):
        UnlabelledVideos([])
    with pytest.raises(FileNotFoundError):
        UnlabelledVideos([str(tmp_path / "none.mp4")]).open(("cat",))
