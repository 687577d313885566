import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.cases import Script, blank, drawn, names_in
from tltm_graph import Detections, Frame, MovingShapes, Tracker
from tltm_graph.detectors import OracleDetector, ReplayDetector, cache_detections
from tltm_graph.detectors.replay import DetectionCache
from tltm_graph.models import for_inference, tltm_tiny

SCENE = MovingShapes(6, (48, 80), num_objects=3, seed=1)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = tltm_tiny(MovingShapes.class_names, min_size=48, max_size=80)
    torch.nn.init.constant_(model.detector.head.cls_logits.bias, 0.5)  # random weights with some detections
    model.relation.is_trained.fill_(True)
    return for_inference(model)


@pytest.fixture(scope="module")
def cache(model):
    return cache_detections(model, SCENE)


def check_same_tracks(live: Tracker, cached: Tracker, cache: DetectionCache) -> int:
    """Compare two trackers; returns how many objects were shown."""
    shown = 0
    for (frame, output), (black, again) in zip(live.track(SCENE), cached.track(cache.blank_frames()), strict=True):
        assert (black.index, black.time, black.size) == (frame.index, frame.time, frame.size)
        assert output.ids.equal(again.ids)
        torch.testing.assert_close(again.boxes, output.boxes)
        shown += int((output.ids >= 0).sum())
        assert (output.masks != again.masks).float().mean() < 1e-4, "the mask head ran on another batch"
    return shown


def test_a_replay_gives_the_tracks_of_the_model(model, cache):
    replayed = Tracker(ReplayDetector(cache), model.affinity(), max_shown=5)
    assert check_same_tracks(Tracker(model, max_shown=5), replayed, cache) > 6


def test_masks_that_the_association_sees_are_replayed(tmp_path):
    oracle = OracleDetector(SCENE.truth, SCENE.class_names, jitter=0.05)
    cache = cache_detections(oracle, SCENE)
    cache.save(tmp_path / "scene.safetensors")
    again = DetectionCache.load(tmp_path / "scene.safetensors")
    assert not again.masks_on_demand
    assert check_same_tracks(Tracker(oracle), Tracker(ReplayDetector(again)), again) > 6


def test_a_file_restores_the_cache(cache, tmp_path):
    cache.save(tmp_path / "scene.safetensors")
    again = DetectionCache.load(tmp_path / "scene.safetensors")
    for name in ("times", "size", "class_names", "masks", "masks_on_demand", "scale"):
        assert getattr(again, name) == getattr(cache, name)
    for one, other in zip(cache.frames, again.frames, strict=True):
        assert all(
            getattr(one, name).equal(getattr(other, name)) for name in ("boxes", "scores", "labels", "embeddings")
        )
    assert names_in(tmp_path) == ["scene.safetensors"]


def test_frames_without_objects_or_masks(tmp_path):
    cache = cache_detections(Script([Detections.empty()] * 2), map(blank, range(2)))
    cache.save(tmp_path / "scene.safetensors")
    again = DetectionCache.load(tmp_path / "scene.safetensors")
    outputs = [output for _, output in Tracker(ReplayDetector(again)).track(again.blank_frames())]
    assert [len(output) for output in outputs] == [0, 0]
    assert outputs[0].masks is None


def test_weak_detections_can_be_left_out():
    frames = [d.replace(ids=None, scores=torch.tensor([0.9, 0.2])) for d in drawn("ab\nab")]
    cache = cache_detections(Script(frames), map(blank, range(2)))
    assert len(ReplayDetector(cache, score_threshold=0.5).detect(blank(0))[0]) == 1


def test_errors(cache, tmp_path):
    detector = ReplayDetector(cache)
    with pytest.raises(ValueError, match="one of 6 cached frames, got frame 6"):
        detector.detect(blank(6, (48, 80)))
    with pytest.raises(ValueError, match=r"frames of \(48, 80\) pixels .* another video"):
        detector.detect(blank(0))
    with pytest.raises(ValueError, match="Expected detections of this detector"):
        detector.segment(Detections.empty(), (48, 80))
    with pytest.raises(ValueError, match="at least one frame"):
        cache_detections(Script([]), [])
    with pytest.raises(ValueError, match="Expected frame 0, got 3"):
        cache_detections(Script([]), [Frame(torch.zeros(3, 48, 80, dtype=torch.uint8), 3, 0.0)])
    with pytest.raises(ValueError, match="a time for each of 6 frames, got 0"):
        DetectionCache(cache.frames, cache.drawn_boxes, None, (), (48, 80), None)
    with pytest.raises(FileNotFoundError, match="Expected a file with cached detections, found none"):
        DetectionCache.load(tmp_path / "none")
    (tmp_path / "other").write_bytes(b"something else")
    with pytest.raises(ValueError, match="Expected cached detections in"):
        DetectionCache.load(tmp_path / "other")


NAN = float("nan")


def put(name, position, value):
    def apply(tensors, settings):
        tensors[name][position] = value

    return apply


def setting(**values):
    return lambda tensors, settings: settings.update(values)


@pytest.mark.parametrize(
    ("field", "apply"),
    [
        ("counts", put("counts", slice(None), 0)),
        ("counts", put("counts", 0, -1)),
        ("counts", lambda tensors, settings: tensors.pop("counts")),
        ("times", put("times", 0, NAN)),
        ("times", lambda tensors, settings: tensors.update(times=tensors["times"][:-1])),
        ("boxes", put("boxes", (0, 0), NAN)),
        ("boxes", put("boxes", (0, 0), 9e6)),
        ("drawn_boxes", put("drawn_boxes", (0, 3), -9e6)),
        ("drawn_boxes", lambda tensors, settings: tensors.update(drawn_boxes=tensors["drawn_boxes"].int())),
        ("scores", put("scores", 0, float("inf"))),
        ("labels", put("labels", 0, 99)),
        ("labels", put("labels", 0, -1)),
        ("embeddings", put("embeddings", (0, 0), NAN)),
        ("embeddings", lambda tensors, settings: tensors.update(embeddings=tensors["embeddings"][1:])),
        ("mask.length", put("mask.length", 0, 10**9)),
        ("mask.text", put("mask.text", 0, 200)),
        ("mask.text", put("mask.text", slice(0, 9), 111)),
        ("mask.size", lambda tensors, settings: tensors.pop("mask.size")),
        ("extra", lambda tensors, settings: tensors.update(extra=torch.zeros(1))),
        ("size", setting(size=[48])),
        ("size", setting(size=["48", 80])),
        ("frames of", setting(size=[10**6, 10**6])),
        ("class_names", setting(class_names=[1, 2])),
        ("class_names", setting(class_names="abc")),
        ("masks_on_demand", setting(masks_on_demand=1)),
        ("scale", setting(scale=0)),
        ("scale", setting(scale=NAN)),
        ("new_track_threshold", setting(new_track_threshold="0.3")),
        ("new_track_threshold", setting(new_track_threshold=1e999)),
    ],
)
def test_a_wrong_value_of_a_file_is_named(cache, tmp_path, field, apply):
    path = tmp_path / "scene.safetensors"
    cache.save(path)
    with safe_open(path, framework="pt") as file:
        settings = json.loads(file.metadata()["detection_cache"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    apply(tensors, settings)
    save_file(
        {name: value.contiguous() for name, value in tensors.items()}, path, {"detection_cache": json.dumps(settings)}
    )
    with pytest.raises(ValueError, match=rf"^Expected .*'?{field}.*scene.safetensors'"):
        DetectionCache.load(path)


def test_a_threshold_that_is_no_number_is_refused(cache):
    with pytest.raises(ValueError, match="Expected a finite score_threshold, got nan"):
        ReplayDetector(cache, score_threshold=NAN)


def test_repr(cache):
    assert repr(cache) == "DetectionCache(6 frames)"
    assert repr(ReplayDetector(cache)) == "ReplayDetector(DetectionCache(6 frames), score_threshold=0.0)"


def test_a_huge_threshold_starts_no_track(cache, tmp_path):
    replace(cache, new_track_threshold=10**29).save(tmp_path / "scene.safetensors")
    again = DetectionCache.load(tmp_path / "scene.safetensors")
    outputs = [output for _, output in Tracker(ReplayDetector(again)).track(again.blank_frames())]
    assert all((output.ids < 0).all() for output in outputs)
