import json
import pickle
import re

import pytest
import torch
from torchvision.models import resnet50

from tests.parity import reference_state
from tltm_graph import MovingShapes, Tracker
from tltm_graph.association import LearnedAffinity
from tltm_graph.association.motion_features import NUM_CURRENT, NUM_EDGE, NUM_PREVIOUS
from tltm_graph.formats import COCO, YOUTUBE_VIS_2019, read_class_map
from tltm_graph.models import (
    KNOWN_WEIGHTS,
    TLTM,
    centermask_r50,
    for_inference,
    load_model,
    load_reference_checkpoint,
    load_weights,
    model_for_tracking,
    reference_name,
    save_model,
    tltm_r50,
    tltm_r101,
    tltm_tiny,
)
from tltm_graph.nn import TransitionHead


@pytest.fixture(scope="module")
def tltm_state():
    return reference_state(tltm_r50())


@pytest.fixture(scope="module")
def coco_state():
    return reference_state(centermask_r50())


@pytest.fixture
def save(tmp_path):
    def written(state, name="weights.pth"):
        torch.save({"model": state, "iteration": 9}, tmp_path / name)
        return tmp_path / name

    return written


def weights_of(model):
    prefix = "" if isinstance(model, TLTM) else "detector."
    return {reference_name(prefix + name): value for name, value in model.state_dict().items()}


def test_tltm(save, tltm_state):
    model, report = load_reference_checkpoint(save(tltm_state))
    assert isinstance(model, TLTM)
    assert bool(model.is_trained)
    assert model.class_names == YOUTUBE_VIS_2019
    assert (report.kind, len(report.matched)) == ("TLTM", 385)
    assert report.reshaped == report.ignored == report.missing == ()
    loaded = weights_of(model)
    assert all(torch.equal(loaded[name], value) for name, value in tltm_state.items())
    assert "matched    385  FCOS head, GNN, ResFuser" in str(report)


def test_centermask_with_and_without_its_mask_iou_head(save, coco_state):
    extra = {"roi_heads.maskiou_head.maskiou.weight": torch.zeros(80, 8), "pixel_mean": torch.zeros(3, 1, 1)}
    for state in (coco_state, coco_state | extra):
        model, report = load_reference_checkpoint(save(state))
        assert model.class_names == COCO
        assert (report.kind, len(report.matched), report.missing) == ("CenterMask", 337, ())
        assert set(report.ignored) == set(state) - set(coco_state)


def test_coco_classes_are_gathered_into_those_of_youtube_vis(save, coco_state):
    model = tltm_r50()
    before = {name: value.clone() for name, value in weights_of(model).items()}
    _, report = load_reference_checkpoint(save(coco_state), model)
    after = weights_of(model)
    assert len(report.matched) == 333
    assert {name.split(".")[-2] for name in report.reshaped} == {"cls_logits", "predictor"}
    assert {name.split(".")[0] for name in report.missing} == {"proposal_generator", "obj_encoder", "obj2obj_gnn"}
    assert not model.is_trained
    coco_name = {name: coco_name for coco_name, name in read_class_map("coco_to_youtube_vis_2019").items()}
    assert len(coco_name) == 19
    for name in report.reshaped:
        for row, label in enumerate(YOUTUBE_VIS_2019):
            known = coco_name.get(label)
            expected = before[name][row] if known is None else coco_state[name][COCO.index(known)]
            assert torch.equal(after[name][row], expected), (name, label)
    assert "mouse" not in coco_name


def caffe2_name(name):
    """Backwards, from the names of detectron2 to those of Caffe2."""
    name = name.removeprefix("backbone.bottom_up.")
    for layer, branch in (("shortcut", "branch1"), ("conv1", "branch2a"), ("conv2", "branch2b"), ("conv3", "branch2c")):
        name = re.sub(rf"^(res\d\.\d+)\.{layer}\.", rf"\1.{branch}.", name)
    name = name.replace("norm.weight", "bn_s").replace("norm.bias", "bn_b").replace("stem.conv1.", "conv1.")
    return re.sub(r"^conv1\.bn", "res_conv1_bn", name).removesuffix("eight").replace(".", "_")


def test_imagenet_start(tmp_path, tltm_state):
    body = {n: v for n, v in tltm_state.items() if n.startswith("backbone.bottom_up.") and "running" not in n}
    names = [caffe2_name(name) for name in body]
    assert {"conv1_w", "res_conv1_bn_s", "res2_0_branch1_w", "res5_2_branch2c_bn_b"} <= set(names)
    arrays = {name: value.numpy() for name, value in zip(names, body.values(), strict=True)}
    arrays |= {"fc1000_w": torch.zeros(2).numpy(), "conv1_w_momentum": torch.zeros(2).numpy()}
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps({"model": arrays, "matching_heuristics": True}, protocol=2))
    model, report = load_reference_checkpoint(tmp_path / "R-50.pkl", tltm_r50())
    loaded = weights_of(model)
    assert (report.kind, len(report.matched), len(report.missing)) == ("ImageNet", 265, 120)
    assert all(torch.equal(loaded[name], value) for name, value in body.items())
    norm = model.detector.backbone.body["layer1"][0].bn1  # nothing but scale and offset
    x = torch.randn(1, 64, 3, 3)
    torch.testing.assert_close(norm(x), x * norm.weight[:, None, None] + norm.bias[:, None, None])
    with pytest.raises(ValueError, match="Expected a whole model .* name the model it goes into"):
        load_reference_checkpoint(tmp_path / "R-50.pkl")


def test_weights_of_torchvision_see_the_same_image(tmp_path):
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


def broken(state, change):
    state = dict(state)
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("obj_encoder.cn1.bias"), "lacks 1 of the model's weights: obj_encoder.cn1.bias. Nothing"),
        (lambda s: [s.pop(n) for n in list(s) if "mask_head" in n], "lacks 13 of the model's weights: roi_heads"),
        (lambda s: s.update({"obj_encoder.cn4.bias": torch.zeros(1)}), "has 1 weights that the model lacks: obj_enc"),
        (lambda s: s.update({"something.else": torch.zeros(1)}), "has 1 weights that the model lacks: something"),
        (
            lambda s: s.update({"obj2obj_gnn.edge_mlp.0.bias": torch.zeros(7)}),
            r"of other shapes or values: obj2obj_gnn.edge_mlp.0.bias \(7,\) for \(128,\)",
        ),
        (
            lambda s: [s.pop(n) for n in list(s) if "." in n] and s.update(a=torch.zeros(1)),
            "Expected weights of a ResNet",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(save, tltm_state, change, message):
    model = tltm_r50()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        load_reference_checkpoint(save(broken(tltm_state, change)), model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_other_architectures(save, tltm_state):
    with pytest.raises(ValueError, match=r"lacks 255 of the model's weights: backbone.bottom_up.res4.6.conv1.weight"):
        load_reference_checkpoint(save(tltm_state), tltm_r101())
    with pytest.raises(ValueError, match=r"has 255 weights that the model lacks: backbone.bottom_up.res4"):
        load_reference_checkpoint(save(reference_state(tltm_r101())), tltm_r50())


def test_own_weights(tmp_path):
    torch.manual_seed(0)
    model = tltm_tiny(("cat", "dog"), min_size=96)
    model.relation.is_trained.fill_(True)
    save_model(model, tmp_path / "tiny.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.json", "tiny.safetensors"]
    loaded = load_model(tmp_path / "tiny.safetensors")
    assert loaded.class_names == ("cat", "dog")
    assert (loaded.detector.min_size, loaded.detector.decoder) == (96, model.detector.decoder)
    assert all(torch.equal(v, model.state_dict()[n]) for n, v in loaded.state_dict().items())
    again = tltm_tiny(("cat", "dog"), weights=tmp_path / "tiny.safetensors")
    assert bool(again.is_trained)


def test_own_association_head(tmp_path):
    path = tmp_path / "tiny.safetensors"
    model = tltm_tiny(("cat", "dog"))
    model.association = LearnedAffinity(TransitionHead(NUM_PREVIOUS, NUM_CURRENT, NUM_EDGE), temperature=1.5)
    save_model(model, path)
    loaded = load_model(path)
    assert loaded.association.temperature == 1.5
    own, again = model.association.head.state_dict(), loaded.association.head.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in own.items())
    assert loaded.affinity() is None, "random weights are not used for association"
    assert Tracker(loaded).affinity.appearance is None
    loaded.relation.is_trained.fill_(True)
    affinity = Tracker(for_inference(loaded)).affinity
    assert affinity.temperature == 1.5
    assert affinity.appearance is not None
    model.association = None
    save_model(model, path)
    assert load_model(path).association is None, "the head of a previous model is not read"


def test_own_weights_that_do_not_belong(tmp_path):
    save_model(tltm_tiny(("cat", "dog")), tmp_path / "tiny.safetensors")
    with pytest.raises(
        ValueError, match=r"got those of another one, which differs in 4: detector.head.cls_logits.weight"
    ):
        tltm_tiny(("cat",), weights=tmp_path / "tiny.safetensors")
    with pytest.raises(ValueError, match="Expected a path that ends in .safetensors"):
        save_model(tltm_tiny(), tmp_path / "tiny.pth")
    (tmp_path / "tiny.json").write_text('{"architecture": "other"}')
    with pytest.raises(ValueError, match="Expected a configuration of one of"):
        load_model(tmp_path / "tiny.safetensors")
    (tmp_path / "tiny.json").unlink()
    with pytest.raises(FileNotFoundError, match="Expected the configuration of"):
        load_model(tmp_path / "tiny.safetensors")


def test_known_names(monkeypatch, tmp_path):
    torch.hub.set_dir(str(tmp_path))
    monkeypatch.setitem(KNOWN_WEIGHTS, "imagenet-r50", "file:///nowhere/resnet50-0676ba61.pth")
    with pytest.raises(ConnectionError, match="Download the file elsewhere and give its path"):
        load_weights("imagenet-r50", tltm_r50())
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "resnet50-0676ba61.pth")
    monkeypatch.setitem(KNOWN_WEIGHTS, "imagenet-r50", f"file://{tmp_path}/resnet50-0676ba61.pth")
    with pytest.raises(ValueError, match="invalid hash value"):
        load_weights("imagenet-r50", tltm_r50())


def test_shipped_weights():
    name = "tltm-tiny-moving-shapes"
    model = load_model(name)
    assert model.class_names == MovingShapes.class_names
    assert (model.detector.min_size, model.detector.max_size) == (192, 320)
    assert bool(model.is_trained)
    again = tltm_tiny(MovingShapes.class_names, weights=name)
    assert all(torch.equal(v, model.state_dict()[n]) for n, v in again.state_dict().items())
    assert model_for_tracking(name, max_size=240).detector.max_size == 240
    with pytest.raises(ValueError, match=r"Expected the weights of this model in '.*tltm_tiny.safetensors'"):
        tltm_tiny(("cat", "dog"), weights=name)


@pytest.mark.parametrize(
    "load", [load_model, model_for_tracking, lambda name: load_weights(name, tltm_tiny())], ids=range(3)
)
def test_unknown_names(load):
    with pytest.raises(
        FileNotFoundError,
        match=r"one of \['tltm-tiny-moving-shapes'\], found no file 'tltm-huge'; .*\['imagenet-r101', 'imagenet-r50'\]",
    ):
        load("tltm-huge")


def test_a_model_trained_without_resfuser_has_none(save, tltm_state):
    without = {name: value for name, value in tltm_state.items() if "resfuser" not in name}
    model, report = load_reference_checkpoint(save(without))
    assert model.detector.fusers is None
    assert (len(report.matched), report.missing) == (365, ())
    with pytest.raises(ValueError, match=r"lacks 20 of the model's weights: .*resfuser_0"):
        load_reference_checkpoint(save(without), tltm_r50())


def test_half_a_part_is_an_error(save, tltm_state, coco_state):
    half = {name: value for name, value in tltm_state.items() if re.search(r"resfuser_[01]", name)}
    with pytest.raises(ValueError, match="lacks 12 of the model's weights"):
        load_reference_checkpoint(save(coco_state | half), tltm_r50(COCO))


def test_where_the_stride_is_belongs_to_the_weights(save, tmp_path, tltm_state):
    with pytest.raises(ValueError, match="build the model with stride_in_1x1=True"):
        load_reference_checkpoint(save(tltm_state), tltm_r50(stride_in_1x1=False))
    save_model(tltm_r50(stride_in_1x1=False), tmp_path / "own.safetensors")
    with pytest.raises(ValueError, match="Expected a model with stride_in_1x1=False"):
        tltm_r50(weights=tmp_path / "own.safetensors")


def test_a_backbone_of_another_kind(save, tltm_state):
    body = {name: value for name, value in tltm_state.items() if name.startswith("backbone.bottom_up.")}
    with pytest.raises(ValueError, match="got a ImageNet checkpoint"):
        load_reference_checkpoint(save(body), tltm_tiny())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_values_that_are_no_numbers(save, tltm_state, value):
    state = tltm_state | {"obj_encoder.cn1.bias": torch.full((512,), value)}
    with pytest.raises(ValueError, match=r"obj_encoder.cn1.bias \(values\)"):
        load_reference_checkpoint(save(state))


def test_half_precision_is_read(save, tltm_state):
    model, _ = load_reference_checkpoint(save({name: value.half() for name, value in tltm_state.items()}))
    assert all(p.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize(
    "change", [{"class_names": 3}, {"class_names": "ab"}, {"min_size": None}, {"decoder": {}}, {"architecture": 1}]
)
def test_configurations_that_make_no_sense(tmp_path, change):
    save_model(tltm_tiny(("cat", "dog")), tmp_path / "tiny.safetensors")
    config = json.loads((tmp_path / "tiny.json").read_text())
    (tmp_path / "tiny.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match="Expected a configuration of one of"):
        load_model(tmp_path / "tiny.safetensors")


def test_model_for_tracking(tmp_path, save, tltm_state):
    save_model(tltm_tiny(("cat", "dog")), tmp_path / "tiny.safetensors")
    model = model_for_tracking(
        str(tmp_path / "tiny.safetensors"), score_threshold=0.2, min_size=64, precision="bfloat16"
    )
    assert (model.detector.decoder.score_threshold, model.detector.decoder.max_objects) == (0.2, 50)
    assert (model.detector.min_size, model.detector.max_size, model.detector.autocast) == (64, 640, torch.bfloat16)
    assert model_for_tracking(str(save(tltm_state))).class_names == YOUTUBE_VIS_2019
    with pytest.raises(ValueError, match="Expected the precision"):
        model_for_tracking("tiny.safetensors", precision="int8")
    with pytest.raises(ValueError, match="Expected max_objects of at least 1"):
        model_for_tracking(str(tmp_path / "tiny.safetensors"), max_objects=0)
    with pytest.raises(ValueError, match="Expected min_size of at least 1"):
        model_for_tracking(str(tmp_path / "tiny.safetensors"), min_size=0)
