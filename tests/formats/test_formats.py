import gzip
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.formats.cases import as_videos, random_tracks, write_all
from tests.formats.strategies import SHARED, needs_shared
from tltm_graph.cli.formats import FORMATS as LISTED
from tltm_graph.formats import FORMATS, Video, VideoSet, guess_format, open_videos, open_writer
from tltm_graph.ops import Rle
from tltm_graph.structures import Tracks

SIZE = (30, 44)
CLASSES = ("car", "pedestrian", "rider")
LOOKS_LIKE = {"mot_truth": "mot"}
"""Formats that nothing tells from another one: which is meant has to be said, and guessing takes the common one."""

FILES = {"youtube_vis", "youtube_vis_results", "bdd100k", "coco_results", "tltm", "csv", "coco"}


def small_set(classes: tuple[str, ...] | None = CLASSES) -> VideoSet:
    videos = as_videos(random_tracks(1, num_classes=2), random_tracks(2, num_classes=2), class_names=classes)
    return videos.select([replace(v, frame_names=tuple(f"{f:05d}" for f in range(v.num_frames))) for v in videos])


def written(folder: Path, form: str, videos: VideoSet | None = None) -> Path:
    """The path of a small set in a format."""
    path = folder / (f"{form}.{'csv' if form == 'csv' else 'json'}" if form in FILES else form)
    if videos is None:
        videos = small_set()
    if form == "coco":
        stills = [replace(v, num_frames=1, images=None) for v in videos]
        videos = videos.select([replace(v, frame_names=None, load=lambda v=v: first_frame(v.load())) for v in stills])
    write_all(open_writer(path, form, videos), videos)
    return path


def first_frame(tracks: Tracks) -> Tracks:
    return Tracks.from_observations(
        [(0, row) for frame, seen in tracks.observations() if frame == 0 for row in seen], SIZE, 1
    )


@pytest.mark.parametrize("form", [name for name, known in FORMATS.items() if known.write is not None])
def test_what_is_written_is_told(tmp_path, form):
    path = written(tmp_path, form)
    assert guess_format(path) == LOOKS_LIKE.get(form, form)
    assert guess_format(str(path)) == LOOKS_LIKE.get(form, form)
    like = small_set()
    assert len(open_videos(path, form, like=like)) == 2
    if path.is_dir():
        deep = [p for p in sorted(path.rglob("*")) if p.is_file() and p.suffix == ".txt"]
        assert all(guess_format(p) in (LOOKS_LIKE.get(form, form), form.removeprefix("kitti_")) for p in deep)


@pytest.mark.parametrize(
    "form", [name for name, known in FORMATS.items() if known.write is not None and name != "coco"]
)
def test_empty_sets_are_told_or_refused(tmp_path, form):
    """Without a video, or with one in which nothing is: never taken for another format that is read to something."""
    for videos in (VideoSet([], CLASSES), VideoSet([Video("v", 3, SIZE, load=lambda: Tracks({}, SIZE, 3))], CLASSES)):
        folder = tmp_path / str(len(videos))
        folder.mkdir()
        path = written(folder, form, videos)
        try:
            guessed = guess_format(path)
            found = open_videos(path, like=videos)
        except (ValueError, FileNotFoundError):
            continue
        assert guessed in (form, LOOKS_LIKE.get(form), "youtube_vis_results", "mot")
        assert all(not video.tracks() for video in found if video.load is not None)


def packed(path: Path) -> Path:
    target = path.with_name(path.name + ".gz")
    target.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return target


@pytest.mark.parametrize(
    "form", ["youtube_vis", "youtube_vis_results", "bdd100k", "tltm", "csv", "coco_results", "coco"]
)
def test_packed_files(tmp_path, form):
    assert guess_format(packed(written(tmp_path, form))) == form


def picture(path: Path, pixels: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path)


def test_folders_of_pictures(tmp_path):
    zeros = np.zeros(SIZE, np.uint8)
    picture(tmp_path / "palette/v/00000.png", zeros, "P")
    picture(tmp_path / "gray/v/00000.png", zeros)
    picture(tmp_path / "one/00000.png", zeros)
    picture(tmp_path / "deep/v/00000.png", zeros.astype(np.uint16))
    picture(tmp_path / "white/v/00000.png", zeros, "1")
    picture(tmp_path / "root/Annotations/480p/v/00000.png", zeros, "P")
    for name, form in (
        ("palette", "davis"), ("gray", "label_maps"), ("one", "label_maps"), ("deep", "mots_png"), ("white", "davis"),
        ("root", "davis"),
    ):  # fmt: skip
        assert guess_format(tmp_path / name) == form, name
        assert len(open_videos(tmp_path / name)) == 1
    picture(tmp_path / "colours/v/00000.png", np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(
        ValueError, match=r"known format in '.*colours', could not tell which: it holds .* format: bdd100k"
    ):
        guess_format(tmp_path / "colours")


def test_yolo_open_images_and_runs(tmp_path):
    picture(tmp_path / "yolo/images/train/a.jpg", np.zeros((*SIZE, 3), np.uint8))
    (tmp_path / "yolo/labels/train").mkdir(parents=True)
    (tmp_path / "yolo/labels/train/a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    (tmp_path / "yolo/classes.txt").write_text("cat\n")
    assert guess_format(tmp_path / "yolo") == "yolo"
    assert open_videos(tmp_path / "yolo").class_names == ("cat",)
    assert open_videos(tmp_path / "yolo", class_names=["dog"]).class_names == ("dog",)
    (tmp_path / "open").mkdir()
    (tmp_path / "open/train-annotations-object-segmentation.csv").write_text("MaskPath,ImageID\n")
    assert guess_format(tmp_path / "open") == "open_images"
    write_run(tmp_path / "runs/v")
    for path in (tmp_path / "runs", tmp_path / "runs/v", tmp_path / "runs/v/tracks.json"):
        assert guess_format(path) == "runs"
        assert [video.name for video in open_videos(path)] == ["v"]
    (tmp_path / "runs/v/run.json").unlink()
    assert guess_format(tmp_path / "runs/v/tracks.json") == "youtube_vis_results"


def write_run(folder: Path, **report) -> None:
    videos = as_videos(random_tracks(3))
    folder.mkdir(parents=True)
    write_all(open_writer(folder / "tracks.json", "youtube_vis_results", videos), videos)
    (folder / "run.json").write_text(json.dumps({"frames": 8, "class_names": ["cat", "dog", "bird"], **report}))


def test_texts_beside_the_tracks_are_passed_over(tmp_path):
    for form in ("mot", "mots"):
        path = written(tmp_path, form)
        for name in ("LICENSE.txt", "README.txt", "classes.txt"):
            (path / name).write_text("Read me, please: this is text.\n")
        assert guess_format(path) == form


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", ""),
        ("a.json", "{}"),
        ("a.json", "7"),
        ("a.json", "[1, 2]"),
        ("a.json", '[{"a": 1}]'),
        ("a.json", '[{"a": '),
        ("a.json", '{"a": [1]}'),
        ("a.txt", "1 2 3\n"),
        ("a.txt", "what is this\n"),
        ("a.md", "1,2,3\n"),
        ("a", "1,2,3\n"),
    ],
)
def test_what_cannot_be_told(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=rf"Expected a known format in '.*{re.escape(name)}', could not tell which"):
        guess_format(tmp_path / name)


def test_folders_that_cannot_be_told(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "json").mkdir()
    shutil.copy(written(tmp_path, "youtube_vis"), tmp_path / "json" / "a.json")
    for name in ("empty", "json"):
        with pytest.raises(ValueError, match="could not tell which"):
            guess_format(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"annotations or results, found nothing at '.*none'"):
        guess_format(tmp_path / "none")


def test_long_lists_before_the_videos(tmp_path):
    """What tells the format may be at the end of a file of megabytes, as some tools write it."""
    content = json.loads(written(tmp_path, "youtube_vis").read_text())
    turned = {
        "annotations": content["annotations"],
        "info": "x" * (1 << 23),
        "categories": content["categories"],
        "videos": content["videos"],
    }
    (tmp_path / "turned.json").write_text(json.dumps(turned))
    assert guess_format(tmp_path / "turned.json") == "youtube_vis"


def test_lists_begin_anywhere(tmp_path):
    text = written(tmp_path, "youtube_vis_results").read_text()
    for begin in (" \n\t", "\n" * 200):
        (tmp_path / "a.json").write_text(begin + text.replace("[", "[" + begin, 1))
        assert guess_format(tmp_path / "a.json") == "youtube_vis_results"
    (tmp_path / "a.json").write_text("[ ]")
    assert guess_format(tmp_path / "a.json") == "youtube_vis_results"


def test_formats_are_named_or_refused(tmp_path):
    path = written(tmp_path, "csv")
    with pytest.raises(ValueError, match=r"Expected a format of \['bdd100k', .*\], got 'magic'"):
        open_videos(path, "magic")
    for form in ("magic", "yolo", "runs", "label_maps", "open_images"):
        with pytest.raises(ValueError, match=rf"Expected a format of \['bdd100k', .*\] to write, got '{form}'"):
            open_writer(tmp_path / "x", form, small_set())
    assert list(FORMATS) == list(LISTED)
    with pytest.raises(ValueError, match="Expected the data set that the COCO results in .* are for"):
        open_videos(written(tmp_path, "coco_results"))
    with pytest.raises(ValueError, match="Expected a folder of DAVIS to take the list 'val' of"):
        open_videos(path, image_set="val")


def test_a_list_of_davis(tmp_path):
    path = written(tmp_path, "davis", small_set(None))
    (tmp_path / "Annotations").mkdir()
    shutil.move(path, tmp_path / "Annotations" / "480p")
    (tmp_path / "ImageSets" / "2017").mkdir(parents=True)
    (tmp_path / "ImageSets" / "2017" / "val.txt").write_text("video1\n")
    assert [video.name for video in open_videos(tmp_path)] == ["video0", "video1"]
    assert [video.name for video in open_videos(tmp_path, image_set="val")] == ["video1"]
    with pytest.raises(FileNotFoundError, match="list of sequences 'test'"):
        open_videos(tmp_path, image_set="test")


def test_pictures_beside_formats_that_name_none(tmp_path):
    path = written(tmp_path, "csv")
    for name in ("video0", "video1"):
        for frame in range(8):
            picture(tmp_path / "images" / name / f"{frame}.png", np.zeros((*SIZE, 3), np.uint8))
    for video in open_videos(path, images=tmp_path / "images"):
        assert len(list(video.frames())) == 8
    (tmp_path / "images/video1/7.png").unlink()
    with pytest.raises(ValueError, match=r"Expected 8 pictures of video 'video1' in '.*', got 7"):
        open_videos(path, images=tmp_path / "images")
    with pytest.raises(FileNotFoundError, match="a folder of pictures for 'video0' in '.*none', found none"):
        open_videos(path, images=tmp_path / "none")


def test_like_gives_what_the_format_does_not_keep(tmp_path):
    like = small_set()
    found = open_videos(written(tmp_path, "mot"), like=like)
    for video, known in zip(found, like, strict=True):
        assert (video.name, video.id, video.num_frames, video.size) == (known.name, known.id, 8, SIZE)
        assert video.frame_names == known.frame_names
        assert video.tracks().num_frames == 8
    turned = like.select([replace(video, id=10 - video.id) for video in like])
    assert [video.id for video in open_videos(written(tmp_path, "mot"), like=turned)] == [9, 8]
    bare = open_videos(written(tmp_path, "mot"))
    assert {video.num_frames for video in bare} == {None}
    other = like.select([replace(video, name=f"other {video.name}") for video in like])
    assert [video.num_frames for video in open_videos(written(tmp_path, "mot"), like=other)] == [None, None]


def test_videos_that_like_lacks_keep_apart(tmp_path):
    """Their numbers are those of other videos there: that is not why they do not belong to it."""
    path = written(tmp_path, "csv")
    for only, ids in (("video1", [2, 1]), ("video0", [1, 2])):
        like = VideoSet([Video(only, 8, SIZE, id=1)], CLASSES)
        found = open_videos(path, like=like)
        assert [(video.name, video.id) for video in found] == list(zip(("video0", "video1"), ids, strict=True))


def test_like_never_makes_a_video_shorter(tmp_path):
    """Predictions beyond the end of the true video must be seen to be there, not cut off."""
    path = written(tmp_path, "mot")
    last = max(track.frames[-1] for track in open_videos(path)[0].tracks().values())
    short = small_set()
    short = short.select([replace(video, num_frames=2, frame_names=None) for video in short])
    found = open_videos(path, like=short)[0]
    assert found.tracks().num_frames == last + 1 > 2
    assert max(track.frames[-1] for track in found.tracks().values()) == last


def test_masks_of_another_size_are_not_made_to_fit(tmp_path):
    other = Tracks.from_observations([], (7, 9), 8)
    like = VideoSet([Video(f"video{n}", 8, (7, 9), n + 1, load=lambda: other) for n in range(2)], CLASSES)
    video = open_videos(written(tmp_path, "csv"), like=like)[0]
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


def maps(folder: Path, numbers: list[int], suffix: str = ".png") -> None:
    for number in numbers:
        picture(folder / f"{number:05d}{suffix}", np.full(SIZE, 3 if suffix == ".png" else 99, np.uint8))


def test_a_gap_between_label_maps_is_no_shift(tmp_path):
    maps(tmp_path / "maps" / "v", [0, 1, 3, 4])
    with pytest.raises(ValueError, match=r"of video 'v', got none between '00001.png' and '00003.png'"):
        open_videos(tmp_path / "maps")
    maps(tmp_path / "images" / "v", [0, 1, 3, 4], ".jpg")
    assert open_videos(tmp_path / "maps", images=tmp_path / "images")[0].num_frames == 4, "the pictures tell the frames"
    maps(tmp_path / "fives" / "v", [0, 5, 10])
    assert open_videos(tmp_path / "fives")[0].frame_names == ("00000", "00005", "00010")


def test_pictures_belong_to_label_maps_by_name(tmp_path):
    maps(tmp_path / "maps" / "v", [0, 2, 4])
    maps(tmp_path / "images" / "v", [0, 1, 2, 3, 4], ".jpg")
    with pytest.raises(ValueError, match=r"2 images without a map .*--every n"):
        open_videos(tmp_path / "maps", "label_maps", images=tmp_path / "images")
    (video,) = open_videos(tmp_path / "maps", "label_maps", images=tmp_path / "images", every=2)
    assert [path.name for path in video.images] == ["00000.jpg", "00002.jpg", "00004.jpg"]
    with pytest.raises(ValueError, match=r"no picture for \[\] and no map for \['00001', '00003'\]"):
        open_videos(tmp_path / "maps", "davis", images=tmp_path / "images")


def test_a_data_set_of_davis_without_folders_of_resolutions(tmp_path):
    maps(tmp_path / "Annotations" / "v", [0, 1])
    maps(tmp_path / "JPEGImages" / "v", [0, 1], ".jpg")
    (video,) = open_videos(tmp_path)
    assert (video.name, video.num_frames, len(video.images)) == ("v", 2, 2)


def test_one_class_for_objects_without(tmp_path):
    maps(tmp_path / "v", [0, 1])
    assert open_videos(tmp_path, class_names=["cat"]).class_names == ("cat",)
    with pytest.raises(ValueError, match="Expected one class name"):
        open_videos(tmp_path, class_names=["cat", "dog"])
    path = written(tmp_path / "csv", "csv", small_set(("car", "pedestrian")))
    with pytest.raises(ValueError, match=r"Expected no class names, as .* has its own"):
        open_videos(path, class_names=["cat"])


def test_results_of_stills_are_numbered_by_image(tmp_path):
    numbers = (397133, 37777)
    stills = VideoSet([Video(f"i{n}", 1, SIZE, n, load=lambda: first_frame(random_tracks(1))) for n in numbers], ("a",))
    with open_writer(tmp_path / "r.json", "coco_results", stills) as writer:
        for video in stills:
            writer.begin(video)
            for frame, rows in video.tracks().observations():
                writer.write(frame, [row._replace(label=0) for row in rows])
    assert {entry["image_id"] for entry in json.loads((tmp_path / "r.json").read_text())} == {397133, 37777}


def test_empty_files_do_not_tell_the_format(tmp_path):
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "b.txt").write_text("1 2001 2 10 10 0\n")
    assert guess_format(tmp_path) == "mots"
    (tmp_path / "c.txt").write_text("0 2001 2 10 10 0\n")
    assert guess_format(tmp_path) == "kitti_mots", "it counts frames from 0"
    (tmp_path / "b.txt").write_text("1,1,0,0,1,1,1,1,1\n")
    with pytest.raises(ValueError, match="could not tell which"):
        guess_format(tmp_path)
