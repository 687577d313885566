from pathlib import Path

import pytest
import torch

from tests.cases import blank
from tltm_graph import Frame, Tracker, Tracks, read_frames
from tltm_graph.detectors import PrecomputedDetector, build_detector, check_detector

pytest.importorskip("onnxruntime")
from experiments.yolox_detector import YoloxDetector, decode, letterbox

DATA = Path(__file__).parents[3] / "shared" / "data"
WEIGHTS = DATA / "weights" / "yolox_nano.onnx"
needs_weights = pytest.mark.skipif(not WEIGHTS.exists(), reason="needs yolox_nano.onnx in 'shared' beside the project")


def test_letterbox():
    image = torch.stack([torch.full((30, 60), value, dtype=torch.uint8) for value in (10, 20, 30)])
    boxed, scale = letterbox(image, (40, 40))
    assert scale == 40 / 60
    assert boxed.shape == (3, 40, 40)
    assert boxed[:, 0, 0].tolist() == [30, 20, 10], "blue first"
    assert boxed[:, 19, 39].tolist() == [30, 20, 10]
    assert (boxed[:, 20:] == 114).all(), "the picture lies at the top left"
    assert image[0, 0, 0] == 10


def test_letterbox_equals_opencvs():
    cv2 = pytest.importorskip("cv2")
    image = torch.randint(0, 256, (3, 90, 160), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    boxed, _ = letterbox(image, (64, 64))
    small = cv2.resize(image.flip(0).permute(1, 2, 0).contiguous().numpy(), (64, 36), interpolation=cv2.INTER_LINEAR)
    assert (boxed[:, :36] - torch.from_numpy(small).permute(2, 0, 1)).abs().max() <= 1


def test_decode_equals_a_loop():
    rows = torch.randn(8 * 12 + 4 * 6 + 2 * 3, 6, generator=torch.Generator().manual_seed(0))
    centers, sides = decode(rows, (64, 96))
    row = 0
    for stride in (8, 16, 32):
        for y in range(64 // stride):
            for x in range(96 // stride):
                dx, dy, w, h = rows[row, :4]
                expected = torch.stack([(x + dx) * stride, (y + dy) * stride, w.exp() * stride, h.exp() * stride])
                torch.testing.assert_close(torch.cat([centers[row], sides[row]]), expected)
                row += 1
    assert row == len(rows)


@needs_weights
def test_by_dotted_path():
    frames = [frame for frame, _ in zip(read_frames(DATA / "clips/sam2_dog_person.mp4"), range(3), strict=False)]
    detector = build_detector(f"experiments.yolox_detector.YoloxDetector:{WEIGHTS}?score_threshold=0.5")
    check_detector(detector, frames)
    detections, _ = detector.detect(frames[0])
    assert [detector.class_names[label] for label in detections.labels] == ["person", "dog"]
    x0, y0, x1, y1 = detections.boxes.unbind(dim=1)
    assert ((x1 - x0) > 100).all()
    assert ((y1 - y0) > 200).all()
    assert detections.masks is None
    assert detections.features is None
    assert repr(detector) == "YoloxDetector(416×416, score_threshold=0.5)"


@needs_weights
def test_boxes_are_close_to_those_of_another_program():
    """Boxes of the same network from another program, which resizes a little differently."""
    expected = PrecomputedDetector.from_file(
        DATA / "davis2016/detections/horsejump-high.json.gz", model="yolox_nano", score_threshold=0.5
    )
    labels = str(WEIGHTS.with_name("coco80_labels.txt"))
    detector = YoloxDetector(str(WEIGHTS), score_threshold=0.1, labels=labels)
    assert detector.class_names == YoloxDetector(str(WEIGHTS)).class_names
    for frame in read_frames(DATA / "davis2016/JPEGImages/480p/horsejump-high"):
        if frame.index % 10:
            continue
        reference, detections = expected.detect(frame)[0], detector.detect(frame)[0]
        names = [detector.class_names[label] for label in detections.labels]
        assert len(reference) > 0
        for box, label in zip(reference.boxes, reference.labels, strict=True):
            row = names.index(expected.class_names[label])  # the most confident of that class
            assert (detections.boxes[row] - box).abs().max() < 0.06 * (box[2:] - box[:2]).max()


@pytest.mark.slow
@needs_weights
def test_tracks_of_a_woman_and_her_dog():
    detector = YoloxDetector(str(WEIGHTS))
    stream = Tracker(detector).track(read_frames(DATA / "clips/sam2_dog_person.mp4"))
    tracks = Tracks.from_stream(((frame.index, detections) for frame, detections in stream), (720, 1280))
    long = sorted((t.frames[0], detector.class_names[t.label], len(t)) for t in tracks.values() if len(t) > 30)
    assert [name for _, name, _ in long] == ["dog", "person"], "the dog leaves the picture and keeps its id"
    assert long[1][2] == 289, "the woman has one id in all frames"


@needs_weights
def test_no_detections():
    for size in ((64, 64), (1, 500)):
        detections, context = YoloxDetector(str(WEIGHTS)).detect(blank(0, size))
        assert len(detections) == 0
        assert context is None
    assert len(YoloxDetector(str(WEIGHTS)).detect(Frame(torch.zeros(3, 2000, 9, dtype=torch.uint8), 0, 0.0))[0]) == 0


def test_no_file():
    with pytest.raises(FileNotFoundError, match="Expected an ONNX file, found none at 'nowhere.onnx'"):
        YoloxDetector("nowhere.onnx")


@needs_weights
def test_other_classes(tmp_path):
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    with pytest.raises(ValueError, match=r"Expected rows of 7 numbers \(box, object, 2 classes\)"):
        YoloxDetector(str(WEIGHTS), labels=str(tmp_path / "labels.txt"))
