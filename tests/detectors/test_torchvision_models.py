import pytest
import torch
from PIL import Image
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn, maskrcnn_resnet50_fpn
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import roi_align

from tests.cases import blank
from tests.parity import seeded
from tltm_graph import Frame, Tracker, read_frames
from tltm_graph.association import LearnedAffinity
from tltm_graph.cli import main
from tltm_graph.detectors import TorchvisionDetector, build_detector, check_detector
from tltm_graph.models import RelationModel


@pytest.fixture(scope="module")
def mask_rcnn():
    torch.manual_seed(0)
    return maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, min_size=96, max_size=128, box_score_thresh=0.0, box_detections_per_img=6
    )


def noise(index: int) -> Frame:
    return Frame((seeded(f"frame {index}", (3, 72, 96)).clamp(-2, 2) * 60 + 128).to(torch.uint8), index, 0.0)


@pytest.mark.slow
def test_masks_and_features(mask_rcnn):
    detector = TorchvisionDetector(mask_rcnn, score_threshold=0.0)
    detections, context = detector.detect(noise(0))
    assert context is None
    assert 0 < len(detections) <= 6
    assert detections.masks.shape == (len(detections), 72, 96)
    assert detections.features.shape == (len(detections), 256, 14, 14)
    assert not any(module._forward_hooks for module in mask_rcnn.modules()), "nothing is left on the model"
    check_detector(detector, [noise(0), noise(1)])


def test_features_are_pooled_where_the_object_is(mask_rcnn):
    """By hand: the finest level alone, for boxes small enough to be pooled from it."""
    detector = TorchvisionDetector(mask_rcnn, score_threshold=0.0)
    frame = noise(0)
    detections, _ = detector.detect(frame)
    with torch.no_grad():
        images, _ = mask_rcnn.transform([frame.image / 255])
        maps = mask_rcnn.backbone(images.tensors)
    height, width = images.image_sizes[0]
    boxes = detections.boxes * torch.tensor([width / 96, height / 72] * 2)
    level = (4 + torch.log2((boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt() / max(height, width) + 1e-6)).floor()
    small = level <= 2
    by_hand = roi_align(maps["0"], [boxes], (14, 14), 1 / 4, sampling_ratio=2)
    if small.any():
        torch.testing.assert_close(detections.features[small], by_hand[small])
    assert detections.features.abs().sum() > 0


def test_nothing_found_keeps_the_shapes(mask_rcnn):
    detections, _ = TorchvisionDetector(mask_rcnn, score_threshold=2.0).detect(noise(0))
    assert len(detections) == 0
    assert detections.features.shape == (0, 256, 14, 14)
    assert detections.masks.shape == (0, 72, 96)


@pytest.mark.slow
def test_it_feeds_the_published_relation_model(mask_rcnn):
    relation = RelationModel().eval()
    relation.is_trained.fill_(True)
    tracker = Tracker(
        TorchvisionDetector(mask_rcnn, score_threshold=0.0), LearnedAffinity.from_file(appearance=relation)
    )
    for _, detections in tracker.track([noise(0), noise(1)]):
        assert len(detections.ids) == len(detections)


def test_boxes_without_masks_and_without_features():
    model = fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None, box_score_thresh=0.0)
    detections, _ = TorchvisionDetector(model, score_threshold=0.0, max_objects=3, features=False).detect(noise(0))
    assert len(detections) == 3
    assert detections.masks is None
    assert detections.features is None
    assert detections.labels.min() >= 0


class NoPyramid(torch.nn.Module):
    """Has the outputs of a torchvision model, but no backbone."""

    def forward(self, images):
        return [{"boxes": torch.tensor([[1.0, 2, 30, 20]]), "labels": torch.tensor([3]), "scores": torch.tensor([0.9])}]


def test_a_model_without_a_pyramid_gives_no_features():
    detections, _ = TorchvisionDetector(NoPyramid(), ["a", "b", "c"]).detect(blank(0))
    assert detections.features is None
    assert detections.labels.tolist() == [2]


BOX_MODELS = {
    "fasterrcnn_resnet50_fpn": "box_score_thresh=0&min_size=96&max_size=128",
    "fasterrcnn_mobilenet_v3_large_320_fpn": "box_score_thresh=0&min_size=96&max_size=128",
    "fcos_resnet50_fpn": "score_thresh=0&min_size=96&max_size=128",
    "retinanet_resnet50_fpn": "score_thresh=0&min_size=96&max_size=128",
    "ssdlite320_mobilenet_v3_large": "score_thresh=0",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOX_MODELS)
def test_detectors_of_boxes(name, tmp_path):
    """Detections without masks reach the tracker, the files and the overlay."""
    torch.manual_seed(0)
    description = f"torchvision:{name}?weights=none&score_threshold=0&max_objects=4&{BOX_MODELS[name]}"
    detector = build_detector(description)
    check_detector(detector, [noise(0), noise(1)])
    detections, _ = detector.detect(noise(0))
    assert detections.masks is None
    assert detections.labels.min() >= 0
    channels = 672 if name.startswith("ssdlite") else 256
    assert detections.features.shape == (len(detections), channels, 14, 14)
    assert (detections.features.flatten(1).abs().sum(dim=1) > 0).all()

    for frame in (noise(0), noise(1), noise(2)):
        Image.fromarray(frame.image.permute(1, 2, 0).numpy()).save(tmp_path / f"{frame.index}.png")
    out = tmp_path / "out"
    arguments = ["track", "--source", str(tmp_path), "--detector", description, "--output", str(out), "--save-graph"]
    assert main([*arguments, "--device", "cpu"]) == 0
    assert {path.name for path in out.iterdir()} >= {"tracks.json", "overlay.mp4", "run.json", "graph.zip"}
    assert len(list(read_frames(out / "overlay.mp4"))) == 3


class FixedOutput(torch.nn.Module):
    """Returns fixed detections, with the maps of a backbone that is twice as coarse from level to level."""

    def __init__(self, boxes: list, labels: list[int], strides: dict[str, int], channels: dict[str, int]) -> None:
        super().__init__()
        self.boxes, self.labels = torch.tensor(boxes), torch.tensor(labels)
        self.transform = GeneralizedRCNNTransform(96, 192, [0.0] * 3, [1.0] * 3)
        self.backbone = torch.nn.Module()
        self.backbone.forward = lambda images: {
            name: torch.nn.functional.avg_pool2d(images, stride, ceil_mode=True).repeat(1, channels[name] // 3, 1, 1)
            for name, stride in strides.items()
        }

    def forward(self, images):
        padded, _ = self.transform(images)
        self.maps = self.backbone(padded.tensors)
        return [{"boxes": self.boxes, "labels": self.labels, "scores": torch.linspace(0.9, 0.5, len(self.boxes))}]


def test_background_is_removed():
    """RetinaNet and FCOS have an output for class 0, which their training never uses but random weights do."""
    model = FixedOutput([[1.0, 2, 30, 20], [5, 5, 25, 25]], [0, 3], {"0": 8}, {"0": 3})
    detections, _ = TorchvisionDetector(model, ["a", "b", "c"]).detect(blank(0))
    assert detections.labels.tolist() == [2]
    assert detections.boxes.tolist() == [[5, 5, 25, 25]]


def test_strides_of_small_and_padded_pictures():
    """A picture of 33 rows is padded to 64: the stride of its two rows of cells is 32, not 16."""
    model = FixedOutput([[0.0, 0, 33, 33], [0, 0, 600, 33]], [1, 1], {"2": 16, "3": 32}, {"2": 3, "3": 3})
    model.transform = GeneralizedRCNNTransform(33, 1000, [0.0] * 3, [1.0] * 3)
    image = (seeded("strip", (3, 33, 600)).clamp(-2, 2) * 60 + 128).to(torch.uint8)
    detections, _ = TorchvisionDetector(model).detect(Frame(image, 0, 0.0))
    by_hand = roi_align(model.maps["2"], [detections.boxes], (14, 14), 1 / 16, sampling_ratio=2)
    torch.testing.assert_close(detections.features, by_hand)


def test_large_objects_of_a_backbone_with_a_gap_between_its_levels():
    """SSD300: the maps as wide as the finest are those of stride 8 and 32; every object gets one of them."""
    widths = {"0": 6, "1": 12, "2": 6}
    model = FixedOutput([[0.0, 0, 200, 150], [0, 0, 10, 10]], [1, 1], {"0": 8, "1": 16, "2": 32}, widths)
    model.transform = GeneralizedRCNNTransform(600, 800, [0.0] * 3, [1.0] * 3)
    image = (seeded("large", (3, 150, 200)).clamp(-2, 2) * 60 + 128).to(torch.uint8)
    detections, _ = TorchvisionDetector(model).detect(Frame(image, 0, 0.0))
    assert (detections.features.flatten(1).abs().sum(dim=1) > 0).all()
    for row, (name, stride) in enumerate((("2", 32), ("0", 8))):
        boxes = 4 * detections.boxes[row : row + 1]
        by_hand = roi_align(model.maps[name], [boxes], (14, 14), 1 / stride, sampling_ratio=2)
        torch.testing.assert_close(detections.features[row : row + 1], by_hand)


def test_by_name(tmp_path):
    name = "ssdlite320_mobilenet_v3_large"
    detector = TorchvisionDetector.from_name(name, weights="none", score_threshold=0.0, max_objects=2)
    torch.save(detector.model.state_dict(), tmp_path / "weights.pth")
    loaded = TorchvisionDetector.from_name(
        name, weights=str(tmp_path / "weights.pth"), score_threshold=0.0, max_objects=2
    )
    a, b = detector.detect(noise(0))[0], loaded.detect(noise(0))[0]
    assert torch.equal(a.boxes, b.boxes)
    with pytest.raises(ValueError, match="Expected one of torchvision's detection models .* got 'yolo'"):
        TorchvisionDetector.from_name("yolo")
    with pytest.raises(
        ValueError, match=r"weights 'none', a file, or one of \['COCO_V1', 'DEFAULT'\], got 'nothing.pth'"
    ):
        TorchvisionDetector.from_name(name, weights="nothing.pth")
    (tmp_path / "broken.pth").write_bytes(b"egg")
    with pytest.raises(ValueError, match="Expected a state_dict of ssdlite320_mobilenet_v3_large in"):
        TorchvisionDetector.from_name(name, weights=str(tmp_path / "broken.pth"))


def test_download_error_gives_a_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(ConnectionError, match=r"name the file \(weights=PATH\)"):
        TorchvisionDetector.from_name("ssdlite320_mobilenet_v3_large")
