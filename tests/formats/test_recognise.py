import gzip
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.formats.cases import CLASSES, SIZE, as_videos, random_tracks, small_set, write_all, write_as, write_image
from tltm_graph.formats import FORMATS, Video, VideoSet, open_videos, open_writer
from tltm_graph.formats.formats import guess_format
from tltm_graph.structures import Tracks

LOOKS_LIKE = {"mot_truth": "mot"}
"""Formats with the same files as another one, which guessing takes."""


@pytest.mark.parametrize("form", [name for name, known in FORMATS.items() if known.write is not None])
def test_written_formats_are_recognised(tmp_path, form):
    path = write_as(tmp_path, form)
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
def test_empty_sets_are_recognised_or_refused(tmp_path, form):
    """A set without a video or without an object is never taken for a format that reads objects from it."""
    for videos in (VideoSet([], CLASSES), VideoSet([Video("v", 3, SIZE, load=lambda: Tracks({}, SIZE, 3))], CLASSES)):
        folder = tmp_path / str(len(videos))
        folder.mkdir()
        path = write_as(folder, form, videos)
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
    assert guess_format(packed(write_as(tmp_path, form))) == form


def test_folders_of_images(tmp_path):
    zeros = np.zeros(SIZE, np.uint8)
    write_image(tmp_path / "palette/v/00000.png", zeros, "P")
    write_image(tmp_path / "gray/v/00000.png", zeros)
    write_image(tmp_path / "one/00000.png", zeros)
    write_image(tmp_path / "deep/v/00000.png", zeros.astype(np.uint16))
    write_image(tmp_path / "white/v/00000.png", zeros, "1")
    write_image(tmp_path / "root/Annotations/480p/v/00000.png", zeros, "P")
    for name, form in (
        ("palette", "davis"), ("gray", "label_maps"), ("one", "label_maps"), ("deep", "mots_png"), ("white", "davis"),
        ("root", "davis"),
    ):  # fmt: skip
        assert guess_format(tmp_path / name) == form, name
        assert len(open_videos(tmp_path / name)) == 1
    write_image(tmp_path / "colours/v/00000.png", np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(
        ValueError, match=r"known format in '.*colours', could not tell which: it holds .* format: bdd100k"
    ):
        guess_format(tmp_path / "colours")


def test_yolo_open_images_and_runs(tmp_path):
    write_image(tmp_path / "yolo/images/train/a.jpg", np.zeros((*SIZE, 3), np.uint8))
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


def test_other_texts_are_ignored(tmp_path):
    for form in ("mot", "mots"):
        path = write_as(tmp_path, form)
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
        ("a.txt", "hello there\n"),
        ("a.md", "1,2,3\n"),
        ("a", "1,2,3\n"),
    ],
)
def test_files_of_no_format(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=rf"Expected a known format in '.*{re.escape(name)}', could not tell which"):
        guess_format(tmp_path / name)


def test_folders_of_no_format(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "json").mkdir()
    shutil.copy(write_as(tmp_path, "youtube_vis"), tmp_path / "json" / "a.json")
    for name in ("empty", "json"):
        with pytest.raises(ValueError, match="could not tell which"):
            guess_format(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"annotations or results, found nothing at '.*none'"):
        guess_format(tmp_path / "none")


def test_long_lists_before_the_videos(tmp_path):
    """The deciding key may be at the end of a file of megabytes."""
    content = json.loads(write_as(tmp_path, "youtube_vis").read_text())
    turned = {
        "annotations": content["annotations"],
        "info": "x" * (1 << 23),
        "categories": content["categories"],
        "videos": content["videos"],
    }
    (tmp_path / "turned.json").write_text(json.dumps(turned))
    assert guess_format(tmp_path / "turned.json") == "youtube_vis"


def test_white_space_before_the_first_entry(tmp_path):
    text = write_as(tmp_path, "youtube_vis_results").read_text()
    for begin in (" \n\t", "\n" * 200):
        (tmp_path / "a.json").write_text(begin + text.replace("[", "[" + begin, 1))
        assert guess_format(tmp_path / "a.json") == "youtube_vis_results"
    (tmp_path / "a.json").write_text("[ ]")
    assert guess_format(tmp_path / "a.json") == "youtube_vis_results"


def test_empty_files_are_ignored(tmp_path):
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "b.txt").write_text("1 2001 2 10 10 0\n")
    assert guess_format(tmp_path) == "mots"
    (tmp_path / "c.txt").write_text("0 2001 2 10 10 0\n")
    assert guess_format(tmp_path) == "kitti_mots", "it counts frames from 0"
    (tmp_path / "b.txt").write_text("1,1,0,0,1,1,1,1,1\n")
    with pytest.raises(ValueError, match="could not tell which"):
        guess_format(tmp_path)


def write_run(folder: Path, **report) -> None:
    videos = as_videos(random_tracks(3))
    folder.mkdir(parents=True)
    write_all(open_writer(folder / "tracks.json", "youtube_vis_results", videos), videos)
    (folder / "run.json").write_text(json.dumps({"frames": 8, "class_names": ["cat", "dog", "bird"], **report}))


@pytest.mark.parametrize("text", ["[" * 100_000, '[{"a":' * 50_000, '{"videos":' + "[" * 100_000, "[" + "1" * 10_000])
def test_lists_within_lists_are_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"Expected .* in '.*a\.json'"):
        open_videos(tmp_path / "a.json")
