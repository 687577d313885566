import pytest
import torch

from tests.cases import blank
from tltm_graph import Detections, MovingShapes
from tltm_graph.detectors import Detector, build_detector


class OwnDetector(Detector):
    class_names = ("thing",)

    def __init__(self, path: str = "", strength: float = 1.0, fast: bool = False, device: str = "cpu") -> None:
        self.path, self.strength, self.fast, self.device = path, strength, fast, device

    def detect(self, frame, context=None):
        return Detections.empty(), None


class NoDetector:
    pass


class Needy(OwnDetector):
    def __init__(self, path: str) -> None:
        super().__init__(path)


def test_own_class():
    detector = build_detector("tests.detectors.test_named.OwnDetector:some/file?strength=2&fast=true", device="meta")
    assert (detector.path, detector.strength, detector.fast, detector.device) == ("some/file", 2, True, "meta")
    assert isinstance(detector.strength, float), "an option is of the type of its default"
    assert build_detector("tests.detectors.test_named.OwnDetector").path == ""


def test_torchvision():
    detector = build_detector(
        "torchvision:fasterrcnn_mobilenet_v3_large_320_fpn?weights=none&score_threshold=0.1&box_score_thresh=0.01"
    )
    assert detector.score_threshold == 0.1
    assert detector.model.roi_heads.score_thresh == 0.01


def test_precomputed(tmp_path):
    (tmp_path / "det.txt").write_text("5,-1,1,1,8,8,0.9\n")
    detector = build_detector(f"precomputed:{tmp_path}/det.txt?first_frame=5&score_threshold=0.5")
    assert len(detector.detect(blank(0))[0]) == 1


def test_oracle():
    scene = MovingShapes(2, (48, 64))
    oracle = build_detector("oracle?miss_rate=1", truth=scene.truth, class_names=scene.class_names, seed=4)
    assert (oracle.miss_rate, oracle.seed) == (1, 4)
    assert torch.equal(oracle.detect(scene.frame(0))[0].labels, torch.zeros(0, dtype=torch.int64))


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("yolo", "Expected the detector 'tltm:WEIGHTS', .* got 'yolo'"),
        ("torchvision", "Expected an argument, as in 'torchvision:"),
        ("transformers", "Expected an argument, as in 'transformers:"),
        ("precomputed:", "Expected an argument, as in 'precomputed:"),
        ("oracle", "Expected truth for the detector 'oracle', got none"),
        ("precomputed:x.json?rescale", "Expected options as .* got '.rescale'"),
        ("oracle:nowhere.json", "found nothing at 'nowhere.json'"),
        ("nothing.here.Detector", "No module named 'nothing'; is it on the Python path"),
        ("tests.detectors.test_named.Missing", "Expected 'Missing' in the module"),
        ("tests.detectors.test_named.NoDetector", "got a NoDetector: inherit from tltm_graph.Detector"),
        ("tests.detectors.test_named.OwnDetector?speed=3", r"options among \['path', 'strength', 'fast', 'device'\]"),
        ("tests.detectors.test_named.Needy", "Expected the arguments of 'Needy' .* missing a required argument"),
        ("precomputed:x.txt?first_frame=abc", "Expected a whole number for the option 'first_frame', got 'abc'"),
        ("precomputed:x.txt?first_frame=1.5", "Expected a whole number for the option 'first_frame', got '1.5'"),
        ("precomputed:x.txt?score_threshold=nan", "Expected a finite number for the option 'score_threshold'"),
        ("tests.detectors.test_named.OwnDetector?strength=inf", "a finite number for the option 'strength', got 'inf'"),
        ("tests.detectors.test_named.OwnDetector?strength=1e400", "a finite number for the option 'strength'"),
        (f"precomputed:x.txt?first_frame={2**70}", "Expected a finite number for the option 'first_frame'"),
        (
            "tests.detectors.test_named.OwnDetector?strength=much",
            "Expected a number for the option 'strength', got 'much'",
        ),
    ],
)
def test_bad_descriptions(description, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        build_detector(description)
