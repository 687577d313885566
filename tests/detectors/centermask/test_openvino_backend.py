import os
import subprocess
import sys

import pytest
import torch

from tests.parity import seeded
from tltm_graph import Frame
from tltm_graph.detectors.centermask import CenterMask, Decoder, resnet_backbone
from tltm_graph.detectors.centermask.fcos import FCOSHead
from tltm_graph.detectors.centermask.mask_head import MaskHead
from tltm_graph.models import centermask_pico, for_inference, tltm_tiny
from tltm_graph.nn import ResFuser

OpenVinoBackend = pytest.importorskip(
    "tltm_graph.detectors.centermask.openvino_backend", exc_type=ImportError
).OpenVinoBackend

FEW = Decoder(score_threshold=0.0, max_objects=6)


def frame(index, size=(64, 96)):
    image = (seeded(f"frame.{index}", (3, *size)).sigmoid() * 255).to(torch.uint8)
    return Frame(image, index, index / 25)


def pico():
    return centermask_pico(("cat", "dog"), min_size=64, decoder=FEW)


def gated():
    model = centermask_pico(("cat", "dog"), min_size=64, decoder=FEW, fused=True)
    for fuser in model.fusers:
        torch.nn.init.normal_(fuser.expand.weight, std=0.1)
    return model


def fused():
    """A small model of the published kind: frozen norms in the backbone, group norm in the head, ResFuser."""
    backbone = resnet_backbone(50, channels=64)
    fusers = [ResFuser(64, 64) for _ in backbone.strides]
    return CenterMask(
        backbone, FCOSHead(2, 64, 2), MaskHead(2, 64, 2), fusers, FEW, ("cat", "dog"), min_size=64, max_size=96
    )


@pytest.mark.slow
@pytest.mark.parametrize("build", [pico, fused, gated], ids=["no fusers", "fusers", "gated fusers"])
def test_boxes_and_masks_equal_those_of_torch(build):
    torch.manual_seed(0)
    plain = for_inference(build())
    fast = for_inference(plain)
    fast.backend = OpenVinoBackend(fast)
    before, previous = None, None
    for index, size in ((0, (64, 96)), (1, (64, 96)), (2, (64, 96))):
        expected, before = plain.detect(frame(index, size), before)
        found, previous = fast.detect(frame(index, size), previous)
        torch.testing.assert_close(found.boxes, expected.boxes, atol=1e-3, rtol=0)
        torch.testing.assert_close(found.scores, expected.scores, atol=1e-4, rtol=0)
        assert torch.equal(found.labels, expected.labels)
        masks, true = (model.segment(expected, size).masks for model in (fast, plain))
        assert (masks != true).float().mean() < 1e-3
        for level, level_before in zip(previous.pyramid, before.pyramid, strict=True):
            torch.testing.assert_close(level, level_before, atol=1e-2, rtol=1e-2)


@pytest.mark.slow
def test_other_sizes_and_nothing_found():
    model = for_inference(pico())
    model.stretch, model.min_size, model.max_size = False, 64, 96
    model.backend = OpenVinoBackend(model)
    for size in ((64, 96), (96, 64)):
        found, _ = model.detect(frame(0, size))
        assert len(found) == 6
    model.decoder = Decoder(score_threshold=1.0)
    found, _ = model.detect(frame(1))
    assert model.segment(found, (64, 96)).masks.shape == (0, 64, 96)


@pytest.mark.slow
def test_a_copy_for_inference_has_no_backend():
    model = for_inference(pico())
    model.backend = OpenVinoBackend(model)
    model.detect(frame(0))  # compiled networks cannot be copied
    assert for_inference(model).backend is None
    assert model.backend is not None


@pytest.mark.slow
def test_half_precision():
    model = for_inference(pico())
    expected, _ = model.detect(frame(0))
    model.autocast = torch.bfloat16
    model.backend = OpenVinoBackend(model)
    found, _ = model.detect(frame(0))
    assert found.boxes.dtype == torch.float32
    torch.testing.assert_close(found.scores[:6], expected.scores[:6], atol=0.05, rtol=0)


def test_group_norm_in_the_backbone_is_refused():
    """OpenVINO 2026.4 would end the process."""
    with pytest.raises(ValueError, match="Expected a backbone without group norm"):
        OpenVinoBackend(tltm_tiny(("cat", "dog")).detector)


def test_only_on_the_cpu():
    with pytest.raises(ValueError, match="Expected a model on the CPU for OpenVINO, got one on 'meta'"):
        OpenVinoBackend(pico().to("meta"))


SIGNALS = """
import faulthandler, signal, subprocess, sys
import torch
from tests.detectors.centermask.test_openvino_backend import FEW, OpenVinoBackend, for_inference, frame, pico

faulthandler.enable()
signal.signal(signal.SIGCHLD, lambda *_: None)
models = [for_inference(pico()) for _ in range(2)]
for model in models:
    model.backend = OpenVinoBackend(model)
    model.detect(frame(0))
while models:
    del models[0], model  # the oldest one first
    model = None
    subprocess.run(["true"])
sent = [name for name in sys.modules if name.startswith("openvino_telemetry") and sys.modules[name] is not None]
assert not sent, sent
"""


@pytest.mark.slow
def test_signals_are_survived_and_nothing_is_sent(tmp_path):
    environment = os.environ | {"HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", SIGNALS], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert list(tmp_path.iterdir()) == [], "OpenVINO's telemetry keeps an id in the home folder"
