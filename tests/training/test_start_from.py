import pytest
import torch

from tltm_graph.models import centermask_r50, save_model, tltm_r50, tltm_tiny
from tltm_graph.training.start_from import start_from


def saved(tmp_path, names, seed=0, build=tltm_tiny):
    torch.manual_seed(seed)
    model = build(names)
    save_model(model, tmp_path / "saved.safetensors")
    return model, tmp_path / "saved.safetensors"


def test_the_same_classes(tmp_path):
    old, path = saved(tmp_path, ("cat", "dog"))
    new = tltm_tiny(("cat", "dog"))
    report = start_from(path, new)
    assert all(a.equal(b) for a, b in zip(old.state_dict().values(), new.state_dict().values(), strict=True))
    assert report.new == report.left_out == report.new_classes == ()
    assert str(report) == f"start from {path}: {len(old.state_dict())} weights copied"


def test_common_classes_keep_their_rows(tmp_path):
    old, path = saved(tmp_path, ("cat", "dog", "owl"))
    torch.manual_seed(1)
    new = tltm_tiny(("fox", "dog", "cat", "eel"))
    drawn = {name: value.clone() for name, value in new.state_dict().items()}
    report = start_from(path, new)
    for name in ("head.cls_logits.weight", "head.cls_logits.bias", "mask_head.predictor.weight"):
        value, before = (x[f"detector.{name}"] for x in (new.state_dict(), old.state_dict()))
        assert value[1].equal(before[1])
        assert value[2].equal(before[0])
        assert value[[0, 3]].equal(drawn[f"detector.{name}"][[0, 3]])
    assert new.detector.fusers[0].cn1.weight.equal(old.detector.fusers[0].cn1.weight)
    assert "classes: 2 copied by name (dog, cat), 2 random (fox, eel)" in str(report)


def test_the_same_number_class_filter_in_another_order(tmp_path):
    old, path = saved(tmp_path, ("cat", "dog"))
    new = tltm_tiny(("dog", "cat"))
    start_from(path, new)
    assert new.detector.head.cls_logits.weight[0].equal(old.detector.head.cls_logits.weight[1])


@pytest.mark.slow
def test_from_a_detector_to_the_whole_model_and_back(tmp_path):
    old, path = saved(tmp_path, ("cat",), build=centermask_r50)
    new = tltm_r50(("cat",))
    report = start_from(path, new)
    assert new.detector.head.bbox_pred.weight.equal(old.head.bbox_pred.weight)
    assert str(report).endswith("48 not in the file, random: fusers, relation.encoder, relation.gnn")
    save_model(new, path)
    again = centermask_r50(("cat",))
    report = start_from(path, again)
    assert all(a.equal(b) for a, b in zip(old.state_dict().values(), again.state_dict().values(), strict=True))
    assert "not in the model, left out: fusers, relation.encoder, relation.gnn" in str(report)


def test_what_does_not_fit_is_an_error_and_changes_nothing(tmp_path):
    _, path = saved(tmp_path, ("cat",), build=centermask_r50)
    model = tltm_tiny(("cat",))
    before = [value.clone() for value in model.state_dict().values()]
    with pytest.raises(ValueError, match=r"except for its classes, in '.*', got .*Nothing was loaded"):
        start_from(path, model)
    assert all(a.equal(b) for a, b in zip(before, model.state_dict().values(), strict=True))
    path.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match=r"'saved.json', which names the classes, beside"):
        start_from(path, model)
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(ValueError, match="Expected a configuration with class_names"):
        start_from(path, model)
    with pytest.raises(FileNotFoundError, match="Expected a file of weights or one of"):
        start_from(tmp_path / "nothing.safetensors", model)


@pytest.mark.slow
def test_checkpoints_of_others(tmp_path):
    """Whatever load_weights reads."""
    from tltm_graph.models.checkpoint import reference_name

    torch.manual_seed(0)
    old = centermask_r50(("cat",))
    names = {name: reference_name("detector." + name) for name in old.state_dict()}
    torch.save({"model": {names[name]: value for name, value in old.state_dict().items()}}, tmp_path / "other.pth")
    new = tltm_r50(("cat",))
    report = start_from(tmp_path / "other.pth", new)
    assert report.kind == "CenterMask"
    assert new.detector.head.bbox_pred.weight.equal(old.head.bbox_pred.weight)
