import pytest
import torch

from tests.explanation.saved_runs import oracle, scene
from tltm_graph import Detections, Tracker
from tltm_graph.detectors import Detector, check_detector

supervision = pytest.importorskip("supervision")
from tltm_graph.interop.supervision_detections import from_supervision, to_supervision  # noqa: E402


def test_round_trip():
    frames = scene()
    for _, detections in Tracker(oracle(frames)).track(frames):
        objects = to_supervision(detections, frames.class_names)
        assert isinstance(objects, supervision.Detections)
        assert list(objects.data["class_name"]) == [frames.class_names[label] for label in detections.labels]
        again = from_supervision(objects)
        for name in ("boxes", "scores", "labels", "masks", "ids"):
            assert torch.equal(getattr(again, name), getattr(detections, name))


def test_frames_without_objects():
    assert len(to_supervision(Detections.empty())) == 0
    assert len(from_supervision(supervision.Detections.empty())) == 0


def test_missing_fields_have_defaults():
    objects = supervision.Detections(xyxy=torch.tensor([[1.0, 2.0, 3.0, 4.0]]).numpy())
    detections = from_supervision(objects)
    assert (detections.scores.tolist(), detections.labels.tolist(), detections.masks, detections.ids) == (
        [1.0],
        [0],
        None,
        None,
    )


def test_a_detector_of_supervision_is_a_detector():
    frames = scene()

    class SupervisionDetector(Detector):
        class_names = frames.class_names

        def detect(self, frame, context=None):
            return from_supervision(to_supervision(frames.truth(frame.index).replace(ids=None))), None

    check_detector(SupervisionDetector(), [frames.frame(0), frames.frame(1)])
