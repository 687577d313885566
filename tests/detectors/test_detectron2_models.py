"""Tests with a small model that has detectron2's interface and, if detectron2 is installed, with a real one."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchvision.ops import roi_align

from tests.parity import seeded
from tltm_graph import Frame, Tracker
from tltm_graph.detectors import Detectron2Detector, check_detector
from tltm_graph.ops.pyramid_pooling import pool_from_pyramid

SIZE = (60, 90)
FPN = {"p2": 4, "p3": 8, "p4": 16, "p5": 32, "p6": 64}
DENSE = {"p3": 8, "p4": 16, "p5": 32, "p6": 64, "p7": 128}
C4 = {"res4": 16}
ODD = {"fine": 6, "coarse": 12}


class Backbone(nn.Module):
    """Maps of each stride: means of the picture's cells, several channels from three colours."""

    def __init__(self, strides: dict[str, int], channels: dict[str, int]) -> None:
        super().__init__()
        self.strides, self.channels, self.calls = strides, channels, 0

    def output_shape(self) -> dict:
        return {n: SimpleNamespace(channels=self.channels[n], stride=s) for n, s in self.strides.items()}

    def forward(self, images):
        self.calls += 1
        maps = {}
        for name, stride in self.strides.items():
            means = nn.functional.avg_pool2d(images, stride, ceil_mode=True)
            maps[name] = means.repeat(1, (self.channels[name] + 2) // 3, 1, 1)[:, : self.channels[name]]
        return maps


class Instances:
    """The interface of detectron2's Instances."""

    def __init__(self, **fields) -> None:
        self.fields = fields

    def has(self, name: str) -> bool:
        return name in self.fields

    def __getattr__(self, name: str):
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(name) from None


class Model(nn.Module):
    """Pads the image, computes maps, and returns fixed boxes at the size of the frame."""

    def __init__(self, boxes, strides=FPN, channels=8, reads=("p2", "p3", "p4", "p5"), masks=True, **parts) -> None:
        super().__init__()
        widths = channels if isinstance(channels, dict) else dict.fromkeys(strides, channels)
        self.backbone = Backbone(strides, widths)
        if reads:
            self.roi_heads = SimpleNamespace(box_in_features=list(reads))
        self.bias = nn.Parameter(torch.zeros(1))
        self.boxes = torch.tensor(boxes).reshape(-1, 4)
        self.masks, self.seen = masks, None
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, inputs):
        (entry,) = inputs
        image = self.seen = entry["image"]
        height, width = image.shape[1:]
        padded = nn.functional.pad(image, (0, -width % 32, 0, -height % 32))
        self.backbone(padded[None])
        n = len(self.boxes)
        fields = {
            "pred_boxes": SimpleNamespace(tensor=self.boxes.clone()),
            "scores": torch.linspace(0.2, 0.9, n),  # weakest first: sorting is the caller's part
            "pred_classes": torch.arange(n) % 3,
        }
        if self.masks:
            masks = torch.zeros(n, entry["height"], entry["width"], dtype=torch.bool)
            for mask, (x0, y0, x1, y1) in zip(masks, self.boxes.int().tolist(), strict=True):
                mask[y0:y1, x0:x1] = True
            fields["pred_masks"] = masks
        return [{"instances": Instances(**fields)}]


BOXES = [[5.0, 5, 25, 45], [10, 10, 80, 50], [40, 20, 60, 30]]


def noise(index: int, size: tuple[int, int] = SIZE) -> Frame:
    return Frame((seeded(f"frame {index}", (3, *size)).clamp(-2, 2) * 60 + 128).to(torch.uint8), index, 0.0)


def detector(model: nn.Module, **options) -> Detectron2Detector:
    return Detectron2Detector(model, **{"min_size": 120, "max_size": 400, **options})


def test_objects():
    finder = detector(Model(BOXES), class_names=["a", "b", "c"])
    detections, context = finder.detect(noise(0))
    assert context is None
    assert detections.boxes.tolist() == [BOXES[2], BOXES[1]], "the strongest first, weaker than 0.3 left out"
    assert detections.labels.tolist() == [2, 1]
    assert detections.masks.shape == (2, *SIZE)
    assert detections.masks.flatten(1).sum(1).tolist() == [200, 2800]
    assert detections.features.shape == (2, 8, 14, 14)
    assert finder.class_names == ("a", "b", "c")
    assert len(detector(Model(BOXES), max_objects=1).detect(noise(0))[0]) == 1
    assert repr(finder) == "Detectron2Detector(Model, score_threshold=0.3)"


@pytest.mark.parametrize(
    "model",
    [
        Model(BOXES),
        Model(BOXES, masks=False),
        Model(BOXES, strides=C4, channels=12, reads=C4),
        Model(BOXES, strides=DENSE, reads=(), head_in_features=list(DENSE)),
        Model(BOXES, strides=DENSE, reads=(), proposal_generator=SimpleNamespace(in_features=list(DENSE))),
        Model(BOXES, strides=ODD, reads=()),
    ],
    ids=["fpn", "no masks", "c4", "dense", "one stage", "odd strides"],
)
def test_conformance_and_tracking(model):
    finder = detector(model, score_threshold=0.0, class_names=("a", "b", "c"))
    frames = [noise(0), noise(1)]
    check_detector(finder, frames)
    assert not any(module._forward_hooks for module in model.modules()), "nothing is left on the model"
    model.backbone.calls = 0
    ids = [detections.ids.tolist() for _, detections in Tracker(finder).track(frames)]
    assert model.backbone.calls == 2, "once a frame"
    assert len(ids[0]) == 3


def test_the_picture_is_resized_as_detectron2_does_and_has_the_channels_in_order():
    model = Model(BOXES)
    frame = Frame(torch.stack([torch.full(SIZE, v, dtype=torch.uint8) for v in (10, 20, 30)]), 0, 0.0)
    detector(model).detect(frame)
    assert model.seen.shape == (3, 120, 180)
    assert model.seen[:, 0, 0].tolist() == [30, 20, 10], "blue first"
    detector(model, max_size=150).detect(frame)
    assert model.seen.shape == (3, 100, 150), "the longer side decides"
    detector(model, min_size=0, color_order="RGB").detect(frame)
    assert torch.equal(model.seen, frame.image.float())


@pytest.mark.parametrize(
    ("strides", "levels"),
    [(FPN, ["p2", "p3", "p4"]), (C4, ["res4"] * 3), (DENSE, ["p3", "p3", "p4"]), (ODD, ["fine", "fine", "coarse"])],
)
def test_features_are_pooled_where_the_object_is(strides, levels):
    """By hand: boxes at the network's scale, each pooled from its level with that level's stride."""
    boxes = [[40.0, 20, 60, 30], [5, 5, 25, 45], [0, 0, 90, 60]]  # for the network 71, 141 and 367 pixels
    model = Model(boxes, strides=strides, reads=[name for name in strides if name != "p6"])
    finder = detector(model, min_size=300, max_size=1000, score_threshold=0.0)  # five times the frame's size
    detections, _ = finder.detect(noise(0))
    maps = model.backbone(nn.functional.pad(model.seen, (0, -450 % 32, 0, -300 % 32))[None])
    assert detections.boxes.tolist() == boxes[::-1]
    for box, name, features in zip(boxes, levels, detections.features.flip(0), strict=True):
        by_hand = [5.0 * torch.tensor([box])]
        expected = roi_align(maps[name], by_hand, 14, 1 / strides[name], sampling_ratio=2, aligned=True)
        torch.testing.assert_close(features[None], expected)


def test_levels_of_another_width_are_left_out():
    """A backbone without a pyramid has wider maps the coarser they are; features are of one width."""
    widths = {"res2": 4, "res3": 8, "res4": 16}
    model = Model(BOXES, strides={"res2": 4, "res3": 8, "res4": 16}, channels=widths, reads=())
    assert detector(model).detect(noise(0))[0].features.shape[1] == 4


def test_nothing_found_keeps_the_shapes():
    for finder in (detector(Model([])), detector(Model(BOXES), score_threshold=2.0)):
        detections, _ = finder.detect(noise(0))
        assert detections.boxes.shape == (0, 4)
        assert detections.masks.shape == (0, *SIZE)
        assert detections.features.shape == (0, 8, 14, 14)


def test_without_features():
    assert detector(Model(BOXES), features=False).detect(noise(0))[0].features is None
    model, blind = Model(BOXES), nn.Module()
    blind.forward = lambda inputs: model(inputs)  # without a backbone
    assert detector(blind).detect(noise(0))[0].features is None


def test_bad_input():
    with pytest.raises(ValueError, match="Expected the colour order 'BGR' or 'RGB', got 'bgr'"):
        Detectron2Detector(Model(BOXES), color_order="bgr")
    with pytest.raises(ValueError, match="Expected 0 <= min_size <= max_size, got min_size=800 and max_size=100"):
        Detectron2Detector(Model(BOXES), max_size=100)
    with pytest.raises(ValueError, match=r'Expected \[\{"instances": …\}\] from ReLU, got a Tensor'):
        relu = nn.ReLU()
        relu.forward = lambda inputs: torch.zeros(1)
        detector(relu).detect(noise(0))


def test_pooling_equals_torchvisions_for_a_usual_pyramid():
    from torchvision.ops import MultiScaleRoIAlign

    maps = {name: seeded(name, (1, 3, 256 // stride, 320 // stride)) for name, stride in FPN.items() if name != "p6"}
    corners = seeded("corners", (50, 2)).abs() * 60
    boxes = torch.cat([corners, corners + seeded("sides", (50, 2)).abs() * 150], dim=1)
    expected = MultiScaleRoIAlign(list(maps), 14, 2)(maps, [boxes], [(256, 320)])
    torch.testing.assert_close(pool_from_pyramid(maps, FPN, boxes, aligned=False), expected)
    assert pool_from_pyramid(maps, FPN, boxes[:0]).shape == (0, 3, 14, 14)
    with pytest.raises(ValueError, match=r"Expected maps with the same number of channels, got \[1, 3\]"):
        pool_from_pyramid({**maps, "p6": torch.zeros(1, 1, 4, 5)}, FPN, boxes)


def test_a_real_model():
    pytest.importorskip("detectron2", reason="detectron2 is not on the package index: see its INSTALL.md")
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    cfg = get_cfg()  # its defaults: Faster R-CNN on a C4 backbone
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.MASK_ON = True
    cfg.MODEL.RESNETS.DEPTH = 18
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 64
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 5
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.0
    cfg.MODEL.RPN.POST_NMS_TOPK_TEST = 5
    for name, features in (("C4", ["res4"]), ("FPN", ["p2", "p3", "p4", "p5"])):
        if name == "FPN":
            cfg.MODEL.BACKBONE.NAME = "build_resnet_fpn_backbone"
            cfg.MODEL.RESNETS.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
            cfg.MODEL.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
            cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[32], [64], [128], [256], [512]]
            cfg.MODEL.RPN.IN_FEATURES = ["p2", "p3", "p4", "p5", "p6"]
            cfg.MODEL.ROI_HEADS.NAME = "StandardROIHeads"
            cfg.MODEL.ROI_BOX_HEAD.NAME = "FastRCNNConvFCHead"
            cfg.MODEL.ROI_BOX_HEAD.NUM_FC = 1
            cfg.MODEL.ROI_MASK_HEAD.NAME = "MaskRCNNConvUpsampleHead"
            cfg.MODEL.ROI_MASK_HEAD.NUM_CONV = 1
        cfg.MODEL.ROI_HEADS.IN_FEATURES = features
        finder = detector(build_model(cfg), score_threshold=0.0, color_order=cfg.INPUT.FORMAT)
        check_detector(finder, [noise(0), noise(1)])
        detections, _ = finder.detect(noise(0))
        assert detections.features.shape[2:] == (14, 14)
        assert detections.masks.shape == (len(detections), *SIZE)
