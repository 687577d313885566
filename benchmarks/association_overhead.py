"""What tracking costs beside detection: every stage of a step with 20 objects, against Mask R-CNN R50 at 360×640,
not enlarged (its default enlarges to 750×1333, which takes four times as long and makes the share smaller still).

Run: python benchmarks/association_overhead.py
"""

import argparse
import statistics
from typing import Any

import torch
from timing import machine
from torch import Tensor
from torchvision.models.detection import maskrcnn_resnet50_fpn

from tltm_graph import Detections, Frame, Tracker
from tltm_graph.detectors import Detector, TorchvisionDetector
from tltm_graph.models import RelationModel

STAGES = {
    "graph": "graph and object encoder",
    "relate": "TransitionGNN",
    "associate": "affinity and solver",
    "remember": "memory",
}


class TwentyObjects(Detector):
    """Runs Mask R-CNN for its time and its features, and puts twenty moving objects in place of what it found."""

    class_names = None

    def __init__(self) -> None:
        torch.manual_seed(0)
        model = maskrcnn_resnet50_fpn(
            weights=None,
            weights_backbone=None,
            min_size=360,
            max_size=640,
            box_score_thresh=0.0,
            box_detections_per_img=20,
        )
        self.detector = TorchvisionDetector(model, score_threshold=0.0)

    def detect(self, frame: Frame, context: Any = None) -> tuple[Detections, None]:
        found, _ = self.detector.detect(frame)
        assert len(found) == 20, f"Expected 20 objects to time with, got {len(found)}"
        place = torch.arange(20.0)
        x, y = 30 * place + 2 * frame.index, 15 * place
        boxes = torch.stack([x, y, x + 40, y + 60], dim=1)
        return found.replace(boxes=boxes), None


class WithoutEncoder:
    """The published GNN on ready-made nodes."""

    def __init__(self) -> None:
        self.model = RelationModel().eval()

    def encode(self, detections: Detections) -> Tensor:
        assert detections.features is not None
        return detections.features.flatten(1)[:, :512].contiguous()

    def score(self, graph: Any) -> Tensor:
        return self.model.score(graph)


def measure(relation: Any, frames: int) -> dict[str, float]:
    tracker = Tracker(TwentyObjects(), relation=relation)
    state, seconds = tracker.start(), []
    for index in range(frames):
        image = (torch.rand(3, 360, 640, generator=torch.Generator().manual_seed(index)) * 255).to(torch.uint8)
        state, _ = tracker.step(state, Frame(image, index, index / 25))
        seconds.append(state.seconds)
    return {stage: 1000 * statistics.median(s[stage] for s in seconds[2:]) for stage in seconds[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=12)
    frames = parser.parse_args().frames
    print(f"\n{machine()}\n")
    encoder = RelationModel().eval()
    encoder.is_trained.fill_(True)  # weights do not change the time
    rows = {
        "geometry alone": measure(None, frames),
        "GNN": measure(WithoutEncoder(), frames),
        "GNN and object encoder": measure(encoder, frames),
    }
    print(f"| relation | detector, ms | {' | '.join(STAGES.values())} | share of the detector |")
    print(f"|---|--:|{'--:|' * len(STAGES)}--:|")
    for name, ms in rows.items():
        share = sum(ms[stage] for stage in STAGES) / ms["detect"]
        stages = " | ".join(f"{ms[stage]:.2f}" for stage in STAGES)
        print(f"| {name} | {ms['detect']:.0f} | {stages} | **{share:.1%}** |")


if __name__ == "__main__":
    main()
