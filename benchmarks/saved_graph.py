"""What it costs to save the association graph, and to solve it again instead of running the detector again.

Two runs on rendered scenes: the shipped tltm_tiny, and a Mask R-CNN (ResNet-50, random weights, so what it finds is
thrown away and the truth given in its place: its time counts, not its objects; a fifth of the frames). "Solved again"
decides everything anew with the same parts, from the file; how much is then decided otherwise is counted.

Run: python benchmarks/saved_graph.py [--frames 40]
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from timing import machine
from torchvision.models.detection import maskrcnn_resnet50_fpn_v2

from tltm_graph import Detections, Frame, GraphWriter, SavedGraph, Tracker, load_model
from tltm_graph.detectors import Detector, TorchvisionDetector
from tltm_graph.explanation import replay
from tltm_graph.models import for_inference
from tltm_graph.synthetic import STANDARD, TEST, MovingShapes, moving_shapes


class MaskRCNN(Detector):
    """Takes as long as a Mask R-CNN, and finds the true objects."""

    def __init__(self, scene: MovingShapes) -> None:
        model = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=91)
        self.detector = TorchvisionDetector(model.eval())
        self.scene, self.class_names = scene, scene.class_names

    def detect(self, frame: Frame, context: object = None) -> tuple[Detections, None]:
        self.detector.detect(frame)
        return self.scene.truth(frame.index).replace(ids=None), None


def report(name: str, scene: MovingShapes, tracker: Tracker, scorer: Any, path: Path) -> None:
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
    tracks = [again.transition.current_tracks.tolist() for again, _ in replay(graph, Tracker, scorer)]
    again = time.perf_counter() - began
    different = sum(one != decision.tracks.tolist() for one, decision in zip(tracks, graph, strict=True))
    each = 1000 / len(graph)
    print(
        f"| {name} | {objects / len(graph):.1f} | {run * each:.1f} | {saving * each:.1f} | "
        f"{path.stat().st_size / objects:.0f} | {again * each:.1f} | {again / run:.1%} | {different} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=40)
    frames = parser.parse_args().frames
    small = moving_shapes(STANDARD, TEST, frames)[0]
    large = moving_shapes(STANDARD, TEST, max(1, frames // 5), (360, 640))[0]
    tiny: Any = for_inference(load_model("tltm-tiny-moving-shapes"))
    print(f"*{machine()}*\n")
    heads = ("objects a frame", "run, ms a frame", "saving, ms", "bytes an object", "solved again, ms", "of the run")
    print(f"| detector | {' | '.join(heads)} | decided otherwise |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.zip"
        report("tltm_tiny, 192×320", small, Tracker(tiny, tiny), tiny, path)
        report("Mask R-CNN, 360×640", large, Tracker(MaskRCNN(large)), None, path)


if __name__ == "__main__":
    main()
