import pytest
import torch

from tests.cases import blank, drawn
from tltm_graph.detectors import ClassFilter, Detector, OracleDetector, check_detector


class Two(Detector):
    class_names = ("cat", "dog", "cow")
    new_track_threshold = 0.4

    def detect(self, frame, context=None):
        (objects,) = drawn("abc")
        return objects.replace(labels=torch.tensor([0, 1, 2]), ids=None), (context or 0) + 1


def test_objects_of_other_classes_are_left_out():
    detector = ClassFilter(Two(), ("cow", "cat"))
    found, context = detector.detect(blank(0), 4)
    assert found.labels.tolist() == [0, 2], "in the detector's order, with its labels"
    assert context == 5
    assert (detector.class_names, detector.new_track_threshold) == (Two.class_names, 0.4)
    assert detector.affinity() is None
    assert detector.scale((4, 4)) == 1
    check_detector(detector, [blank(0), blank(1)])
    assert "['cat', 'cow']" in repr(ClassFilter(Two(), ("cat", "cow")))


def test_unknown_classes_are_refused():
    with pytest.raises(ValueError, match="Expected classes among cat, dog, cow, got bird, cats"):
        ClassFilter(Two(), ("cat", "bird", "cats"))
    with pytest.raises(ValueError, match="Expected a detector that names its classes"):
        ClassFilter(OracleDetector(lambda _: drawn("a")[0]), ("cat",))
