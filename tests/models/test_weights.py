import json

import pytest
import torch

from tests.cases import names_in
from tltm_graph import Tracker
from tltm_graph.association import LearnedAffinity
from tltm_graph.association.motion_features import NUM_CURRENT, NUM_EDGE, NUM_PREVIOUS
from tltm_graph.formats import COCO, YOUTUBE_VIS_2019
from tltm_graph.models import (
    centermask_pico,
    for_inference,
    load_model,
    load_reference_checkpoint,
    model_for_tracking,
    save_model,
    tltm_r50,
    tltm_tiny,
)
from tltm_graph.nn import TransitionHead


def test_own_weights(tmp_path):
    torch.manual_seed(0)
    model = tltm_tiny(("cat", "dog"), min_size=96)
    model.relation.is_trained.fill_(True)
    save_model(model, tmp_path / "tiny.safetensors")
    assert names_in(tmp_path) == ["tiny.json", "tiny.safetensors"]
    loaded = load_model(tmp_path / "tiny.safetensors")
    assert loaded.class_names == ("cat", "dog")
    assert (loaded.detector.min_size, loaded.detector.decoder) == (96, model.detector.decoder)
    assert all(torch.equal(v, model.state_dict()[n]) for n, v in loaded.state_dict().items())
    again = tltm_tiny(("cat", "dog"), weights=tmp_path / "tiny.safetensors")
    assert bool(again.is_trained)


@pytest.mark.slow
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
    with pytest.raises(ValueError, match="Expected 'architecture' as one of .* got 'other'"):
        load_model(tmp_path / "tiny.safetensors")
    (tmp_path / "tiny.json").unlink()
    with pytest.raises(FileNotFoundError, match="Expected the configuration of"):
        load_model(tmp_path / "tiny.safetensors")


@pytest.mark.parametrize("value", [True, False])
def test_settings_of_the_detector_are_saved(tmp_path, value):
    options = {"stretch": value, "masks_on_demand": value, "new_track_threshold": 0.7 if value else None}
    options["mask_threshold"] = 0.3
    save_model(centermask_pico(("cat",), **options), tmp_path / "pico.safetensors")
    loaded = load_model(tmp_path / "pico.safetensors")
    assert {name: getattr(loaded, name) for name in options} == options


def test_shipped_weights():
    name = "centermask-pico"
    model = load_model(name)
    assert model.class_names == COCO
    assert (model.stretch, model.min_size, model.new_track_threshold) == (True, 416, 0.45)
    again = centermask_pico(weights=name)
    assert all(torch.equal(v, model.state_dict()[n]) for n, v in again.state_dict().items())
    changed = model_for_tracking(name, min_size=240, new_track_threshold=0.2)
    assert (changed.network_size((360, 640)), changed.new_track_threshold) == ((240, 240), 0.2)
    with pytest.raises(ValueError, match=r"Expected the weights of this model in '.*centermask_pico.safetensors'"):
        tltm_tiny(("cat", "dog"), weights=name)


def test_the_shipped_model_is_the_detector_with_fusers_and_an_appearance_model():
    model, detector = load_model("tltm-pico"), load_model("centermask-pico").state_dict()
    assert model.is_trained
    state = model.detector.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in detector.items())
    assert model.detector.recurrent
    assert model.detector.alignment is not None
    plain = model_for_tracking("tltm-pico", fusion=False, appearance=False)
    assert plain.detector.fusers is None
    assert plain.detector.alignment is None
    assert plain.affinity() is None
    assert model_for_tracking("tltm-pico").affinity() is not None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"class_names": 3}, "class_names"),
        ({"class_names": "ab"}, "class_names"),
        ({"class_names": [1]}, "class_names"),
        ({"class_names": ["a"] * 30_000}, "class_names"),
        ({"min_size": None}, "min_size"),
        ({"max_size": 10**9}, "max_size"),
        ({"mask_threshold": float("nan")}, "mask_threshold"),
        ({"new_track_threshold": float("inf")}, "new_track_threshold"),
        ({"stretch": "no"}, "stretch"),
        ({"decoder": {}}, "score_threshold"),
        ({"decoder": []}, "decoder"),
        ({"architecture": 1}, "architecture"),
        ({"architecture": []}, "architecture"),
    ],
)
def test_invalid_configurations(tmp_path, change, field):
    save_model(tltm_tiny(("cat", "dog")), tmp_path / "tiny.safetensors")
    config = json.loads((tmp_path / "tiny.json").read_text())
    (tmp_path / "tiny.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=f"Expected '{field}' as .* in .*the configuration '.*tiny.json', got"):
        load_model(tmp_path / "tiny.safetensors")


@pytest.mark.slow
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
    with pytest.raises(ValueError, match="Expected max_objects as a whole number from 1"):
        model_for_tracking(str(tmp_path / "tiny.safetensors"), max_objects=0)
    with pytest.raises(ValueError, match="Expected min_size as a whole number from 1"):
        model_for_tracking(str(tmp_path / "tiny.safetensors"), min_size=0)
    for name in ("score_threshold", "new_track_threshold"):
        with pytest.raises(ValueError, match=f"Expected {name} as a number from 0 to 1, got nan"):
            model_for_tracking(str(tmp_path / "tiny.safetensors"), **{name: float("nan")})


@pytest.mark.slow
def test_the_stride_of_the_resnet_must_be_that_of_the_weights(save, tmp_path, tltm_state):
    with pytest.raises(ValueError, match="build the model with stride_in_1x1=True"):
        load_reference_checkpoint(save(tltm_state), tltm_r50(stride_in_1x1=False))
    save_model(tltm_r50(stride_in_1x1=False), tmp_path / "own.safetensors")
    with pytest.raises(ValueError, match="Expected a model with stride_in_1x1=False"):
        tltm_r50(weights=tmp_path / "own.safetensors")
