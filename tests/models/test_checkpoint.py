import pickle
import re

import pytest
import torch

from tests.parity import reference_state
from tltm_graph.formats import COCO, YOUTUBE_VIS_2019, read_class_map
from tltm_graph.models import TLTM, centermask_r50, load_reference_checkpoint, tltm_r50, tltm_r101, tltm_tiny
from tltm_graph.models.checkpoint import reference_name


@pytest.fixture(scope="module")
def coco_state():
    return reference_state(centermask_r50())


def weights_of(model):
    prefix = "" if isinstance(model, TLTM) else "detector."
    return {reference_name(prefix + name): value for name, value in model.state_dict().items()}


@pytest.mark.slow
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


@pytest.mark.slow
def test_centermask_with_and_without_its_mask_iou_head(save, coco_state):
    extra = {"roi_heads.maskiou_head.maskiou.weight": torch.zeros(80, 8), "pixel_mean": torch.zeros(3, 1, 1)}
    for state in (coco_state, coco_state | extra):
        model, report = load_reference_checkpoint(save(state))
        assert model.class_names == COCO
        assert (report.kind, len(report.matched), report.missing) == ("CenterMask", 337, ())
        assert set(report.ignored) == set(state) - set(coco_state)


@pytest.mark.slow
def test_rows_of_coco_classes_are_loaded_into_those_of_youtube_vis(save, coco_state):
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
    """Convert a name of detectron2 to that of Caffe2."""
    name = name.removeprefix("backbone.bottom_up.")
    for layer, branch in (("shortcut", "branch1"), ("conv1", "branch2a"), ("conv2", "branch2b"), ("conv3", "branch2c")):
        name = re.sub(rf"^(res\d\.\d+)\.{layer}\.", rf"\1.{branch}.", name)
    name = name.replace("norm.weight", "bn_s").replace("norm.bias", "bn_b").replace("stem.conv1.", "conv1.")
    return re.sub(r"^conv1\.bn", "res_conv1_bn", name).removesuffix("eight").replace(".", "_")


@pytest.mark.slow
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


def broken(state, change):
    state = dict(state)
    change(state)
    return state


@pytest.mark.slow
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
def test_errors_name_the_weights_and_nothing_is_loaded(save, tltm_state, change, message):
    model = tltm_r50()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        load_reference_checkpoint(save(broken(tltm_state, change)), model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.slow
def test_other_architectures(save, tltm_state):
    with pytest.raises(ValueError, match=r"lacks 255 of the model's weights: backbone.bottom_up.res4.6.conv1.weight"):
        load_reference_checkpoint(save(tltm_state), tltm_r101())
    with pytest.raises(ValueError, match=r"has 255 weights that the model lacks: backbone.bottom_up.res4"):
        load_reference_checkpoint(save(reference_state(tltm_r101())), tltm_r50())


@pytest.mark.slow
def test_a_model_trained_without_resfuser_has_none(save, tltm_state):
    without = {name: value for name, value in tltm_state.items() if "resfuser" not in name}
    model, report = load_reference_checkpoint(save(without))
    assert model.detector.fusers is None
    assert (len(report.matched), report.missing) == (365, ())
    with pytest.raises(ValueError, match=r"lacks 20 of the model's weights: .*resfuser_0"):
        load_reference_checkpoint(save(without), tltm_r50())


@pytest.mark.slow
def test_incomplete_part(save, tltm_state, coco_state):
    half = {name: value for name, value in tltm_state.items() if re.search(r"resfuser_[01]", name)}
    with pytest.raises(ValueError, match="lacks 12 of the model's weights"):
        load_reference_checkpoint(save(coco_state | half), tltm_r50(COCO))


def test_a_backbone_of_another_kind(save, tltm_state):
    body = {name: value for name, value in tltm_state.items() if name.startswith("backbone.bottom_up.")}
    with pytest.raises(ValueError, match="got a ImageNet checkpoint"):
        load_reference_checkpoint(save(body), tltm_tiny())


@pytest.mark.slow
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_values_that_are_not_finite(save, tltm_state, value):
    state = tltm_state | {"obj_encoder.cn1.bias": torch.full((512,), value)}
    with pytest.raises(ValueError, match=r"obj_encoder.cn1.bias \(values\)"):
        load_reference_checkpoint(save(state))


@pytest.mark.slow
def test_half_precision_is_read(save, tltm_state):
    model, _ = load_reference_checkpoint(save({name: value.half() for name, value in tltm_state.items()}))
    assert all(p.dtype == torch.float32 for p in model.parameters())
