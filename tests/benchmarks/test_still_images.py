import re
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")
from benchmarks.still_images import main

DATA = Path(__file__).parents[3] / "shared" / "data"
IMAGES, ONNX = DATA / "coco_subset", DATA / "weights" / "picodet_s_416_coco.onnx"


@pytest.mark.slow
@pytest.mark.skipif(not IMAGES.exists() or not ONNX.exists(), reason="needs the folder 'shared' beside the project")
def test_boxes_are_as_good_as_those_of_the_file(monkeypatch, capsys):
    arguments = ["--images", str(IMAGES), "--onnx", str(ONNX), "--max-images", "12"]
    monkeypatch.setattr("sys.argv", ["still_images.py", *arguments])
    main()
    printed = capsys.readouterr().out
    rows = {
        name: [float(x) for x in scores.split()] for name, scores in re.findall(r"^(\S.*?) {3,}(.*)$", printed, re.M)
    }
    ours, theirs, masks = rows["this model, bbox"], rows["the ONNX file, bbox"], rows["this model, segm"]
    assert ours[0] == pytest.approx(theirs[0], abs=0.01)
    assert ours[0] > 0.2
    assert 0.5 < masks[0] / ours[0] < 1
    assert re.search(r"large 0\.[78]\d\d \(\d+\)", printed)
