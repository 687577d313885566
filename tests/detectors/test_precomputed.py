import gzip
import json

import pytest
import torch

from tests.cases import blank
from tltm_graph import MovingShapes
from tltm_graph.detectors import PrecomputedDetector, check_detector
from tltm_graph.limits import Limits, limits
from tltm_graph.ops import encode_rle
from tltm_graph.structures import Frame

RESULT = {"image_id": 0, "category_id": 1, "score": 0.5, "bbox": [0, 0, 1, 1]}
SCENE = MovingShapes(6, (48, 64), num_objects=4, seed=2)


def as_frames() -> list[dict]:
    entries = []
    for t in range(6):
        truth = SCENE.truth(t)
        rows = [
            {
                "category": SCENE.class_names[label],
                "score": 0.5 + 0.1 * k,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "rle": rle["counts"],
            }
            for k, (label, (x0, y0, x1, y1), rle) in enumerate(
                zip(truth.labels.tolist(), truth.boxes.tolist(), encode_rle(truth.masks), strict=True)
            )
        ]
        boxes_only = [{key: value for key, value in row.items() if key != "rle"} for row in rows]
        entries.append({"frame": f"{t:05d}", "height": 48, "width": 64, "boxer": boxes_only, "masker": rows})
    return entries


def write(path, content) -> str:
    text = content if isinstance(content, str) else json.dumps(content)
    if path.suffix == ".gz":
        with gzip.open(path, "wt") as file:
            file.write(text)
    else:
        path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", ["d.json", "d.json.gz"])
def test_frames_format(tmp_path, name):
    detector = PrecomputedDetector.from_file(write(tmp_path / name, as_frames()))
    assert detector.num_frames == 6
    assert detector.size == (48, 64)
    check_detector(detector, list(SCENE))
    for t in range(6):
        detections, truth = detector.detect(SCENE.frame(t))[0], SCENE.truth(t)
        order = list(reversed(range(len(truth))))  # the last one was given the highest score
        assert torch.equal(detections.masks, truth.masks[order])
        torch.testing.assert_close(detections.boxes, truth.boxes[order])
        names = [detector.class_names[label] for label in detections.labels.tolist()]
        assert names == [SCENE.class_names[label] for label in truth.labels[order].tolist()]


def test_one_of_several_models_and_a_threshold(tmp_path):
    path = write(tmp_path / "d.json", as_frames())
    boxes = PrecomputedDetector.from_file(path, model="boxer", score_threshold=0.65)
    detections, _ = boxes.detect(SCENE.frame(0))
    assert detections.masks is None
    assert (detections.scores >= 0.65).all()
    with pytest.raises(ValueError, match=r"one of the models \['boxer', 'masker'\] .* got 'other'"):
        PrecomputedDetector.from_file(path, model="other")


def test_coco_results(tmp_path):
    truth = SCENE.truth(3)
    rows = [
        {"image_id": 4, "category_id": label + 1, "score": 0.9, "segmentation": rle}
        for label, rle in zip(truth.labels.tolist(), encode_rle(truth.masks), strict=True)
    ]
    detector = PrecomputedDetector.from_file(write(tmp_path / "d.json", rows), first_frame=1)
    detections, _ = detector.detect(SCENE.frame(3))
    assert torch.equal(detections.masks, truth.masks)
    torch.testing.assert_close(detections.boxes, truth.boxes)
    assert torch.equal(detections.labels, truth.labels)
    assert len(detector.detect(SCENE.frame(0))[0]) == 0


def test_masks_of_some_objects_only(tmp_path):
    entries = as_frames()
    del entries[0]["masker"][0]["rle"]
    detector = PrecomputedDetector.from_file(write(tmp_path / "d.json", entries))
    with pytest.raises(ValueError, match="Expected masks of all .* objects in frame 0"):
        detector.detect(SCENE.frame(0))


def test_damaged_masks(tmp_path):
    entries = as_frames()
    entries[0]["masker"][0]["rle"] = "?" * 60
    detector = PrecomputedDetector.from_file(write(tmp_path / "d.json", entries))
    with pytest.raises(ValueError, match="Expected readable masks in frame 0 of 'd.json'"):
        detector.detect(SCENE.frame(0))


def test_mot(tmp_path):
    path = write(tmp_path / "det.txt", "1,-1,10,12,20,16,0.9,-1,-1,-1\n3,-1,5,6,7,8,117.5,-1,-1,-1\n")
    detector = PrecomputedDetector.from_file(path)
    assert detector.detect(blank(0))[0].boxes.tolist() == [[10, 12, 30, 28]]
    assert len(detector.detect(blank(1))[0]) == 0
    assert detector.detect(blank(2))[0].scores.tolist() == [117.5]


def test_a_file_of_another_video_is_an_error(tmp_path):
    path = write(tmp_path / "d.json", as_frames())
    detector = PrecomputedDetector.from_file(path)
    with pytest.raises(ValueError, match="ends after 6 frames: it belongs to another video"):
        detector.detect(blank(6, (48, 64)))
    with pytest.raises(ValueError, match="for frames of 96×128 pixels .* has them for 48×64"):
        detector.detect(blank(0, (96, 128)))
    scaled, _ = PrecomputedDetector.from_file(path, rescale=True).detect(blank(0, (96, 128)))
    plain, _ = detector.detect(SCENE.frame(0))
    torch.testing.assert_close(scaled.boxes, 2 * plain.boxes)
    assert torch.equal(scaled.masks, plain.masks.repeat_interleave(2, 1).repeat_interleave(2, 2))
    with pytest.raises(ValueError, match="shaped like 96×96"):
        PrecomputedDetector.from_file(path, rescale=True).detect(blank(0, (96, 96)))


@pytest.mark.parametrize(
    ("bbox", "score", "message"),
    [
        ([float("nan"), 0, 5, 5], 0.5, "Frame 0 of 'd.json': Expected finite 'boxes'"),
        ([0, 0, 5, 5], float("nan"), "Frame 0 of 'd.json': Expected finite 'scores'"),
        ([500, 0, 5, 5], 0.5, "Expected boxes in an image of 48×64 .* in frame 0 of 'd.json'"),
    ],
)
def test_bad_values(tmp_path, bbox, score, message):
    entry = {"height": 48, "width": 64, "m": [{"category": "c", "score": score, "bbox": bbox}]}
    detector = PrecomputedDetector.from_file(write(tmp_path / "d.json", [entry]), score_threshold=0.1)
    with pytest.raises(ValueError, match=message):
        detector.detect(blank(0, (48, 64)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.json", '[{"height": 4', "got a damaged"),
        ("d.json.gz", None, "got a damaged"),
        ("d.json", {"annotations": []}, "are ground truth, not detections"),
        ("d.json", [{"height": 4, "width": 4, "m": [{"score": 1}]}], "got one with KeyError: 'category'"),
        ("d.json", [{"image_id": 1, "score": 0.5}], "got entry 0 with 'category_id'"),
        ("d.json", [{"image_id": 0, "category_id": 0, "score": 1, "bbox": [0, 0, 1, 1]}], "classes from 1"),
        ("d.json", [{"image_id": 0, "category_id": 1, "score": 1, "bbox": [0, 0, 1]}], "'bbox' as four numbers"),
        ("d.json", [{"image_id": 0, "category_id": 1, "score": 1, "segmentation": 5}], "got entry 0 with"),
        (
            "d.json",
            [{"height": 4, "width": 4, "m": [{"category": "c", "score": None, "bbox": [0, 0, 1, 1]}]}],
            "'score'",
        ),
        ("d.json", [{"height": 4, "width": 4, "m": [{"category": "c", "score": 1, "bbox": None}]}], "'bbox' as four"),
        ("d.txt", "inf,-1,1,1,1,1,1\n", "frames counted from 1 .* got inf"),
        ("d.txt", "1,2,3\n", "in line 1 of"),
        ("d.txt", "1,-1,5,5,-3,4,0.5\n", "a width and height of at least 0 in line 1"),
        ("d.json", " ", "got an empty file"),
        ("d.json", "[" * 100_000, "got a damaged"),
        ("d.txt", "0,-1,1,1,1,1,1\n", "frames counted from 1"),
        ("d.txt", "hello\n", "got 'hello' in line 1"),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    path = tmp_path / name
    if content is None:
        path.write_bytes(b"\x1f\x8b broken")
    else:
        write(path, content)
    with pytest.raises(ValueError, match=message):
        PrecomputedDetector.from_file(path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="found none at"):
        PrecomputedDetector.from_file(tmp_path / "d.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{**RESULT, "segmentation": {"size": [2**30, 960], "counts": "0"}}], r"at most 89478485 pixels in entry 0"),
        ([{**RESULT, "segmentation": {"size": [4800000, 6400000], "counts": "0"}}], r"\(--max-pixels\)"),
        (
            [{**RESULT, "segmentation": {"size": [5, 0], "counts": "0"}}],
            r"'size' \[height, width\] of a mask in entry 0",
        ),
        ([{**RESULT, "segmentation": {"size": [5.0, 5], "counts": "0"}}], r"got \[5.0, 5\]"),
        ([{**RESULT, "segmentation": {"size": [True, 5], "counts": "0"}}], r"got \[True, 5\]"),
        ([{**RESULT, "segmentation": {"size": "55", "counts": "0"}}], "got '55'"),
        ([{**RESULT, "segmentation": {"size": {}, "counts": "0"}}], "got {}"),
        ([{**RESULT, "segmentation": {"size": None, "counts": "0"}}], "got None"),
        (
            [{**RESULT, "segmentation": {"size": [5, 5], "counts": "PPYo4"}, "bbox": None}],
            "damaged ones .* in entry 0 of",
        ),
        (
            [{**RESULT, "image_id": 999_999_999}],
            r"at most 200000 frames in entry 0 .*, got 1000000000: .*--max-length",
        ),
        ([{**RESULT, "image_id": float("inf")}], "got entry 0 with cannot convert float infinity"),
        ([{**RESULT, "category_id": 2**63}], "classes from 1 in .* class 9223372036854775808 in entry 0"),
        ([{**RESULT, "bbox": [0, 0, 1e308, 1]}], "'bbox' as four numbers"),
        ([{**RESULT, "bbox": [0, 0, 10**400, 1]}], "'bbox' as four numbers"),
        ([{"height": 2**30, "width": 960, "m": []}], "at most 89478485 pixels in frame 0"),
        ([{"height": 0, "width": 960, "m": []}], "'height' and 'width' as whole numbers of at least 1"),
        ([{"height": 4, "width": 4, "m": [{"category": 5, "score": 1, "bbox": [0, 0, 1, 1]}]}], "'category' as a text"),
        (
            [{"height": 4, "width": 4, "m": [{"category": "\ud800", "score": 1, "bbox": [0, 0, 1, 1]}]}],
            r"got '\\ud800'",
        ),
    ],
)
def test_numbers_beyond_the_limits(tmp_path, content, message):
    (tmp_path / "d.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        PrecomputedDetector.from_file(tmp_path / "d.json")


def test_runs_that_do_not_cover_the_frame(tmp_path):
    """pycocotools reads memory that is not its own for these runs: 25 pixels became 307,193."""
    counts = encode_rle(torch.ones(1, 5, 5, dtype=torch.bool))[0]["counts"]
    for damaged in (counts + "1", "0a1", "0PPPPPPPPPPPPP1", "0PP", "", counts + "\u007f", "\0" + counts):
        content = [{**RESULT, "segmentation": {"size": [5, 5], "counts": damaged}}]
        (tmp_path / "d.json").write_text(json.dumps(content))
        detector = PrecomputedDetector.from_file(tmp_path / "d.json")
        with pytest.raises(
            ValueError, match="Expected readable masks in frame 0 of 'd.json': Expected runs that cover"
        ):
            detector.detect(Frame(torch.zeros(3, 5, 5, dtype=torch.uint8), 0, 0.0))


def test_a_packed_file_beyond_the_limit(tmp_path):
    (tmp_path / "d.json.gz").write_bytes(gzip.compress(b"[" + b" " * 2**21 + b"]"))
    with limits(Limits(max_size=1)), pytest.raises(ValueError, match=r"at most 1 MiB .* \(--max-size\)"):
        PrecomputedDetector.from_file(tmp_path / "d.json.gz")
