import pickle

import pytest
import torch

from tltm_graph import Detections, MovingShapes
from tltm_graph.detectors import Detector
from tltm_graph.models import tltm_tiny
from tltm_graph.training import RenderedVideos, TrackingValidation, validation

NAMES = MovingShapes.class_names
VIDEOS = RenderedVideos(split="val", num_scenes=3, num_frames=4, size=(48, 80))


class Perfect(Detector):
    """Knows the truth."""

    class_names = NAMES
    is_trained = False

    def __init__(self, scenes):
        self.truths = iter([scene.truth(t) for scene in scenes for t in range(len(scene))])

    def detect(self, frame, context=None):
        return next(self.truths).replace(ids=None), None


@pytest.fixture
def perfect(monkeypatch):
    monkeypatch.setattr(validation, "for_inference", lambda model: model)
    return Perfect([VIDEOS.scenes[i] for i in range(3)])


def test_perfect_detections_have_perfect_boxes(perfect):
    check = TrackingValidation(VIDEOS, max_videos=2, num_pictures=1)
    videos = check.open(NAMES)
    validated = check(perfect, videos, NAMES)
    scores = validated.evaluation.compute().overall
    assert scores["DetA"] > 0.9, "tracks are shown from their first frame on"
    assert scores["AP"] > 0.9
    assert list(validated.pictures) == ["scene 0"]
    assert validated.pictures["scene 0"].shape == (3, 2 * 48, 80)
    assert {frame for _, frame in validated.graph.nodes(data="frame")} <= set(range(4))


@pytest.mark.slow
def test_processes_share_the_videos():
    """Added up, the counts are those of one process."""
    torch.manual_seed(0)
    model = tltm_tiny(NAMES)
    torch.nn.init.constant_(model.detector.head.cls_logits.bias, 1.0)
    check = TrackingValidation(VIDEOS, max_frames=2, num_pictures=0)
    videos = check.open(NAMES)
    whole = check(model, videos, NAMES).evaluation.compute()
    parts = [check(model, videos, NAMES, rank, 2).evaluation for rank in range(2)]
    parts = pickle.loads(pickle.dumps(parts))  # the way from process to process
    parts[0].merge(parts[1])
    assert repr(parts[0].compute()) == repr(whole)
    assert whole.overall["HOTA_FN"] > 0


def test_the_model_is_left_as_it_was():
    torch.manual_seed(0)
    model = tltm_tiny(NAMES).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    TrackingValidation(VIDEOS, max_videos=1, max_frames=1)(model, TrackingValidation(VIDEOS).open(NAMES)[:1], NAMES)
    assert model.training
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())


def test_nothing_found_is_ordinary(monkeypatch):
    class Blind(Perfect):
        def detect(self, frame, context=None):
            return Detections.empty(), None

    monkeypatch.setattr(validation, "for_inference", lambda model: model)
    check = TrackingValidation(VIDEOS, max_videos=1)
    scores = check(Blind([]), check.open(NAMES), NAMES).evaluation.compute().overall
    assert scores["HOTA"] == 0


def test_errors():
    with pytest.raises(ValueError, match="Expected max_videos of at least 1, got 0"):
        TrackingValidation(VIDEOS, max_videos=0)
    with pytest.raises(ValueError, match="Expected a model of the classes of the rendered scenes"):
        TrackingValidation(VIDEOS).open(("cat",))
