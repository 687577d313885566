"""Crafted files, through the command line: nothing runs, grows or ends the process."""

import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cases import names_in
from tests.fuzz.isolation import run
from tests.fuzz.seeds import build

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("valid")
    build(folder)
    return folder


@pytest.fixture
def folder(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    return work


def refused(folder: Path, words: str, *parts: str, **limits: int) -> None:
    """Check that a command ends with one line that has all parts, and writes nothing."""
    before = names_in(folder)
    outcome = run(words.split(), folder, **limits)
    assert outcome.fault is None, outcome.text
    assert outcome.status == 1, outcome.text
    assert outcome.text.count("error: ") == 1
    for part in parts:
        assert part in outcome.last_line
    assert names_in(folder) == before


# Bombs


def test_a_packed_file_that_grows(folder):
    with gzip.open(folder / "a.json.gz", "wb", compresslevel=1) as file:
        for _ in range(1100):
            file.write(bytes(2**20))
    assert (folder / "a.json.gz").stat().st_size < 2**23
    refused(folder, "convert a.json.gz out --to csv --format tltm", "at most 1024 MiB", "--max-size")
    refused(folder, "validate a.json.gz --max-size 10", "at most 10 MiB")
    refused(folder, "convert a.json.gz out --to csv --max-size 10", "at most 10 MiB")


def test_an_archive_that_grows(folder, valid):
    for name, members in (("results.zip", ["results.json"]), ("graph.zip", ["header.json", "index.json"])):
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for member in members:
                with archive.open(member, "w", force_zip64=True) as file:
                    for _ in range(25):
                        file.write(bytes(2**20))
    words = f"convert results.zip out --to csv --like {valid}/youtube_vis.json --max-size 20"
    refused(folder, words, "at most 20 MiB", "results.zip")
    refused(folder, "view graph.zip --no-pictures --output out.html --max-size 20", "at most 20 MiB", "graph.zip")


def test_a_description_with_aliases_that_grow(folder):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    (folder / "yolo" / "labels").mkdir(parents=True)
    (folder / "yolo" / "data.yaml").write_text("\n".join([*lines, "names: *a11", "path: ."]))
    (folder / "yolo" / "images").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "yolo" / "images" / "0.png")
    refused(folder, "convert yolo out --to coco --format yolo", "data.yaml")


def test_a_picture_that_grows(folder):
    (folder / "frames").mkdir()
    Image.new("1", (13_000, 13_000)).save(folder / "frames" / "0.png")
    refused(folder, "track --source frames --no-overlay --output out", "at most 89478485 pixels", "--max-pixels")
    (folder / "maps").mkdir()
    Image.fromarray(np.zeros((9500, 9500), np.uint8)).save(folder / "maps" / "00000.png")
    refused(folder, "convert maps out --to csv --format label_maps", "at most 89478485 pixels", "--max-pixels")


@pytest.mark.parametrize(
    "size", [[4_800_000, 6_400_000], [2**30, 960], [2**40, 2**40], [-1, 5], [0, 0], ["5", 5], None]
)
@pytest.mark.parametrize("counts", ["0", "PPYo0", "a" * 2000, [10**12], [-5, 5], "\u00e9"], ids=str)
def test_masks_of_any_size(folder, valid, size, counts):
    mask = {"size": size, "counts": counts}
    entry = {"video_id": 1, "category_id": 1, "score": 1.0, "segmentations": [mask], "bboxes": [[0, 0, 1, 1]]}
    (folder / "r.json").write_text(json.dumps([entry]))
    outcome = run(["convert", "r.json", "out", "--to", "csv"], folder)
    assert outcome.fault is None
    assert outcome.status == 1
    rows = [{"image_id": 0, "category_id": 1, "score": 0.9, "segmentation": mask}]
    (folder / "d.json").write_text(json.dumps(rows))
    words = f"track --source {valid}/scene.mp4 --detector precomputed:d.json --no-overlay --output out"
    outcome = run(words.split(), folder)
    assert outcome.fault is None
    assert outcome.status == 1


# One wrong number


@pytest.mark.parametrize("number", [999_999_999, 10**12, 2**63, 200_001])
@pytest.mark.parametrize("form", ["mot", "csv", "mots", "youtube_vis", "seqinfo", "tltm_results"])
def test_a_frame_far_away(folder, number, form):
    line = f"{number},1,0,0,5,5,1,1,1\n"
    if form == "mot":
        (folder / "a").mkdir()
        (folder / "a" / "v.txt").write_text(line)
    elif form == "csv":
        (folder / "a").write_text(f"frame,track_id,x,y,width,height\n{number},1,0,0,5,5\n")
    elif form == "mots":
        (folder / "a").mkdir()
        (folder / "a" / "v.txt").write_text(f"{number} 2001 2 30 44 Z1Z1\n")
    elif form == "seqinfo":
        (folder / "a" / "v" / "gt").mkdir(parents=True)
        (folder / "a" / "v" / "gt" / "gt.txt").write_text("1,1,0,0,5,5,1,1,1\n")
        info = f"[Sequence]\nname=v\nseqLength={number}\nimWidth=44\nimHeight=30\nframeRate=25\n"
        (folder / "a" / "v" / "seqinfo.ini").write_text(info)
    elif form == "youtube_vis":
        video = {"id": 1, "length": number, "width": 44, "height": 30, "file_names": ["v/0.jpg"]}
        content = {"videos": [video], "categories": [{"id": 1, "name": "car"}], "annotations": []}
        (folder / "a").write_text(json.dumps(content))
    else:
        (folder / "a").mkdir()
        (folder / "a" / "tracks.json").write_text("[]")
        (folder / "a" / "run.json").write_text(json.dumps({"frames": number, "class_names": ["car"]}))
    for words in (
        "convert a out --to csv",
        "convert a out --to youtube_vis",
        "eval --truth a --predictions a --output out",
    ):
        kind = {"csv": " --format csv", "youtube_vis": " --format youtube_vis"}.get(form, "")
        if words.startswith("eval"):
            kind = kind.replace("--format", "--truth-format") + kind.replace("--format", "--predictions-format")
        outcome = run((words + kind).split(), folder, seconds=15)
        assert outcome.fault is None, outcome.text
        assert outcome.status == 1, outcome.text
    assert names_in(folder) == ["a"]
