"""Cost of saving the association graph, and of a replay instead of running the detector again.

Two runs on rendered scenes: tltm_tiny, and a Mask R-CNN (ResNet-50) on a fifth of the frames. Its weights
are random: its detections are replaced by the ground truth, only its time counts. The replay repeats every
decision from the file with the same parts; the last column counts frames with other decisions.

Run: python benchmarks/saved_graph.py [--frames 40]
"""

import argparse
import tempfile
import time
from pathlib import Path

from torchvision.models.detection import maskrcnn_resnet50_fpn_v2

from benchmarks.shapes_model import TINY
from benchmarks.timing import machine
from tltm_graph import Detections, Frame, GraphWriter, SavedGraph, Tracker, load_model
from tltm_graph.detectors import Detector, TorchvisionDetector
from tltm_graph.explanation import replay
from tltm_graph.models import for_inference
from tltm_graph.models.tltm import expect_tltm
from tltm_graph.synthetic import STANDARD, TEST, MovingShapes, moving_shapes


class MaskRCNN(Detector):
    """Mask R-CNN whose detections are replaced by the ground truth."""

    def __init__(self, scene: MovingShapes) -> None:
        model = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=91)
        self.detector = TorchvisionDetector(model.eval())
        self.scene, self.class_names = scene, scene.class_names

    def detect(self, frame: Frame, context: object = None) -> tuple[Detections, None]:
        self.detector.detect(frame)
        return self.scene.truth(frame.index).replace(ids=None), None


def report(name: str, scene: MovingShapes, detector: Detector, path: Path) -> None:
    tracker = Tracker(detector)
    state, saving = tracker.start(), 0.0
    began = time.perf_counter()
    with GraphWriter(path, tracker) as writer:
        for frame in scene:
            state, _ = tracker.step(state, frame)
            start = time.perf_counter()
            writer.write(state)
            saving += time.perf_counter() - start
    run = time.perf_counter() - began - saving
    graph = SavedGraph(path)
    objects = sum(len(decision.current) for decision in graph)
    began = time.perf_counter()
    replayed = [state.decision for state, _ in replay(graph, lambda saved: Tracker(saved, tracker.affinity))]
    replaying = time.perf_counter() - began
    different = sum(not a.tracks.equal(b.tracks) for a, b in zip(replayed, graph, strict=True) if a is not None)
    each = 1000 / len(graph)
    print(
        f"| {name} | {objects / len(graph):.1f} | {run * each:.1f} | {saving * each:.1f} | "
        f"{path.stat().st_size / objects:.0f} | {replaying * each:.1f} | {replaying / run:.1%} | {different} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=40)
    frames = parser.parse_args().frames
    small = moving_shapes(STANDARD, TEST, frames)[0]
    large = moving_shapes(STANDARD, TEST, max(1, frames // 5), (360, 640))[0]
    tiny = for_inference(expect_tltm(load_model(TINY)))
    print(f"*{machine()}*\n")
    columns = ("objects a frame", "run, ms a frame", "saving, ms", "bytes an object", "replay, ms", "of the run")
    print(f"| detector | {' | '.join(columns)} | different decisions |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.zip"
        report("tltm_tiny, 192×320", small, tiny, path)
        report("Mask R-CNN, 360×640", large, MaskRCNN(large), path)


if __name__ == "__main__":
    main()
