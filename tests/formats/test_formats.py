import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.formats.cases import CLASSES, SIZE, first_frame, random_tracks, small_set, write_as, write_image
from tests.formats.strategies import SHARED, needs_shared
from tltm_graph.cli.formats import FORMATS as LISTED
from tltm_graph.formats import FORMATS, Video, VideoSet, open_videos, open_writer
from tltm_graph.formats.formats import guess_format
from tltm_graph.ops.rle import Rle
from tltm_graph.structures import Tracks


def maps(folder: Path, numbers: list[int], suffix: str = ".png") -> None:
    for number in numbers:
        write_image(folder / f"{number:05d}{suffix}", np.full(SIZE, 3 if suffix == ".png" else 99, np.uint8))


def test_unknown_formats_are_refused(tmp_path):
    path = write_as(tmp_path, "csv")
    with pytest.raises(ValueError, match=r"Expected a format of \['bdd100k', .*\], got 'magic'"):
        open_videos(path, "magic")
    for form in ("magic", "yolo", "runs", "label_maps", "open_images"):
        with pytest.raises(ValueError, match=rf"Expected a format of \['bdd100k', .*\] to write, got '{form}'"):
            open_writer(tmp_path / "x", form, small_set())
    assert list(FORMATS) == list(LISTED)
    with pytest.raises(ValueError, match="Expected the data set that the COCO results in .* are for"):
        open_videos(write_as(tmp_path, "coco_results"))
    with pytest.raises(ValueError, match="Expected a folder of DAVIS to take the list 'val' of"):
        open_videos(path, image_set="val")


def test_a_list_of_davis(tmp_path):
    path = write_as(tmp_path, "davis", small_set(None))
    (tmp_path / "Annotations").mkdir()
    shutil.move(path, tmp_path / "Annotations" / "480p")
    (tmp_path / "ImageSets" / "2017").mkdir(parents=True)
    (tmp_path / "ImageSets" / "2017" / "val.txt").write_text("video1\n")
    assert [video.name for video in open_videos(tmp_path)] == ["video0", "video1"]
    assert [video.name for video in open_videos(tmp_path, image_set="val")] == ["video1"]
    with pytest.raises(FileNotFoundError, match="list of sequences 'test'"):
        open_videos(tmp_path, image_set="test")


def test_images_for_formats_without_file_names(tmp_path):
    path = write_as(tmp_path, "csv")
    for name in ("video0", "video1"):
        for frame in range(8):
            write_image(tmp_path / "images" / name / f"{frame}.png", np.zeros((*SIZE, 3), np.uint8))
    for video in open_videos(path, images=tmp_path / "images"):
        assert len(list(video.frames())) == 8
    (tmp_path / "images/video1/7.png").unlink()
    with pytest.raises(ValueError, match=r"Expected 8 images of video 'video1' in '.*', got 7"):
        open_videos(path, images=tmp_path / "images")
    with pytest.raises(FileNotFoundError, match="a folder of images for 'video0' in '.*none', found none"):
        open_videos(path, images=tmp_path / "none")


def test_like_supplies_what_the_format_does_not_store(tmp_path):
    like = small_set()
    found = open_videos(write_as(tmp_path, "mot"), like=like)
    for video, known in zip(found, like, strict=True):
        assert (video.name, video.id, video.num_frames, video.size) == (known.name, known.id, 8, SIZE)
        assert video.frame_names == known.frame_names
        assert video.tracks().num_frames == 8
    turned = like.select([replace(video, id=10 - video.id) for video in like])
    assert [video.id for video in open_videos(write_as(tmp_path, "mot"), like=turned)] == [9, 8]
    bare = open_videos(write_as(tmp_path, "mot"))
    assert {video.num_frames for video in bare} == {None}
    other = like.select([replace(video, name=f"other {video.name}") for video in like])
    assert [video.num_frames for video in open_videos(write_as(tmp_path, "mot"), like=other)] == [None, None]


def test_videos_that_like_lacks_get_unused_ids(tmp_path):
    """Their own ids are those of other videos in the data set."""
    path = write_as(tmp_path, "csv")
    for only, ids in (("video1", [2, 1]), ("video0", [1, 2])):
        like = VideoSet([Video(only, 8, SIZE, id=1)], CLASSES)
        found = open_videos(path, like=like)
        assert [(video.name, video.id) for video in found] == list(zip(("video0", "video1"), ids, strict=True))


def test_like_never_makes_a_video_shorter(tmp_path):
    """Predictions beyond the end of the true video are kept, not cut off."""
    path = write_as(tmp_path, "mot")
    last = max(track.frames[-1] for track in open_videos(path)[0].tracks().values())
    short = small_set()
    short = short.select([replace(video, num_frames=2, frame_names=None) for video in short])
    found = open_videos(path, like=short)[0]
    assert found.tracks().num_frames == last + 1 > 2
    assert max(track.frames[-1] for track in found.tracks().values()) == last


def test_masks_of_another_size_are_kept(tmp_path):
    other = Tracks.from_observations([], (7, 9), 8)
    like = VideoSet([Video(f"video{n}", 8, (7, 9), n + 1, load=lambda: other) for n in range(2)], CLASSES)
    video = open_videos(write_as(tmp_path, "csv"), like=like)[0]
    mask: Rle = next(iter(video.tracks().values())).masks[0]
    assert mask["size"] == list(SIZE)
    assert video.size == SIZE


@needs_shared
@pytest.mark.parametrize(
    ("path", "form", "videos", "classes"),
    [
        ("mot17", "mot", 4, 13),
        ("mot17/MOT17-02", "mot", 1, 13),
        ("mot17/MOT17-02/gt/gt.txt.gz", "mot", 1, 13),
        ("mot17/reference_tracker", "mot", 4, 13),
        ("mot15", "mot", 7, 13),
        ("tud/gt", "mot", 2, 13),
        ("tud/results", "mot", 2, 13),
        ("mots20", "mots", 1, 2),
        ("mots20/perturbed/tracker_results", "mots", 1, 2),
        ("bdd100k_masks/seg_track/seg_track_sample.json.gz", "bdd100k", 1, 8),
        ("bdd100k_masks/seg_track/seg_track_preds.json.gz", "bdd100k", 1, 8),
        ("cells/Fluo-N2DH-GOWT1_01.json.gz", "youtube_vis", 1, 1),
        ("davis2016", "davis", 16, None),
        ("davis2016/Annotations/480p", "davis", 16, None),
        ("davis2016_instances", "davis", 2, None),
        ("davis2016_instances/bmx-trees", "davis", 1, None),
        ("davis_jf/osvos_results", "davis", 12, None),
    ],
)
def test_real_data(path, form, videos, classes):
    assert guess_format(SHARED / path) == form
    found = open_videos(SHARED / path)
    assert len(found) == videos
    assert (None if found.class_names is None else len(found.class_names)) == classes
    small = min(found, key=lambda video: video.num_frames or 0)
    if form != "davis" and "Fluo" not in path:
        assert len(small.tracks()) > 0


@needs_shared
def test_coco128():
    assert guess_format(SHARED / "coco128-seg") == "yolo"
    with pytest.raises(FileNotFoundError, match="names of the classes"):
        open_videos(SHARED / "coco128-seg")
    with pytest.warns(UserWarning, match="without an image .*: train2017/000000000656.txt"):
        videos = open_videos(SHARED / "coco128-seg", class_names=[str(n) for n in range(80)])
    assert len(videos) == 128
    assert videos.class_names[79] == "79"
    assert sum(len(video.tracks()) for video in videos[:5]) > 5


def test_a_gap_between_label_maps_is_refused(tmp_path):
    maps(tmp_path / "maps" / "v", [0, 1, 3, 4])
    with pytest.raises(ValueError, match=r"of video 'v', got none between '00001.png' and '00003.png'"):
        open_videos(tmp_path / "maps")
    maps(tmp_path / "images" / "v", [0, 1, 3, 4], ".jpg")
    assert open_videos(tmp_path / "maps", images=tmp_path / "images")[0].num_frames == 4, "the images tell the frames"
    maps(tmp_path / "fives" / "v", [0, 5, 10])
    assert open_videos(tmp_path / "fives")[0].frame_names == ("00000", "00005", "00010")


def test_images_match_label_maps_by_name(tmp_path):
    maps(tmp_path / "maps" / "v", [0, 2, 4])
    maps(tmp_path / "images" / "v", [0, 1, 2, 3, 4], ".jpg")
    with pytest.raises(ValueError, match=r"2 images without a map .*--every n"):
        open_videos(tmp_path / "maps", "label_maps", images=tmp_path / "images")
    (video,) = open_videos(tmp_path / "maps", "label_maps", images=tmp_path / "images", every=2)
    assert [path.name for path in video.images] == ["00000.jpg", "00002.jpg", "00004.jpg"]
    with pytest.raises(ValueError, match=r"2 images without a map \(00001.jpg, 00003.jpg\)"):
        open_videos(tmp_path / "maps", "davis", images=tmp_path / "images")


def test_davis_without_folders_of_resolutions(tmp_path):
    maps(tmp_path / "Annotations" / "v", [0, 1])
    maps(tmp_path / "JPEGImages" / "v", [0, 1], ".jpg")
    (video,) = open_videos(tmp_path)
    assert (video.name, video.num_frames, len(video.images)) == ("v", 2, 2)


def test_one_class_for_objects_without_classes(tmp_path):
    maps(tmp_path / "v", [0, 1])
    assert open_videos(tmp_path, class_names=["cat"]).class_names == ("cat",)
    with pytest.raises(ValueError, match="Expected one class name"):
        open_videos(tmp_path, class_names=["cat", "dog"])
    path = write_as(tmp_path / "csv", "csv", small_set(("car", "pedestrian")))
    with pytest.raises(ValueError, match=r"Expected no class names, as .* has its own"):
        open_videos(path, class_names=["cat"])


def test_results_of_still_images_are_numbered_by_image(tmp_path):
    numbers = (397133, 37777)
    stills = VideoSet([Video(f"i{n}", 1, SIZE, n, load=lambda: first_frame(random_tracks(1))) for n in numbers], ("a",))
    with open_writer(tmp_path / "r.json", "coco_results", stills) as writer:
        for video in stills:
            writer.begin(video)
            for frame, rows in video.tracks().observations():
                writer.write(frame, [row._replace(label=0) for row in rows])
    assert {entry["image_id"] for entry in json.loads((tmp_path / "r.json").read_text())} == {397133, 37777}
