"""Numbers and names in files that no reader may believe: one wrong digit must not take the memory or the day."""

import json
import time

import pytest

from tests.formats.strategies import block
from tltm_graph.formats import open_videos
from tltm_graph.limits import Limits, limits

RLE = block(0, 0, 2, 3)["counts"]
HUGE = 999_999_999


def youtube_vis(**changes) -> dict:
    mask = {"size": [6, 10], "counts": RLE}
    video = {"id": 1, "height": 6, "width": 10, "file_names": ["a/0.jpg"]} | changes.pop("video", {})
    annotation = {"id": 1, "video_id": 1, "category_id": 1, "segmentations": [mask]} | changes.pop("annotation", {})
    return {"videos": [video], "categories": [{"id": 1, "name": "cat"}], "annotations": [annotation]} | changes


def results(**changes) -> list:
    mask = {"size": [6, 10], "counts": RLE}
    return [{"video_id": 1, "category_id": 1, "score": 0.5, "segmentations": [mask]} | changes]


def tltm(annotation: dict | None = None, **changes) -> dict:
    row = {"bbox": [0, 0, 1, 1], "category_id": 1, "track_id": 1} | (annotation or {})
    video = {"video_id": 1, "width": 10, "height": 6, "frames": [{"frame_name": "a/0.jpg", "annotations": [row]}]}
    return {"videos": [video | changes]}


def bdd100k(label: dict | None = None, **changes) -> list:
    box = {"x1": 0, "y1": 0, "x2": 1, "y2": 1}
    row = {"id": "1", "category": "car", "box2d": box} | (label or {})
    return [{"name": "a.jpg", "videoName": "v", "frameIndex": 0, "labels": [row]} | changes]


def coco(annotation: dict | None = None, **image) -> dict:
    row = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]} | (annotation or {})
    images = [{"id": 1, "file_name": "a.jpg", "height": 6, "width": 10} | image]
    return {"images": images, "categories": [{"id": 1, "name": "cat"}], "annotations": [row]}


PIXELS, LENGTH = r"at most 89478485 pixels in .*\(--max-pixels\)", r"at most 200000 frames in .*\(--max-length\)"
SQUARE = [0, 0, 5, 0, 5, 5]


@pytest.mark.parametrize(
    ("form", "content", "message"),
    [
        ("youtube_vis", youtube_vis(video={"height": 4_800_000, "width": 6_400_000}), PIXELS),
        ("youtube_vis", youtube_vis(video={"height": True}), "got True and 10 in video 0"),
        ("youtube_vis", youtube_vis(video={"length": HUGE}), "Expected 999999999 file names as 'length' says, got 1"),
        ("youtube_vis", youtube_vis(video={"id": 2**63}, annotation={"video_id": 2**63}), "id below 2⁶³"),
        ("youtube_vis", youtube_vis(annotation={"id": 2**63}), "'id', got 9223372036854775808"),
        (
            "youtube_vis",
            youtube_vis(annotation={"segmentations": [{"size": [6, 10], "counts": "0a1"}]}),
            "runs that cover",
        ),
        (
            "youtube_vis",
            youtube_vis(annotation={"segmentations": [{"size": [6, 10], "counts": [-1, 61]}]}),
            "run lengths",
        ),
        ("youtube_vis", youtube_vis(annotation={"segmentations": [[[*SQUARE[:-1], 1e6]]]}), "coordinates from -1000"),
        ("youtube_vis", youtube_vis(categories=[{"id": [1], "name": "cat"}]), "whole numbers as 'id'"),
        ("youtube_vis", youtube_vis(categories=[{"id": 1, "name": "a\0"}]), r"got 'a\\x00'"),
        ("youtube_vis", youtube_vis(categories=[{"id": 1, "name": "\ud800"}]), r"got '\\ud800'"),
        ("youtube_vis", youtube_vis(video={"file_names": ["\ud800/0.jpg"]}), r"got '\\ud800'"),
        ("tltm", tltm(frames=[{"frame_name": "a/\ud800.jpg"}]), r"got '\\ud800'"),
        ("coco", coco(file_name="\ud800.jpg"), r"got '\\ud800'"),
        ("bdd100k", bdd100k(videoName="\ud800"), r"got '\\ud800'"),
        ("youtube_vis_results", results(segmentations=[{"size": [2**30, 960], "counts": RLE}]), PIXELS),
        ("youtube_vis_results", results(segmentations=[{"size": [6.0, 10], "counts": RLE}]), "got size .6.0, 10."),
        ("youtube_vis_results", results(segmentations=[{"size": "610", "counts": RLE}]), "got size '610'"),
        ("youtube_vis_results", results(category_id=HUGE), "'category_id' from 1 to 1048576, got 999999999 in entry 0"),
        ("youtube_vis_results", results(category_id=[1]), r"'category_id' from 1 to 1048576, got \[1\]"),
        ("youtube_vis_results", results(track_id=2**63), "'track_id', got 9223372036854775808"),
        ("youtube_vis_results", results(bboxes=[[0, 0, 1e308, 1]]), "four finite numbers"),
        ("tltm", tltm(height=2**30, width=960), PIXELS),
        ("tltm", tltm(height=0), "at least 1 pixel in video 0"),
        ("tltm", tltm(height=1e400), "got OverflowError"),
        ("tltm", tltm({"track_id": 2**64}), "'track_id', got 18446744073709551616"),
        ("tltm", tltm({"bbox": None, "segmentation": {"size": [6, 10], "counts": "0a1"}}), "Expected runs that cover"),
        ("bdd100k", bdd100k(size={"height": 2**30, "width": 960}), PIXELS),
        ("bdd100k", bdd100k({"box2d": None, "rle": {"size": [2**30, 960], "counts": RLE}}), PIXELS),
        ("bdd100k", bdd100k(frameIndex=HUGE), "'frameIndex' 0 to 0"),
        ("coco", coco(height=4_800_000, width=6_400_000), PIXELS),
        ("coco", coco({"bbox": None, "segmentation": {"size": [6, 10], "counts": "0"}}), "Expected runs that cover"),
        ("coco", coco({"segmentation": [[0, 0, 1e5, 0, 1e5, 1]]}), "coordinates from -1000 to 1000"),
        ("coco", coco(id=2**63) | {"annotations": []}, "id below 2⁶³"),
        (
            "mot",
            f"{HUGE},1,0,0,1,1,1,1,1\n",
            rf"at most 200000 frames in '.*a.mot', line 1, got {HUGE}: .*--max-length",
        ),
        ("mot", "1,1,0,0,1e308,1,1,1,1\n", r"boxes of pixels below 1e\+07, got"),
        ("mots", f"{HUGE} 1 1 6 10 {RLE}\n", LENGTH),
        ("mots", f"1 1 1 4800000 6400000 {RLE}\n", PIXELS),
        ("mots", f"1 1 1 0 10 {RLE}\n", "got 0 and 10 in '.*', line 1"),
        ("mots", f"1 {2**63} 1 6 10 {RLE}\n", "as 'id', got 9223372036854775808 in '.*', line 1"),
        ("mots", f"1 {'9' * 5000} 1 6 10 {RLE}\n", "five whole numbers and a mask"),
    ],
)
def test_numbers_are_refused_with_their_place(tmp_path, form, content, message):
    path = tmp_path / ("a.txt" if form.startswith("mot") else f"a.{form}.json")
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    message = message.replace("a.mot", "a.txt")
    started = time.perf_counter()
    with pytest.raises(ValueError, match=message) as caught:
        for video in open_videos(path, form):
            video.tracks()
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("text", [str(2**63), "9" * 5000, "²", "١"])
def test_ids_of_bdd100k_that_are_no_numbers(tmp_path, text):
    (tmp_path / "a.json").write_text(json.dumps(bdd100k({"id": text})))
    assert list(open_videos(tmp_path / "a.json", "bdd100k")[0].tracks()) == [1]


def test_the_limits_can_be_raised_and_lowered(tmp_path):
    (tmp_path / "a.txt").write_text("50,1,0,0,1,1,1,1,1\n")
    with limits(Limits(max_length=49)), pytest.raises(ValueError, match="at most 49 frames"):
        open_videos(tmp_path / "a.txt", "mot")[0].tracks()
    assert open_videos(tmp_path / "a.txt", "mot")[0].tracks().num_frames == 50
    (tmp_path / "b.json").write_text(json.dumps(coco(height=20_000, width=10_000)))
    with limits(Limits(max_pixels=200_000_000)):
        assert open_videos(tmp_path / "b.json", "coco")[0].tracks().size == (20_000, 10_000)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seqLength=1000000000", r"at most 200000 frames in 'seqLength' of '.*seqinfo.ini', got 1000000000"),
        ("imWidth=4800000\nimHeight=6400000", PIXELS),
        ("imDir=../..", "Expected the name of a file in '.*', got '../..' in 'imDir' of"),
        ("imDir=/etc", "Expected the name of a file in '.*', got '/etc' in 'imDir' of"),
        ("imExt=/../*", "Expected 'imExt' as a suffix such as .jpg in"),
        ("imExt=**", "Expected 'imExt' as a suffix"),
        ("  indented", "Expected lines 'key=value' under .Sequence."),
        ("seqLength=" + "9" * 5000, "Expected 'seqLength' as a number of at least 0"),
        ("frameRate=nan", "Expected 'frameRate' as a number"),
    ],
)
def test_descriptions_of_sequences(tmp_path, line, message):
    (tmp_path / "seqinfo.ini").write_text(f"[Sequence]\n{line}\n")
    with pytest.raises(ValueError, match=message):
        open_videos(tmp_path, "mot")


@pytest.mark.parametrize("name", ["../secret.jpg", "a/../../secret.jpg", "/etc/secret.jpg", "x/.."])
def test_images_are_in_their_folder(tmp_path, name):
    (tmp_path / "secret.jpg").write_bytes(b"")
    (tmp_path / "images").mkdir()
    contents = {
        "youtube_vis": youtube_vis(video={"file_names": [name]}),
        "coco": coco(file_name=name),
        "tltm": tltm(frames=[{"frame_name": name}]),
    }
    for form, content in contents.items():
        (tmp_path / "a.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match="Expected the name of a file in '.*images', got|'file_name'"):
            open_videos(tmp_path / "a.json", form, images=tmp_path / "images")
    (tmp_path / "a.csv").write_text(f"video,frame,track_id,x,y,width,height\n{name},0,1,0,0,1,1\n")
    with pytest.raises(ValueError, match="Expected the name of a file in '.*images'"):
        open_videos(tmp_path / "a.csv", "csv", images=tmp_path / "images")


def test_a_message_has_one_line(tmp_path):
    (tmp_path / "a.csv").write_text('video,frame,track_id,x,y,width,height\n"a\nb\u2028\x1b[31m",0,1,0,0,1,1\n' * 1)
    (video,) = open_videos(tmp_path / "a.csv", "csv")
    assert video.name == "a\nb\u2028\x1b[31m"
    (tmp_path / "a.csv").write_text('video,frame,track_id,x,y,width,height\n"a\nb",0,1,0,0,-1,1\n"a\nb",0,1,0,0,-1,1\n')
    with pytest.raises(ValueError, match="^[^\n]*$"):
        open_videos(tmp_path / "a.csv", "csv")[0].tracks()


def test_a_message_is_short(tmp_path):
    (tmp_path / "a.json").write_text(
        json.dumps(youtube_vis(video={"file_names": ["n" * 10**6 + "/0.jpg"], "length": 1}))
    )
    (video,) = open_videos(tmp_path / "a.json", "youtube_vis")
    assert len(video.name) == 10**6
    annotation = {"segmentations": [{"size": [6, 10], "counts": "0"}]}
    content = youtube_vis(video={"file_names": ["n" * 10**6 + "/0.jpg"]}, annotation=annotation)
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="Expected runs that cover") as caught:
        open_videos(tmp_path / "a.json", "youtube_vis")[0].tracks()
    assert len(str(caught.value)) < 1000


def test_nesting(tmp_path):
    """Deep values are read by the parser, but each later description of them fails unless it is bounded."""
    nested: list = []
    for _ in range(900):
        nested = [nested]
    contents = {
        "youtube_vis": youtube_vis(annotation={"category_id": nested}),
        "youtube_vis_results": results(score=nested),
        "tltm": tltm({"bbox": nested}),
        "bdd100k": bdd100k({"box2d": nested}),
        "coco": coco({"segmentation": nested}),
    }
    for form, content in contents.items():
        (tmp_path / "a.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match="Expected [^\n]*$") as caught:
            open_videos(tmp_path / "a.json", form)[0].tracks()
        assert len(str(caught.value)) < 500
