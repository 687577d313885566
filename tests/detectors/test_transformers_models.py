import pytest
import torch

from tests.parity import seeded
from tltm_graph import Frame, Tracker
from tltm_graph.detectors import TransformersDetector, build_detector, check_detector
from tltm_graph.ops import mask_iou

transformers = pytest.importorskip("transformers")
NAMES = ("cat", "dog", "kite")
SIZE = (72, 96)


def mask2former() -> tuple:
    config = transformers.Mask2FormerConfig(
        backbone_config=transformers.SwinConfig(**backbone()),
        **{"feature_size": 32, "mask_feature_size": 32, "hidden_dim": 32, "encoder_feedforward_dim": 16},
        **{"encoder_layers": 1, "decoder_layers": 2, "num_attention_heads": 2, "dim_feedforward": 16},
        **{"num_queries": 9, "id2label": dict(enumerate(NAMES))},
    )
    processor = transformers.Mask2FormerImageProcessor(size={"shortest_edge": 64, "longest_edge": 128})
    return transformers.Mask2FormerForUniversalSegmentation(config), processor


def maskformer() -> tuple:
    config = transformers.MaskFormerConfig(
        backbone_config=transformers.SwinConfig(**backbone()),
        decoder_config=transformers.DetrConfig(
            **{"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "num_queries": 9},
            **{"encoder_attention_heads": 2, "decoder_attention_heads": 2},
            **{"encoder_ffn_dim": 16, "decoder_ffn_dim": 16},
        ),
        **{"fpn_feature_size": 32, "mask_feature_size": 32, "id2label": dict(enumerate(NAMES))},
    )
    processor = transformers.MaskFormerImageProcessor(size={"shortest_edge": 64, "longest_edge": 128})
    return transformers.MaskFormerForInstanceSegmentation(config), processor


def backbone() -> dict:
    return {
        **{"image_size": 64, "embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1], "window_size": 4},
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    }


@pytest.fixture(scope="module", params=[mask2former, maskformer], ids=lambda make: make.__name__)
def parts(request) -> tuple:
    return decided(*request.param())


def decided(model, processor) -> tuple:
    """Random weights that are large enough for distinct, confident queries with non-empty masks."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=1.5 * parameter[0].numel() ** -0.5)
        model.class_predictor.weight.mul_(3)
        model.class_predictor.bias[-1] -= 2
    return model.eval(), processor


def noise(index: int, size: tuple[int, int] = SIZE) -> Frame:
    return Frame((seeded(f"frame {index}", (3, *size)).clamp(-2, 2) * 60 + 128).to(torch.uint8), index, 0.0)


def outputs(parts: tuple, frame: Frame):
    model, processor = parts
    with torch.no_grad():
        return model(**processor(images=frame.image, return_tensors="pt", input_data_format="channels_first"))


@pytest.mark.parametrize("size", [SIZE, (384, 384), (120, 70)])
def test_objects_are_those_of_the_library(parts, size):
    frame, threshold = noise(3, size), 0.02
    detections, context = TransformersDetector(*parts, score_threshold=threshold).detect(frame)
    assert context is None
    (expected,) = parts[1].post_process_instance_segmentation(
        outputs(parts, frame), threshold=threshold, target_sizes=[size], return_binary_maps=True
    )
    info = expected["segments_info"]
    order = sorted(range(len(info)), key=lambda row: -info[row]["score"])
    assert len(detections) == len(info) > 3
    torch.testing.assert_close(
        detections.scores, torch.tensor([info[row]["score"] for row in order]), atol=1e-5, rtol=0
    )
    assert detections.labels.tolist() == [info[row]["label_id"] for row in order]
    theirs = expected["segmentation"][order].bool()
    logits = outputs(parts, frame).masks_queries_logits  # (1, Q, h, w)
    grid = resized(logits, (384, 384)) if "mask2former" in parts[0].config.model_type else logits
    blocks = torch.nn.functional.interpolate((grid > 0).float(), size, mode="nearest")[0].bool()
    same = (theirs[:, None] == blocks).flatten(2).all(dim=2)  # (N, Q)
    assert (same.sum(dim=1) == 1).all(), "the query of each of their objects"
    smooth = resized(logits, size)[0] > 0
    assert torch.equal(detections.masks, smooth[same.nonzero()[:, 1]]), "ours, cut at the size of the frame"
    assert mask_iou(detections.masks, theirs).diagonal().min() > 0.5


def resized(logits, size):
    return torch.nn.functional.interpolate(logits, size, mode="bilinear", align_corners=False)


def test_features_are_the_queries_of_the_objects(parts):
    """What the model derives from an object's features is the object: its label and its mask."""
    model, _ = parts
    frame = noise(3)
    detections, _ = TransformersDetector(*parts, score_threshold=0.02).detect(frame)
    assert detections.features.shape == (len(detections), 32)
    output = outputs(parts, frame)
    classes = model.class_predictor(detections.features)  # (N, K + 1)
    same = torch.isclose(classes[:, None], output.class_queries_logits[0], atol=1e-4).all(dim=2)  # (N, Q)
    assert (same.sum(dim=1) == 1).all()
    logits = output.masks_queries_logits[0][same.nonzero()[:, 1]]
    masks = resized(logits[None], SIZE)[0] > 0
    assert torch.equal(detections.masks, masks)


def test_conformance_and_tracking(parts):
    detector = TransformersDetector(*parts, score_threshold=0.02, max_objects=4)
    assert detector.class_names == NAMES
    check_detector(detector, [noise(0), noise(1)])
    for _, detections in Tracker(detector).track([noise(0), noise(1)]):
        assert len(detections) <= 4
        x0, y0, x1, y1 = detections.boxes.unbind(dim=1)
        assert (x0 >= 0).all()
        assert (x1 <= SIZE[1]).all()
        assert (x1 > x0).all()
        assert (y1 > y0).all()
    assert "score_threshold=0.02" in repr(detector)


def test_nothing_found_keeps_the_shapes(parts):
    detections, _ = TransformersDetector(*parts, score_threshold=2.0).detect(noise(0))
    assert detections.boxes.shape == (0, 4)
    assert detections.masks.shape == (0, *SIZE)
    assert detections.features.shape == (0, 32)
    assert TransformersDetector(*parts, features=False).detect(noise(0))[0].features is None


def test_padding_does_not_move_objects():
    """A processor that pads shows the model the same picture in a corner; its masks are cut to that corner."""
    model, _ = decided(*maskformer())
    processor = transformers.MaskFormerImageProcessor(
        size={"height": 64, "width": 96}, pad_size={"height": 128, "width": 128}
    )
    frame = noise(2)
    detections, _ = TransformersDetector(model, processor, score_threshold=0.0).detect(frame)
    (logits,) = outputs((model, processor), frame).masks_queries_logits
    assert logits.shape[1:] == (32, 32)
    by_hand = resized(logits[None, :, :16, :24], SIZE)[0] > 0
    assert len(detections) > 3
    assert (detections.masks[:, None] == by_hand).flatten(2).all(dim=2).any(dim=1).all()


def test_by_name(parts, tmp_path):
    for part in parts:
        part.save_pretrained(tmp_path)
    detector = build_detector(f"transformers:{tmp_path}?score_threshold=0.02&max_objects=3")
    again, _ = detector.detect(noise(3))
    expected, _ = TransformersDetector(*parts, score_threshold=0.02, max_objects=3).detect(noise(3))
    assert detector.class_names == NAMES
    assert torch.equal(again.masks, expected.masks)
    (tmp_path / "preprocessor_config.json").unlink(missing_ok=True)
    (tmp_path / "processor_config.json").unlink(missing_ok=True)
    with pytest.raises(ValueError, match="Expected a folder with a model and its image processor at"):
        TransformersDetector.from_name(str(tmp_path))


def test_a_model_of_another_kind(parts, tmp_path):
    transformers.BertModel(
        transformers.BertConfig(
            vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
        )
    ).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="Expected a Mask2Former or MaskFormer in"):
        TransformersDetector.from_name(str(tmp_path))


def test_download_error_gives_a_remedy(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("We couldn't connect to 'https://huggingface.co'")

    monkeypatch.setattr(transformers.AutoModelForUniversalSegmentation, "from_pretrained", refuse)
    with pytest.raises(ConnectionError, match="with save_pretrained and name the"):
        TransformersDetector.from_name("somebody/mask2former")
