import pytest
import torch
from torchvision.models import resnet50

from tltm_graph.models import load_model, model_for_tracking, tltm_r50, tltm_tiny
from tltm_graph.models.pretrained import KNOWN_WEIGHTS, load_weights


@pytest.mark.slow
def test_weights_of_torchvision_compute_the_same(tmp_path):
    torch.manual_seed(0)
    network = resnet50(weights=None).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    torch.save(network.state_dict(), tmp_path / "resnet50.pth")
    model = tltm_r50(weights=tmp_path / "resnet50.pth", stride_in_1x1=False)
    image = (torch.rand(3, 64, 96) * 255).to(torch.uint8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normal = (image / 255 - mean[:, None, None]) / std[:, None, None]
    expected = torch.nn.Sequential(*list(network.children())[:-2])(normal[None])
    with torch.no_grad():
        found = model.detector.backbone.body(model.detector.prepare([image]))["5"]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="stride_in_1x1=False"):
        tltm_r50(weights=tmp_path / "resnet50.pth")


@pytest.mark.slow
def test_known_names(monkeypatch, tmp_path):
    torch.hub.set_dir(str(tmp_path))
    monkeypatch.setitem(KNOWN_WEIGHTS, "imagenet-r50", "file:///nowhere/resnet50-0676ba61.pth")
    with pytest.raises(ConnectionError, match="Download the file .*and give its path"):
        load_weights("imagenet-r50", tltm_r50())
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "resnet50-0676ba61.pth")
    monkeypatch.setitem(KNOWN_WEIGHTS, "imagenet-r50", f"file://{tmp_path}/resnet50-0676ba61.pth")
    with pytest.raises(ValueError, match="invalid hash value"):
        load_weights("imagenet-r50", tltm_r50())


@pytest.mark.parametrize(
    "load", [load_model, model_for_tracking, lambda name: load_weights(name, tltm_tiny())], ids=range(3)
)
def test_unknown_names(load):
    with pytest.raises(
        FileNotFoundError,
        match=r"one of \['centermask-pico', 'tltm-pico'\], found no file 'tltm-huge'; .*'imagenet-r101', 'imagenet-r5",
    ):
        load("tltm-huge")
