from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tltm_graph import read_frames
from tltm_graph.models import centermask_pico, load_model, save_model

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from experiments.convert_picodet import convert, main  # noqa: E402

DATA = Path(__file__).parents[3] / "shared" / "data"
ONNX = DATA / "weights" / "picodet_s_416_coco.onnx"
needs_file = pytest.mark.skipif(
    not ONNX.exists(), reason="needs picodet_s_416_coco.onnx in 'shared' beside the project"
)


@needs_file
def test_outputs_equal_those_of_the_file():
    model = convert(ONNX).eval()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(ONNX), options)
    for name in ("000000000009", "000000000025", "000000000030"):
        (frame,) = read_frames(DATA / f"coco_subset/images/{name}.jpg")
        pixels = cv2.resize(frame.image.permute(1, 2, 0).numpy(), (416, 416), interpolation=cv2.INTER_CUBIC)
        normalised = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        expected = session.run(None, {"image": normalised.transpose(2, 0, 1)[None].astype(np.float32)})
        with torch.no_grad():
            pyramid = model.backbone(model.prepare([model.resize(frame.image)]))
            outputs = model.head(model.head_levels(pyramid))
        for output, probability, sides in zip(outputs, expected[:4], expected[4:], strict=True):
            bins = torch.from_numpy(sides).unflatten(2, (4, 8)).softmax(dim=3) @ torch.arange(8.0)
            for ours, theirs in ((output.logits.sigmoid(), torch.from_numpy(probability)), (output.distances, bins)):
                torch.testing.assert_close(ours.flatten(2).transpose(1, 2), theirs, atol=1e-4, rtol=0)


@needs_file
def test_the_detector_in_the_package_is_that_of_the_file():
    """In half precision: 11 bits of each weight."""
    for part in ("backbone", "head"):
        shipped, converted = (getattr(m, part).state_dict() for m in (load_model("centermask-pico"), convert(ONNX)))
        assert all(torch.equal(shipped[name], value.half().float()) for name, value in converted.items())


def test_another_network_is_refused(tmp_path):
    import onnx
    from onnx import TensorProto, helper

    weight = helper.make_tensor("w", TensorProto.FLOAT, [2, 3, 1, 1], [0.0] * 6)
    bias = helper.make_tensor("b", TensorProto.FLOAT, [2], [0.0, 0.0])
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    graph = helper.make_graph([node], "small", values[:1], values[1:], [weight, bias])
    onnx.save(helper.make_model(graph), tmp_path / "small.onnx")
    with pytest.raises(ValueError, match=r"Expected the 133 convolutions of PicoDet-S in '.*small.onnx', got 1"):
        convert(tmp_path / "small.onnx")


@needs_file
def test_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["convert_picodet.py", str(ONNX), str(tmp_path / "new" / "model.safetensors")])
    assert main() == 0
    assert load_model(tmp_path / "new" / "model.safetensors").stretch


def test_half_precision_is_half_the_size(tmp_path):
    model = centermask_pico(("cat",))
    save_model(model, tmp_path / "full.safetensors")
    save_model(model, tmp_path / "half.safetensors", torch.float16)
    full, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half"))
    assert half < 0.52 * full
    loaded = load_model(tmp_path / "half.safetensors")
    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), atol=1e-3, rtol=1e-3)
