"""Time of tracking relative to detection: every stage of a step with 20 objects beside Mask R-CNN R50 at 360×640.

Pictures are not enlarged. torchvision's default enlarges them to 750×1333, which takes four times as long and makes
the share of tracking smaller still.

Run: python benchmarks/tracking_overhead.py
"""

import argparse
import statistics
import time
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torchvision.models.detection import maskrcnn_resnet50_fpn

from benchmarks.timing import machine
from tltm_graph import Detections, Frame, Tracker
from tltm_graph.association import LearnedAffinity
from tltm_graph.detectors import Detector, TorchvisionDetector
from tltm_graph.models import RelationModel

STAGES = ("graph and object encoder", "TransitionGNN", "affinity and solver", "memory")


class TwentyObjects(Detector):
    """Mask R-CNN whose detections are replaced by twenty moving objects; time and features are its own."""

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
        detected, _ = self.detector.detect(frame)
        assert len(detected) == 20, f"Expected 20 objects, got {len(detected)}"
        place = torch.arange(20.0)
        x, y = 30 * place + 2 * frame.index, 15 * place
        return detected.replace(boxes=torch.stack([x, y, x + 40, y + 60], dim=1)), None


class TimedRelation:
    """Relation model that measures its scoring.

    Args:
        encodes: True to run the object encoder, False to take the first 512 features of each object as its embedding.
    """

    def __init__(self, encodes: bool) -> None:
        self.model, self.encodes, self.seconds = RelationModel().eval(), encodes, 0.0

    def encode(self, detections: Detections) -> Tensor:
        assert detections.features is not None
        if self.encodes:
            return self.model.encode(detections)
        return detections.features.flatten(1)[:, :512].contiguous()

    def score(self, graph: HeteroData) -> Tensor:
        start = time.perf_counter()
        logits = self.model.score(graph)
        self.seconds = time.perf_counter() - start
        return logits


def measure(relation: TimedRelation | None, frames: int) -> dict[str, float]:
    """Median milliseconds of the detector and of each stage."""
    tracker = Tracker(TwentyObjects(), affinity=LearnedAffinity.from_file(appearance=relation))
    state, rows = tracker.start(), []
    for index in range(frames):
        image = (torch.rand(3, 360, 640, generator=torch.Generator().manual_seed(index)) * 255).to(torch.uint8)
        state, _ = tracker.step(state, Frame(image, index, index / 25))
        seconds, gnn = state.seconds, relation.seconds if relation else 0.0
        stages = seconds["graph"], gnn, seconds["score"] - gnn + seconds["solve"], seconds["update"]
        rows.append({"detector": seconds["detect"]} | dict(zip(STAGES, stages, strict=True)))
    return {stage: 1000 * statistics.median(row[stage] for row in rows[2:]) for stage in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=12, help="at least 3; the first two are not counted")
    frames = parser.parse_args().frames
    print(f"\n{machine()}\n")
    print(f"| relation | detector, ms | {' | '.join(STAGES)} | share of the detector |")
    print(f"|---|--:|{'--:|' * len(STAGES)}--:|")
    relations = {"geometry alone": None, "GNN": TimedRelation(False), "GNN and object encoder": TimedRelation(True)}
    for name, relation in relations.items():
        ms = measure(relation, frames)
        share = sum(ms[stage] for stage in STAGES) / ms["detector"]
        stages = " | ".join(f"{ms[stage]:.2f}" for stage in STAGES)
        print(f"| {name} | {ms['detector']:.0f} | {stages} | **{share:.1%}** |", flush=True)


if __name__ == "__main__":
    main()
