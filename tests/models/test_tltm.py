import copy

import pytest
import torch

from tests.parity import seeded
from tltm_graph import Frame, Tracker
from tltm_graph.detectors.centermask import Decoder
from tltm_graph.models import detector_of, expect_tltm, for_inference, tltm_r50, tltm_tiny
from tltm_graph.nn import FoldedTransitionGNN


def tiny():
    torch.manual_seed(0)
    model = tltm_tiny(("cat", "dog"), min_size=64, max_size=96, decoder=Decoder(score_threshold=0.0, max_objects=6))
    model.relation.is_trained.fill_(True)
    return model.eval()


def frames(count=3):
    for index in range(count):
        yield Frame((seeded(f"frame.{index}", (3, 64, 96)).sigmoid() * 255).to(torch.uint8), index, index / 25)


def test_detector_and_relation_of_a_tracker():
    model = tiny()
    tracker = Tracker(model)
    for frame, detections in tracker.track(frames()):
        assert len(detections) == 6
        assert detections.masks.shape == (6, *frame.size)
        assert detections.ids.shape == (6,)


def test_random_weights_are_not_used_for_association():
    model = tltm_tiny()
    assert model.affinity() is None
    model.relation.is_trained.fill_(True)
    assert model.affinity().appearance is model
    assert expect_tltm(model) is model
    with pytest.raises(ValueError, match="Expected a TLTM, .* got CenterMask"):
        expect_tltm(detector_of(model))


def test_two_videos_in_turns():
    model = tiny()
    tracker = Tracker(model)
    alone = [d.boxes for _, d in tracker.track(frames())]
    states = [tracker.start(), tracker.start()]
    for frame, expected in zip(frames(), alone, strict=True):
        for i in (0, 1):
            states[i], detections = tracker.step(states[i], frame)
            assert torch.equal(detections.boxes, expected)


@pytest.mark.parametrize("build", [tiny, lambda: tltm_r50(("a", "b"), min_size=64, max_size=96).eval()])
def test_inference_copy_computes_the_same(build):
    model = build()
    model.detector.decoder = Decoder(score_threshold=0.0, max_objects=6)
    fast = for_inference(model)
    expected, _ = model.detect(next(frames()))
    assert len(expected) == 6
    found, _ = fast.detect(next(frames()))
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(fast.encode(found), model.encode(expected), rtol=1e-3, atol=1e-3)


def test_inference_copy_leaves_the_model_alone():
    model = tiny()
    before = copy.deepcopy(model.state_dict())
    fast = for_inference(model)
    assert isinstance(fast.relation.gnn, FoldedTransitionGNN)
    assert not any(p.requires_grad for p in fast.parameters())
    with torch.no_grad():
        for parameter in fast.parameters():
            parameter.zero_()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.config is not None
    assert fast.config is None


def test_size_of_the_tiny_model():
    assert sum(p.numel() for p in tltm_tiny().parameters()) < 2_000_000
