import pytest
import torch

from tests.cases import Script, blank, drawn
from tltm_graph import Detections, Frame
from tltm_graph.detectors import check_detector

FRAMES = [blank(0), blank(1)]
GOOD = drawn("ab\nab")


class Spoilt(Script):
    def __init__(self, spoil) -> None:
        super().__init__(GOOD)
        self.spoil = spoil
        self.calls = 0

    def detect(self, frame, context=None):
        self.calls += 1
        return self.spoil(self, frame, super().detect(frame)[0])


def test_a_correct_detector_passes():
    check_detector(Script(GOOD), FRAMES)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda self, frame, d: d,
            r"a pair \(Detections, context\) .*got tltm_graph.Detections",
        ),
        (lambda self, frame, d: (Frame(frame.image, 0), None), r"got \(tltm_graph.Frame, None\)"),
        (lambda self, frame, d: (d.replace(labels=d.labels + 3), None), "labels below 3 in frame 0, got 3"),
        (lambda self, frame, d: (d.replace(scores=torch.tensor([0.1, 0.2])), None), "highest scores first in frame 0"),
        (lambda self, frame, d: (d.replace(boxes=d.boxes + 900), None), "boxes that meet the image in frame 0"),
        (lambda self, frame, d: (d.replace(masks=torch.zeros(2, 5, 5, dtype=torch.bool)), None), "masks of the size"),
        (lambda self, frame, d: (d[: self.calls], None), "frame 0 is processed again, got others: is there hidden"),
        (lambda self, frame, d: (frame.image.add_(1), (d, None))[1], "frame 0 unchanged, got other pixels"),
        (
            lambda self, frame, d: (d.replace(features=torch.zeros(2, 3 + frame.index)), None),
            "features of one shape in all frames",
        ),
        (
            lambda self, frame, d: (d if frame.index else d.replace(features=torch.zeros(2, 3)), None),
            "features in all frames or in none",
        ),
    ],
)
def test_errors_name_the_problem(spoil, message):
    with pytest.raises(AssertionError, match=message):
        check_detector(Spoilt(spoil), [blank(0), blank(1)])


def test_hidden_state_between_videos():
    class Counting(Script):
        """Correct only if one video is processed from start to end."""

        def detect(self, frame, context=None):
            if frame.index == 0:
                self.shift = getattr(self, "last", -1) == 0
            self.last = frame.index
            moved = GOOD[frame.index].boxes + float(self.shift)
            return GOOD[frame.index].replace(boxes=moved, ids=None), None

    with pytest.raises(AssertionError, match="when two videos alternate, got others: keep"):
        check_detector(Counting(GOOD), FRAMES)


def test_not_a_detector():
    with pytest.raises(AssertionError, match="inherits from tltm_graph.Detector"):
        check_detector(object(), FRAMES)
    with pytest.raises(AssertionError, match="at least two frames"):
        check_detector(Script([Detections.empty()]), FRAMES[:1])
